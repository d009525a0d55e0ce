"""From one grid to another, whatever their directions."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from . import itk
from .components import box_around, components_of
from .geometry import Geometry
from .volume import Volume

_INTERPOLATORS = {"nearest": sitk.sitkNearestNeighbor, "linear": sitk.sitkLinear, "cubic": sitk.sitkBSpline}
_SAME_WITHIN_VOXELS = 0.01
_ENOUGH_POINTS = 200_000


def resample_to(
    volume: Volume, geometry: Geometry, interpolation: str = "linear", outside: float | None = None
) -> Volume:
    """The volume's values at the voxel centres of ``geometry``.

    Args:
        interpolation: ``linear`` or ``cubic`` (B-spline) for images, ``nearest`` for labels.
        outside: value of voxels outside the volume; None means 0 for ``nearest``, else the volume's lowest value (air
            in a CT).

    Returns:
        Volume of the same kind of number; integers are rounded, and cubic overshoot is cut to their range.
    """
    if outside is None:
        outside = 0.0 if interpolation == "nearest" else float(volume.array.min())
    dtype = volume.array.dtype
    blended = interpolation != "nearest" and dtype.kind in "iub"
    source = volume.with_array(volume.array.astype(np.float32)) if blended else volume
    grid = sitk.ResampleImageFilter()
    grid.SetSize(geometry.shape[::-1])
    grid.SetOutputSpacing(geometry.spacing)
    grid.SetOutputOrigin(geometry.origin)
    grid.SetOutputDirection(geometry.direction.ravel().tolist())
    grid.SetInterpolator(_INTERPOLATORS[interpolation])
    grid.SetDefaultPixelValue(outside)
    array = sitk.GetArrayFromImage(grid.Execute(itk.to_itk(source)))
    return Volume(_rounded(array, dtype) if blended else array.astype(dtype, copy=False), geometry)


def onto_grid_of(
    annotation: Volume, image: Volume, name: str = "The annotation", its_name: str = "the image"
) -> tuple[Volume, str | None]:
    """The annotation on the image's grid, and a sentence where it had to be resampled for that.

    A mark that no voxel of the image is nearest to takes those it lies in, so that no small node vanishes.

    Args:
        annotation: label values.
        name, its_name: what the sentences call the annotation and the image, their files say.

    Raises:
        InputError: they do not overlap, or all that is marked lies outside the image.
    """
    if annotation.geometry.same_grid(image.geometry, _SAME_WITHIN_VOXELS * min(image.geometry.spacing)):
        return Volume(annotation.array, image.geometry), None
    outside = fraction_marked_outside(annotation, image.geometry)
    if not _boxes_overlap(annotation.geometry, image.geometry) or outside == 1.0:
        raise InputError(f"{name} does not lie where {its_name} lies; check that both belong to the same scan.")
    resampled = resample_to(annotation, image.geometry, "nearest")
    kept = _keep_every_mark(annotation, resampled)
    losses = _losses(annotation, resampled, outside)
    if kept:
        places = "1 place" if kept == 1 else f"{kept} places"
        losses += f"; what it marks in {places} is finer than {its_name}'s voxels and took those it lies in"
    return resampled, f"{name} was on another grid than {its_name} and was resampled to it{losses}."


def continued_over(labels: Volume, other: Volume) -> Volume | None:
    """The labels on their own grid, continued by empty voxels as far as ``other`` marks something; None where that lies
    within it already."""
    box = box_around(other.array)
    if box is None:
        return None
    reach = labels.geometry.to_index(other.geometry.cropped(box).corners())
    before = np.ceil(-0.5 - reach.min(axis=0) - _SAME_WITHIN_VOXELS).astype(int).clip(0)
    after = np.ceil(reach.max(axis=0) + 0.5 - labels.geometry.shape - _SAME_WITHIN_VOXELS).astype(int).clip(0)
    if not before.any() and not after.any():
        return None
    wider = [slice(-first, size + last) for first, size, last in zip(before, labels.geometry.shape, after, strict=True)]
    array = np.pad(labels.array, list(zip(before, after, strict=True)))
    return Volume(array, labels.geometry.cropped(tuple(wider)))


def _keep_every_mark(annotation: Volume, resampled: Volume) -> int:
    """Give each 26-connected mark, and each label value, that lost all its voxels those of ``resampled`` it lies in.

    Returns:
        How many marks were given any.
    """
    box = box_around(annotation.array)
    if box is None:
        return 0
    labels = Volume(annotation.array[box], annotation.geometry.cropped(box))
    marks, count = components_of(labels.array)
    seen = np.zeros(count + 1, dtype=bool)
    seen[resample_to(labels.with_array(marks), resampled.geometry, "nearest").array] = True
    lost = ~seen[marks] | np.isin(labels.array, _lost_values(annotation, resampled))
    voxels = np.argwhere(lost & (marks > 0))
    there = np.rint(resampled.geometry.to_index(labels.geometry.to_world(voxels))).astype(int)
    free = ((there >= 0) & (there < resampled.geometry.shape)).all(axis=1)
    free[free] = resampled.array[tuple(there[free].T)] == 0
    resampled.array[tuple(there[free].T)] = labels.array[tuple(voxels[free].T)]
    return len(np.unique(marks[tuple(voxels[free].T)]))


def _losses(before: Volume, after: Volume, outside: float) -> str:
    lost = _lost_values(before, after)
    sentences = [f"; {outside:.1%} of what it marks lies outside the image"] if outside > 0 else []
    if lost:
        sentences.append(f"; nothing was left of the label values {', '.join(map(str, lost))}")
    return "".join(sentences)


def _lost_values(before: Volume, after: Volume) -> list[int]:
    return sorted(set(_label_values(before)) - set(_label_values(after)))


def _label_values(labels: Volume) -> list[int]:
    return np.unique(labels.array[labels.array != 0]).tolist()


def fraction_marked_outside(annotation: Volume, geometry: Geometry) -> float:
    """Share of the marked voxels, 0 to 1, whose centers lie outside a grid; of very many, evenly chosen ones count."""
    marked = np.flatnonzero(annotation.array)
    if not len(marked):
        return 0.0
    marked = np.unravel_index(marked[:: max(1, len(marked) // _ENOUGH_POINTS)], annotation.array.shape)
    index = geometry.to_index(annotation.geometry.to_world(np.column_stack(marked)))
    inside = ((index >= -0.5) & (index <= np.array(geometry.shape) - 0.5)).all(axis=1)
    return 1.0 - float(inside.mean())


def _boxes_overlap(one: Geometry, other: Geometry) -> bool:
    """Whether no plane separates the two boxes (separating axis theorem)."""
    faces = [np.linalg.inv(box.ijk_to_world[:3, :3]) for box in (one, other)]
    edges = np.cross(one.direction.T[:, None], other.direction.T[None, :]).reshape(9, 3)
    normals = np.concatenate([*faces, edges])
    first, second = one.corners() @ normals.T, other.corners() @ normals.T
    gaps = np.maximum(first.min(axis=0) - second.max(axis=0), second.min(axis=0) - first.max(axis=0))
    return bool((gaps <= 1e-9).all())


def _rounded(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "b":
        return array >= 0.5
    limits = np.iinfo(dtype)
    return np.clip(np.rint(array), limits.min, limits.max).astype(dtype)
