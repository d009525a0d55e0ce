"""Scaling an array to another shape over the same extent, with nnU-Net's numbers.

nnU-Net resamples with skimage's ``resize``, which is ``scipy.ndimage.zoom`` with ``grid_mode=True, mode="nearest"``,
clipped to the input's range. Spline interpolation is linear and separable, so the same numbers come from one matrix an
axis - scipy's own answer to unit impulses - and three matrix products, several times faster than zoom in 3D. They go
through torch, whose threads are those that compute the network: numpy's wait for each other by spinning, and where
another program uses the cores these many small products then take minutes instead of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy import ndimage

ANISOTROPY_THRESHOLD = 3.0
_NEGLIGIBLE_WEIGHT = 1e-10


def zoomed_shape(shape: Sequence[int], spacing: Sequence[float], new_spacing: Sequence[float]) -> tuple[int, ...]:
    """Shape at ``new_spacing`` (mm, same axes as ``spacing``) of an array of ``shape``; at least one voxel an axis."""
    return tuple(max(1, round(old / new * n)) for n, old, new in zip(shape, spacing, new_spacing, strict=True))


def coarse_axis(spacing: Sequence[float], new_spacing: Sequence[float], separate_z: bool | None = None) -> int | None:
    """The axis to be resampled by nearest neighbour, or None; nnU-Net's rule.

    It is the coarsest axis of ``spacing`` where that is more than three times as coarse as its finest, else the one of
    ``new_spacing`` under the same condition, and none where two axes are equally coarse. ``separate_z`` True or False
    decides without the condition.
    """
    if separate_z is False:
        return None
    candidates = (
        [spacing] if separate_z else [s for s in (spacing, new_spacing) if max(s) / min(s) > ANISOTROPY_THRESHOLD]
    )
    if not candidates:
        return None
    coarsest = [axis for axis, size in enumerate(candidates[0]) if size == max(candidates[0])]
    return coarsest[0] if len(coarsest) == 1 else None


def zoom(array: np.ndarray, shape: Sequence[int], order: int, nearest_axis: int | None = None) -> np.ndarray:
    """``array`` [k, j, i] scaled to ``shape`` by splines of ``order`` (0, 1 or 3), along ``nearest_axis`` by nearest.

    Never leaves the input's range: of the whole array, or of its slice where slices are scaled one by one.
    Float32; the array itself where nothing changes.
    """
    array = np.asarray(array, dtype=np.float32)
    shape = tuple(shape)
    if array.shape == shape:
        return array
    if nearest_axis is not None:
        array = _take_nearest(array, nearest_axis, shape[nearest_axis])
    smooth_axes = tuple(axis for axis in range(3) if axis != nearest_axis)
    lowest, highest = (f(array, axis=smooth_axes, keepdims=True) for f in (np.min, np.max))
    for axis in sorted(smooth_axes, key=lambda axis: shape[axis] / array.shape[axis]):
        array = _scale_axis(array, axis, shape[axis], order)
    return np.clip(array, lowest, highest, out=array) if order > 1 else array


def zoom_nearest(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """``array`` [k, j, i] of any type scaled to ``shape`` by nearest neighbour; for labels and masks."""
    for axis, size in enumerate(shape):
        array = _take_nearest(array, axis, size)
    return array


def _take_nearest(array: np.ndarray, axis: int, size: int) -> np.ndarray:
    if array.shape[axis] == size:
        return array
    scale = array.shape[axis] / size
    positions = scale * (np.arange(size) + 0.5) - 0.5
    nearest = np.clip(np.floor(positions + 0.5).astype(int), 0, array.shape[axis] - 1)
    return np.take(array, nearest, axis=axis)


def _scale_axis(array: np.ndarray, axis: int, size: int, order: int) -> np.ndarray:
    if array.shape[axis] == size:
        return array
    weights, values = (torch.from_numpy(a) for a in (_weights(array.shape[axis], size, order), _plain(array)))
    if axis == 0:
        return (weights @ values.flatten(1)).reshape(size, *values.shape[1:]).numpy()
    return (weights @ values if axis == 1 else values @ weights.T).numpy()


def _plain(array: np.ndarray) -> np.ndarray:
    """The array as torch takes it without a warning: writable, no negative strides."""
    return np.require(array, requirements=("C", "W"))


@lru_cache(maxsize=32)
def _weights(size: int, new_size: int, order: int) -> np.ndarray:
    """Matrix [new_size, size] that interpolates along one axis; weights too small to matter are zero, since
    subnormal numbers would slow every product."""
    weights = ndimage.zoom(np.eye(size), (new_size / size, 1.0), order=order, mode="nearest", grid_mode=True)
    weights[np.abs(weights) < _NEGLIGIBLE_WEIGHT] = 0.0
    return weights.astype(np.float32)
