"""Axis order: bringing a volume to LPS order and back by permuting and flipping axes, never by resampling.

A reordering is written as a 3x3 matrix of -1, 0 and 1, a *turn*: column ``a`` says along which index axis (i, j, k) of
the stored grid, and in which sense, axis ``a`` of the reordered grid runs.
"""

from __future__ import annotations

import numpy as np

from .geometry import Geometry
from .volume import Volume


def to_lps_order(volume: Volume) -> Volume:
    """The same voxels with i running most nearly to the patient's left, j to posterior, k to superior."""
    return _turned(volume, _turn_to_lps(volume.geometry))


def lps_order(geometry: Geometry) -> Geometry:
    """The geometry that the grid has once its axes are permuted and flipped to LPS order."""
    return _turned_geometry(geometry, _turn_to_lps(geometry))


def axis_letters(geometry: Geometry) -> str:
    """Where the stored axes i, j and k most nearly run to, as ``RAS`` or ``LPS``."""
    turn = _turn_to_lps(geometry)
    world_axes, senses = np.abs(turn).argmax(axis=1), turn.sum(axis=1)
    return "".join("LPS"[axis] if sense > 0 else "RAI"[axis] for axis, sense in zip(world_axes, senses, strict=True))


def in_axis_order_of(volume: Volume, target: Geometry) -> Volume:
    """The same voxels stored as ``target`` stores them.

    Raises:
        ValueError: ``target`` is not the volume's grid with axes permuted and flipped.
    """
    turn = np.rint(np.linalg.inv(volume.geometry.ijk_to_world[:3, :3]) @ target.ijk_to_world[:3, :3])
    if not _is_turn(turn) or not _turned_geometry(volume.geometry, turn).same_grid(target):
        raise ValueError("The target is not this volume's grid with its axes permuted and flipped.")
    return Volume(_turned(volume, turn).array, target)


def _turned(volume: Volume, turn: np.ndarray) -> Volume:
    sources, senses = np.abs(turn).argmax(axis=0), turn.sum(axis=0)
    array = volume.array.transpose([2 - sources[axis] for axis in (2, 1, 0)])
    array = array[tuple(slice(None, None, int(senses[axis])) for axis in (2, 1, 0))]
    return Volume(np.ascontiguousarray(array), _turned_geometry(volume.geometry, turn))


def _turned_geometry(geometry: Geometry, turn: np.ndarray) -> Geometry:
    size_ijk = np.array(geometry.shape[::-1])
    to_stored_index = np.eye(4)
    to_stored_index[:3, :3] = turn
    to_stored_index[:3, 3] = np.where(turn.sum(axis=1) < 0, size_ijk - 1, 0)
    shape_ijk = np.abs(turn).T @ size_ijk
    return Geometry(tuple(shape_ijk[::-1]), geometry.ijk_to_world @ to_stored_index)


def _is_turn(matrix: np.ndarray) -> bool:
    return bool((np.abs(matrix).sum(axis=0) == 1).all() and (np.abs(matrix).sum(axis=1) == 1).all())


def _turn_to_lps(geometry: Geometry) -> np.ndarray:
    """Each world axis is given the index axis that runs most nearly along it, the best aligned pair first."""
    cosines = geometry.direction.copy()
    turn = np.zeros((3, 3))
    for _ in range(3):
        world_axis, axis = np.unravel_index(int(np.nanargmax(np.abs(cosines))), cosines.shape)
        turn[axis, world_axis] = np.sign(cosines[world_axis, axis])
        cosines[world_axis, :] = np.nan
        cosines[:, axis] = np.nan
    return turn
