"""What DGST's rules start from: learning rates, the rule for what is always on, the size of the foundation's rows."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from .partition import Member
from .registry import RULES, STRATEGIES
from .stepping import OPTIMIZERS

_ALWAYS_ON_RULE = {"adam": "adamw", "rms": "adamw", "sgd": "sgd"}
_ALWAYS_ON_LR = {"adamw": 5e-4, "sgd": 1e-3}


def with_defaults(
    update: str, lr: float | None, rule: str | None, always_on_lr: float | None
) -> tuple[float, str, float]:
    """Learning rate, rule for what is always on and its learning rate, for the rule ``update`` where they are None.

    Raises:
        ValueError: no rule has this name, or a learning rate is negative or not finite.
    """
    if update not in RULES:
        raise ValueError(f"update must be one of {', '.join(RULES)}, not {update!r}.")
    rule = _ALWAYS_ON_RULE[update] if rule is None else rule
    if rule not in OPTIMIZERS:
        raise ValueError(f"always_on_rule must be one of {', '.join(OPTIMIZERS)}, not {rule!r}.")
    lr = STRATEGIES["dgst"].lrs[update] if lr is None else lr
    always_on_lr = _ALWAYS_ON_LR[rule] if always_on_lr is None else always_on_lr
    if not (0 <= lr < inf and 0 <= always_on_lr < inf):
        raise ValueError(
            f"A learning rate must be finite and must not be negative, as one of {lr} and {always_on_lr} is."
        )
    return lr, rule, always_on_lr


def row_rms(member: Member) -> Tensor:
    """Root mean square [R] of each row's weights as they are now, never 0: what ``rms`` moves them by a share of."""
    rows = member.layout.to_rows(member.parameter.detach())
    rms = rows.square().mean(dim=1).sqrt()
    whole = rows.square().mean().sqrt()
    fresh = torch.full_like(whole, rows.shape[1] ** -0.5)
    return torch.where(rms > 0, rms, torch.where(whole > 0, whole, fresh))
