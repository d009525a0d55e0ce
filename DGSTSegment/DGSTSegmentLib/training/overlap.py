"""Overlap of two masks."""

from __future__ import annotations

import numpy as np


def dice(wanted: np.ndarray, given: np.ndarray) -> float:
    """Dice of two masks (bool) of the same shape; 1 when both are empty."""
    total = int(wanted.sum()) + int(given.sum())
    return 2 * int((wanted & given).sum()) / total if total else 1.0
