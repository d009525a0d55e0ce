"""Axis order: bringing a volume to LPS order and back by permuting and flipping axes, never by resampling."""

from __future__ import annotations

import numpy as np

from .geometry import Geometry
from .volume import Volume


def to_lps_order(volume: Volume) -> Volume:
    """The same voxels with i running most nearly to the patient's left, j to posterior, k to superior."""
    return in_axis_order_of(volume, lps_order(volume.geometry))


def lps_order(geometry: Geometry) -> Geometry:
    """The geometry that the grid has once its axes are permuted and flipped to LPS order."""
    source_axes = _nearest_world_axes(geometry)
    matrix = np.eye(4)
    shape_ijk = []
    first = np.zeros(3)
    for world_axis in range(3):
        axis = source_axes.index(world_axis)
        size = geometry.shape[2 - axis]
        column = geometry.ijk_to_world[:3, axis]
        if column[world_axis] < 0:
            first[axis] = size - 1
            column = -column
        matrix[:3, world_axis] = column
        shape_ijk.append(size)
    matrix[:3, 3] = geometry.to_world(first[::-1])
    return Geometry(tuple(shape_ijk[::-1]), matrix)


def in_axis_order_of(volume: Volume, target: Geometry) -> Volume:
    """The same voxels stored as ``target`` stores them.

    Raises:
        ValueError: ``target`` is not the volume's grid with axes permuted and flipped.
    """
    steps = np.linalg.inv(volume.geometry.ijk_to_world[:3, :3]) @ target.ijk_to_world[:3, :3]
    signs = np.rint(steps)
    is_permutation = (np.abs(signs).sum(0) == 1).all() and (np.abs(signs).sum(1) == 1).all()
    if not is_permutation or np.abs(steps - signs).max() > 1e-3:
        raise ValueError("The target is not this volume's grid with its axes permuted and flipped.")
    source_of = [int(np.abs(signs[:, axis]).argmax()) for axis in range(3)]
    flipped = [signs[source_of[axis], axis] < 0 for axis in range(3)]
    array = volume.array.transpose([2 - source_of[2 - n] for n in range(3)])
    array = array[tuple(slice(None, None, -1) if flipped[2 - n] else slice(None) for n in range(3))]
    if not Geometry(array.shape, target.ijk_to_world).same_grid(target) or not _first_voxel_agrees(volume, target):
        raise ValueError("The target is not this volume's grid with its axes permuted and flipped.")
    return Volume(np.ascontiguousarray(array), target)


def _first_voxel_agrees(volume: Volume, target: Geometry) -> bool:
    same_box = np.allclose(
        np.sort(volume.geometry.corners(), axis=0), np.sort(target.corners(), axis=0), atol=1e-2
    )
    return bool(same_box)


def _nearest_world_axes(geometry: Geometry) -> list[int]:
    """For each index axis (i, j, k) the world axis it runs along most nearly, each world axis used once."""
    closeness = np.abs(geometry.direction).copy()
    nearest = [0, 0, 0]
    for _ in range(3):
        world_axis, axis = np.unravel_index(int(closeness.argmax()), closeness.shape)
        nearest[axis] = int(world_axis)
        closeness[world_axis, :] = -1
        closeness[:, axis] = -1
    return nearest
