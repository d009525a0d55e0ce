"""How the learning rate falls over a run."""

from __future__ import annotations

POWER = 0.9


def poly(step: int, steps: int) -> float:
    """Factor of the learning rate at ``step`` of ``steps``: (1 - step / steps) ^ 0.9, nnU-Net's poly schedule."""
    return (1.0 - min(step, steps - 1) / steps) ** POWER
