"""What no strategy can train by, refused in a sentence before anything moves."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from .partition import Member

_TRAINABLE = (torch.float32, torch.float64, torch.bfloat16)


def check_dtypes(members: Iterable[Member]) -> None:
    """
    Raises:
        ValueError: a parameter cannot hold a step: the squares and epsilons of fp16 are 0 or infinite, and complex
            numbers have no order to select by.
    """
    for member in members:
        if member.parameter.dtype not in _TRAINABLE:
            raise ValueError(
                f"{member.name} is of {member.parameter.dtype}, but weights that move must be of float32, float64 or "
                "bfloat16: convert the network (and compute in fp16 by torch.autocast), or freeze it."
            )


def check_gradients(members: Iterable[Member]) -> None:
    """
    Raises:
        ValueError: a gradient is sparse, as that of an embedding can be.
    """
    for member in members:
        if member.parameter.grad is not None and member.parameter.grad.layout != torch.strided:
            raise ValueError(
                f"The gradient of {member.name} is sparse, which has no rows to select from or to clip: make its layer "
                "with sparse=False."
            )


def check_max_norm(max_norm: float | None) -> None:
    """
    Raises:
        ValueError: gradients cannot be clipped to this norm.
    """
    if max_norm is not None and not max_norm > 0:
        raise ValueError(f"max_norm must be greater than 0, or None for no clipping, not {max_norm}.")
