"""Overlapping windows over a volume, weighted so that their middles count most, as nnU-Net lays them."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.ndimage import gaussian_filter

STEP = 0.5
"""Distance of neighbouring windows as a fraction of their size."""


def window_starts(shape: tuple[int, ...], window: tuple[int, ...]) -> list[tuple[int, ...]]:
    """First voxel of every window: evenly spread, half a window apart at most, from edge to edge.

    Args:
        shape: voxels of the volume, at least the window's along every axis.
        window: voxels of a window.
    """
    along = []
    for size, width in zip(shape, window, strict=True):
        count = int(np.ceil((size - width) / (width * STEP))) + 1
        reach = size - width
        along.append([int(np.round(reach / max(count - 1, 1) * n)) for n in range(count)])
    return list(product(*along))


def gaussian_weights(window: tuple[int, ...]) -> np.ndarray:
    """float32 weights of ``window``'s shape: a Gaussian around its middle, sigma an eighth of its size, peak 10.

    Nowhere zero, so that every voxel that a window covers has an answer.
    """
    weights = np.zeros(window)
    weights[tuple(n // 2 for n in window)] = 1
    weights = gaussian_filter(weights, [n / 8 for n in window], mode="constant")
    weights *= 10 / weights.max()
    weights[weights == 0] = weights[weights > 0].min()
    return weights.astype(np.float32)
