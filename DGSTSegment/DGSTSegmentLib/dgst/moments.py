"""Running means of a parameter's gradient rows and of their squares: what the rule ``adam`` selects and moves by."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MEAN_DECAY, SQUARE_DECAY = 0.9, 0.99
EPSILON = 1e-8
"""Added to sqrt(v), as Adam does: what is smaller is rounding, and must not move weights as far as a gradient."""


def begin(state: dict[str, Any], rows: Tensor) -> None:
    """Put moments of zero for gradient rows like ``rows`` [R, K] into an optimizer's ``state`` of one parameter."""
    state["mean"] = torch.zeros_like(rows, memory_format=torch.contiguous_format)
    state["square"] = torch.zeros_like(state["mean"])
    state["step"] = torch.zeros((), dtype=torch.float32)


def take_in(state: dict[str, Any], rows: Tensor) -> Tensor:
    """Take in the gradient rows [R, K] of a step; returns their running mean, which the next call changes.

    It starts at zero and is not corrected for that here: of one parameter all entries would grow alike.
    """
    state["step"] += 1
    state["square"].mul_(SQUARE_DECAY).addcmul_(rows, rows, value=1 - SQUARE_DECAY)
    return state["mean"].lerp_(rows, 1 - MEAN_DECAY)


def corrections(state: dict[str, Any]) -> tuple[float, float]:
    """What the two means are to be divided by, since they started at zero."""
    steps = max(1.0, float(state["step"]))
    return 1 - MEAN_DECAY**steps, 1 - SQUARE_DECAY**steps


def direction(state: dict[str, Any], columns: Tensor) -> Tensor:
    """Adam's direction m / (sqrt(v) + epsilon) at ``columns`` [R, n] of each row; both corrected for their start at 0.

    Within [-1, 1] for gradients that agree; small where those of different batches contradict each other.
    """
    of_mean, of_square = corrections(state)
    mean = state["mean"].gather(1, columns) / of_mean
    square = state["square"].gather(1, columns) / of_square
    return mean / (square.sqrt() + EPSILON)
