"""The patient around the marked objects, as the 3D panel shows it: skin and bone on a coarse grid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..imaging.geometry import Geometry
from ..imaging.resample import resample_to
from ..imaging.volume import Volume
from .panels import BODY_HU, Field

BONE_HU = 230.0
COARSE_MM = 2.0
SMALLEST_BONE_ML = 1.5


def skin_and_bone(volume: Volume, field: Field) -> dict[str, Volume]:
    """``skin`` and ``bone`` as soft masks (float32, surface at 0.5) on a coarse LPS grid over the field."""
    shape = np.maximum(np.ceil(field.size / COARSE_MM).astype(int), 2)
    grid = Geometry.from_parts(shape[::-1], (COARSE_MM,) * 3, field.low + COARSE_MM / 2)
    ct = resample_to(volume.with_array(volume.array.astype(np.float32)), grid, outside=-1000.0)
    smooth = ndimage.gaussian_filter(ct.array, 0.7)
    body = largest(smooth > BODY_HU)
    bone = without_specks((smooth > BONE_HU) & body, SMALLEST_BONE_ML / grid.voxel_volume_ml)
    return {"skin": softened(body, ct, 1.2), "bone": softened(bone, ct, 0.7)}


def largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def without_specks(mask: np.ndarray, smallest_voxels: float) -> np.ndarray:
    labels, _ = ndimage.label(mask)
    return mask & (np.bincount(labels.ravel()) >= smallest_voxels)[labels]


def softened(mask: np.ndarray, like: Volume, sigma: float) -> Volume:
    """0 to 1: the mask with its steps smoothed; the surface stays at 0.5."""
    return like.with_array(ndimage.gaussian_filter(mask.astype(np.float32), sigma))
