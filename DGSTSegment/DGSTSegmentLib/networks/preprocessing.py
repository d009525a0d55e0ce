"""A volume as the network wants it, and the network's scores back on the volume's own grid.

Order of work, as in nnU-Net's default preprocessor: axes (LPS order first, which nnU-Net does not do) - transpose -
crop to nonzero - normalise - resample. Back the same way in reverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..imaging.geometry import Geometry
from ..imaging.orientation import in_axis_order_of, lps_order
from ..imaging.volume import Volume
from .grid_zoom import coarse_axis, zoom, zoom_nearest, zoomed_shape
from .plan import Plan

OUTSIDE_SCORE = -30.0
"""Logit of every class but background where the model was never asked: below 1e-13 as a probability."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A volume in the model's own grid, and the way back.

    Args:
        array: float32 [1, k, j, i], normalised, at the plan's spacing, axes transposed.
        plan: how it was made.
        source: the grid of the volume as it is stored.
        box: for each axis of the oriented, transposed array, first voxel kept and first one after.
        spacing_kji: spacing (mm) along those axes before resampling.
    """

    array: np.ndarray
    plan: Plan
    source: Geometry
    box: tuple[tuple[int, int], ...]
    spacing_kji: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (k, j, i) of the model's grid."""
        return self.array.shape[1:]

    @property
    def box_shape(self) -> tuple[int, int, int]:
        """Voxels that the box held before resampling."""
        return tuple(stop - start for start, stop in self.box)


def prepare(volume: Volume, plan: Plan) -> Prepared:
    """A CT (HU) as the model wants it: oriented, transposed, cropped, normalised, resampled to the plan's spacing.

    Same numbers as nnU-Net's default preprocessor on a volume stored in LPS order, to float32 rounding.
    """
    array, spacing = _oriented(volume, plan)
    box = _nonzero_box(array) if plan.crop_to_nonzero else tuple((0, n) for n in array.shape)
    cropped = array[_slices(box)].astype(np.float32)
    normalized = _normalized(cropped, plan)
    shape = zoomed_shape(normalized.shape, spacing, plan.spacing_kji)
    nearest_axis = coarse_axis(spacing, plan.spacing_kji, plan.separate_z)
    prepared = zoom(normalized, shape, plan.image_order, nearest_axis)
    return Prepared(np.ascontiguousarray(prepared)[None], plan, volume.geometry, box, spacing)


def prepare_labels(labels: Volume, prepared: Prepared) -> np.ndarray:
    """Labels or a mask [k, j, i] in the model's grid, by nearest neighbour, same type.

    Raises:
        ValueError: the labels do not lie on the grid of the volume that was prepared.
    """
    if not labels.geometry.same_grid(prepared.source, tolerance_mm=1e-2):
        raise ValueError("The labels lie on another grid than the volume they belong to.")
    array, _ = _oriented(labels.with_array(np.asarray(labels.array)), prepared.plan)
    return np.ascontiguousarray(zoom_nearest(array[_slices(prepared.box)], prepared.shape))


def prepare_every_label(labels: Volume, prepared: Prepared) -> np.ndarray:
    """As ``prepare_labels``, but a label that no voxel of the model's grid is nearest to takes those it lies in.

    Raises:
        ValueError: the labels do not lie on the grid of the volume that was prepared.
    """
    found = prepare_labels(labels, prepared)
    array, _ = _oriented(labels, prepared.plan)
    array = array[_slices(prepared.box)]
    scale = np.asarray(found.shape) / np.asarray(array.shape)
    boxes = ndimage.find_objects(array)
    kept = ndimage.find_objects(found, max_label=len(boxes))
    for value, (box, there) in enumerate(zip(boxes, kept, strict=True), start=1):
        if box is not None and there is None:
            voxels = np.argwhere(array[box] == value) + [part.start for part in box]
            inside = np.floor((voxels + 0.5) * scale).astype(int)
            found[tuple(np.minimum(inside, np.asarray(found.shape) - 1).T)] = value
    return found


def restore_scores(scores: np.ndarray | Sequence[np.ndarray], prepared: Prepared) -> np.ndarray:
    """Scores of the classes (logits; [c, k, j, i] in the model's grid, background first) on the volume's stored grid.

    Resampled class by class (order 1 as in nnU-Net); where the crop left voxels out, background is certain.

    Returns:
        float32 [c, k, j, i], voxel for voxel on ``prepared.source``.
    """
    restored = np.empty((len(scores), *prepared.source.shape), dtype=np.float32)
    for channel, channel_scores in enumerate(scores):
        outside = 0.0 if channel == 0 else OUTSIDE_SCORE
        restored[channel] = _restored(np.asarray(channel_scores), prepared, outside)
    return restored


def _restored(scores: np.ndarray, prepared: Prepared, outside: float) -> np.ndarray:
    plan = prepared.plan
    nearest_axis = coarse_axis(plan.spacing_kji, prepared.spacing_kji, plan.separate_z)
    in_box = zoom(scores, prepared.box_shape, plan.score_order, nearest_axis)
    oriented = _oriented_geometry(prepared.source, plan.orientation)
    whole = np.full([oriented.shape[axis] for axis in plan.transpose], outside, dtype=np.float32)
    whole[_slices(prepared.box)] = in_box
    return in_axis_order_of(Volume(whole.transpose(np.argsort(plan.transpose)), oriented), prepared.source).array


def _oriented(volume: Volume, plan: Plan) -> tuple[np.ndarray, tuple[float, float, float]]:
    """The array with the plan's axes, and its spacing along them."""
    geometry = _oriented_geometry(volume.geometry, plan.orientation)
    array = volume.array if geometry is volume.geometry else in_axis_order_of(volume, geometry).array
    # Spacings come as norms of matrix columns; their last digits are noise that would decide ties of rounding.
    spacing = tuple(round(geometry.spacing_kji[axis], 9) for axis in plan.transpose)
    return array.transpose(plan.transpose), spacing


def _oriented_geometry(geometry: Geometry, orientation: str) -> Geometry:
    if orientation == "as-stored":
        return geometry
    lps = lps_order(geometry)
    return lps if orientation == "lps" else _flipped_ij(lps)


def _flipped_ij(geometry: Geometry) -> Geometry:
    last_i, last_j = geometry.shape[2] - 1, geometry.shape[1] - 1
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    flip[:2, 3] = last_i, last_j
    return Geometry(geometry.shape, geometry.ijk_to_world @ flip)


def _nonzero_box(array: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Bounding box of the nonzero voxels; everything where there is none."""
    box = []
    nonzero = array != 0
    for axis in range(3):
        found = np.flatnonzero(nonzero.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append((int(found[0]), int(found[-1]) + 1) if len(found) else (0, array.shape[axis]))
    return tuple(box)


def _normalized(image: np.ndarray, plan: Plan) -> np.ndarray:
    """``image`` (HU, float32, changed in place) as the network wants it."""
    if plan.normalization == "ct":
        np.clip(image, plan.lower, plan.upper, out=image)
        image -= np.float32(plan.mean)
        image /= np.float32(max(plan.std, 1e-8))
    elif plan.normalization == "zscore":
        where = ndimage.binary_fill_holes(image != 0) if plan.within_nonzero else slice(None)
        mean, std = image[where].mean(), image[where].std()
        image[where] = (image[where] - mean) / max(std, 1e-8)
    elif plan.normalization == "rescale01":
        image -= image.min()
        image /= max(image.max(), 1e-8)
    return image


def _slices(box: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    return tuple(slice(start, stop) for start, stop in box)
