"""Segmentations: label values, and Slicer's ``.seg.nrrd`` with named segments that may lie in several layers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .geometry import Geometry
from .itk import geometry_of
from .volume import Volume


@dataclass(frozen=True)
class Segmentation:
    """Segments as label values of one volume.

    Args:
        volume: label values, 0 for background; unsigned integers as small as they fit.
        names: the names of the label values, where the file gives them.
        notes: sentences on what could not be kept, for the user.
    """

    volume: Volume
    names: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def only_values(segmentation: Volume, values: Collection[int]) -> Volume:
    """The segmentation with all but these values as background."""
    return segmentation.with_array(segmentation.array * np.isin(segmentation.array, list(values)))


@dataclass(frozen=True)
class _Segment:
    name: str
    layer: int
    value: int


def from_image(image: sitk.Image, path: Path) -> Segmentation:
    """The segmentation that ``image``, read from ``path``, holds.

    Each segment gets one label value: its own where no two share one, else its place in the file's list (from 1).
    Where segments overlap, the later one keeps the voxels, and a note says so.

    Raises:
        InputError: values that are no labels, or several values a voxel without Slicer's description of segments, or
            with a wrong one.
    """
    array = sitk.GetArrayFromImage(image)
    try:
        segments = list(_segments(image))
    except ValueError as error:
        raise InputError(f"{path} describes its segments wrongly ({error}); save it again from Slicer.") from error
    if image.GetNumberOfComponentsPerPixel() > 1:
        return _flattened(array, segments, geometry_of(image), path)
    names = {segment.value: segment.name for segment in segments}
    return Segmentation(Volume(as_labels(array, path), geometry_of(image)), names)


def describe_segments(image: sitk.Image, names: Mapping[int, str]) -> None:
    """Write into ``image`` what Slicer reads segments' names and values from."""
    for n, (value, name) in enumerate(names.items()):
        entries = {"ID": f"Segment_{value}", "Name": name, "LabelValue": str(value), "Layer": "0"}
        for key, text in entries.items():
            image.SetMetaData(f"Segment{n}_{key}", text)


def as_labels(array: np.ndarray, path: Path) -> np.ndarray:
    """The values as unsigned integers as small as they fit.

    Raises:
        InputError: there are negative, fractional or not finite values.
    """
    if array.size and not (array.min() >= 0 and array.max() < 2**32):
        raise InputError(_no_labels(path, array.max() if array.min() >= 0 else array.min()))
    labels = array.astype(np.min_scalar_type(int(array.max())))
    if array.dtype.kind == "f" and not np.array_equal(labels, array):
        raise InputError(_no_labels(path, array[labels != array][0]))
    return labels


def _no_labels(path: Path, value: np.generic) -> str:
    exact = str(value).removesuffix(".0")  # :g rounds 0.99999994 to the 1 that it is not
    return (
        f"{path} is not a segmentation, it holds the value {exact}; labels are whole numbers from 0 (background) up,"
        " so check that it is not an image or a probability."
    )


def _segments(image: sitk.Image) -> Iterator[_Segment]:
    keys = image.GetMetaDataKeys()
    numbers = sorted({int(match[1]) for key in keys if (match := re.match(r"Segment(\d+)_", key))})

    def entry(number: int, key: str, otherwise: object) -> str:
        name = f"Segment{number}_{key}"
        return image.GetMetaData(name).strip() if name in keys else str(otherwise)

    # Slicer before 4.11 gave every segment a layer of its own with the value 1 and wrote neither down.
    for number in numbers:
        yield _Segment(
            name=entry(number, "Name", entry(number, "ID", f"Segment {number + 1}")),
            layer=int(entry(number, "Layer", number)),
            value=int(entry(number, "LabelValue", 1)),
        )


def _flattened(layers: np.ndarray, segments: list[_Segment], geometry: Geometry, path: Path) -> Segmentation:
    if not segments or max(segment.layer for segment in segments) >= layers.shape[-1]:
        raise InputError(
            f"{path} holds {layers.shape[-1]} values a voxel and no description of its segments; "
            "export it as one label map, or from Slicer as .seg.nrrd."
        )
    own_values = [segment.value for segment in segments]
    values = own_values if len(set(own_values)) == len(segments) else list(range(1, len(segments) + 1))
    labels = np.zeros(geometry.shape, dtype=np.min_scalar_type(max(values)))
    notes = []
    for segment, value in zip(segments, values, strict=True):
        inside = layers[..., segment.layer] == segment.value
        shared = int(np.count_nonzero(labels[inside]))
        if shared:
            notes.append(f"In {path} the segment {segment.name} takes {shared} voxels that earlier segments also hold.")
        labels[inside] = value
    names = {value: segment.name for segment, value in zip(segments, values, strict=True)}
    return Segmentation(Volume(labels, geometry), names, tuple(notes))
