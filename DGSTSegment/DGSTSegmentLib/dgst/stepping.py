"""What every step has in common: its report, the global norm, clipping, and torch's own optimizers by name."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

OPTIMIZERS = ("adamw", "sgd")


@dataclass(frozen=True)
class StepReport:
    """What one step did.

    Args:
        gradient_norm: global norm of all gradients that count, before clipping; infinite or NaN when one of them is.
    """

    gradient_norm: float

    @property
    def skipped(self) -> bool:
        """Nothing moved, because a gradient (or the norm) was not finite."""
        return not math.isfinite(self.gradient_norm)


def global_norm(norms: Iterable[Tensor]) -> float:
    """The norm of everything whose parts have these norms (scalars, on any device); 0 when there are none.

    It is not finite if any gradient is not. A norm too large for float32 counts as infinite.
    """
    norms = [norm.float() for norm in norms]
    if not norms:
        return 0.0
    return float(torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms])))


def norms_of(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """The norm of each gradient there is."""
    return [torch.linalg.vector_norm(p.grad) for p in parameters if p.grad is not None]


def clip_factor(norm: float, max_norm: float | None) -> float:
    """What to multiply gradients of global norm ``norm`` by, so that it is at most ``max_norm``."""
    if max_norm is None or norm <= max_norm:
        return 1.0
    return max_norm / norm


def clip_(parameters: Iterable[nn.Parameter], factor: float) -> None:
    """Multiply each gradient there is by ``factor``, in place."""
    if factor != 1.0:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)


def in_own_order(parameters: Iterable[nn.Parameter]) -> None:
    """Store each gradient there is as its parameter is stored: torch's fused step pairs the two by their memory."""
    for parameter in parameters:
        if parameter.grad is not None and parameter.is_contiguous():
            parameter.grad = parameter.grad.contiguous()


def store_alike(state: dict[str, Any], parameter: nn.Parameter) -> None:
    """Store each tensor of an optimizer's ``state`` of ``parameter`` as that is stored, as a step makes it.

    Loading keeps the order in which the state was saved, but torch's fused step pairs the two by their memory.
    """
    for key, value in state.items():
        if isinstance(value, Tensor) and key != "step" and value.shape == parameter.shape:
            state[key] = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def plain_optimizer(
    rule: str, parameters: list[nn.Parameter], lr: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """torch's AdamW, or SGD with Nesterov momentum as nnU-Net uses it, for ``parameters`` (may be none).

    On a CPU, where all are contiguous, in torch's fused form, since the many small parameters of norms cost mostly
    calls; a GPU already takes them together, and its fused form would keep its count of steps on the GPU.

    Raises:
        ValueError: nothing is called ``rule``.
    """
    group = [{"params": parameters}]
    fused = True if parameters and all(_can_be_fused(p) for p in parameters) else None
    if rule == "adamw":
        return torch.optim.AdamW(group, lr=lr, weight_decay=weight_decay, fused=fused)
    if rule == "sgd":
        options = {"momentum": momentum, "nesterov": momentum > 0, "weight_decay": weight_decay}
        return torch.optim.SGD(group, lr=lr, fused=fused, **options)
    raise ValueError(f"The optimizer must be one of {', '.join(OPTIMIZERS)}, not {rule!r}.")


def _can_be_fused(parameter: nn.Parameter) -> bool:
    return parameter.device.type == "cpu" and parameter.is_floating_point() and parameter.is_contiguous()
