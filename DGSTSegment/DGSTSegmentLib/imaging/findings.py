"""Findings: the lymph node candidates of a segmentation, one by one, with their measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..errors import InputError
from . import measure
from .components import components_of, pieces_of
from .finding import Finding
from .geometry import Geometry
from .volume import Volume

SAME_GRID_MM = 0.05
_MOST_BOXES = 2**16
_NAMED_VALUES = 8


@dataclass(frozen=True)
class Findings:
    """All findings of a segmentation.

    Args:
        items: in the order of their numbers: by label, then from large to small.
        instances: int32, the number of the finding each voxel belongs to, else 0.
    """

    items: list[Finding]
    instances: Volume


@dataclass(frozen=True)
class _Region:
    label: int
    box: tuple[slice, slice, slice]
    mask: np.ndarray


def find(
    segmentation: Volume, ct: Volume | None = None, probability: Volume | None = None, instances: str = "auto"
) -> Findings:
    """The findings of ``segmentation``, measured.

    Args:
        segmentation: label values, 0 for background.
        ct: HU on the segmentation's grid.
        probability: of being a node, 0 to 1, on the segmentation's grid.
        instances: ``values`` makes each label value one finding, so that touching nodes stay two; ``components`` makes
            each 26-connected component of a label value one, which suits what a network segmented; ``auto`` means
            values where there are several, which suits annotations.

    Raises:
        InputError: ``ct`` or ``probability`` lies on another grid.
        ValueError: ``instances`` is none of the three, or the segmentation holds no integers.
    """
    _refuse_other_grids(segmentation.geometry, {"CT": ct, "probability": probability})
    numbered, regions = _numbered(segmentation, instances)
    items = [_measured(n, region, segmentation.geometry, ct, probability) for n, region in enumerate(regions, start=1)]
    return Findings(items, numbered)


def tell_apart(segmentation: Volume, instances: str = "auto") -> Volume:
    """The findings of ``segmentation`` unmeasured, which of thousands of specks takes most of the time: int32, the
    number that ``find`` gives the finding each voxel belongs to, from 1 without a gap, else 0.

    Args:
        segmentation, instances: as of ``find``.

    Raises:
        ValueError: as ``find``.
    """
    return _numbered(segmentation, instances)[0]


def note_on_scattered_values(segmentation: Volume) -> str | None:
    """What to say of several values of which some lie in several pieces: nodes drawn one by one, or kinds of
    structures (left and right, stations, classes of a network). Only the user knows; None where there is no doubt."""
    labels = _labels(segmentation)
    values = len(_boxes(labels))
    pieces = sum(1 for _ in _regions(labels, "components")) if values > 1 else values
    if pieces == values:
        return None
    return (
        f"holds {values} label values in {pieces} pieces, and each value was taken as one finding; if values are kinds "
        "of structures"
    )


def note_on_values(segmentation: Volume, names: Mapping[int, str] | None = None) -> str | None:
    """What to say of several values that may not all be lymph nodes; None where they plainly are nodes one by one:
    numbered from 1 without a gap or named so, each in one piece.

    Args:
        names: of the values, where the file gives them.
    """
    labels, names = _labels(segmentation), names or {}
    boxes = _boxes(labels)
    if len(boxes) < 2 or all("node" in names.get(value, "").lower() for value in boxes):
        return None
    counted = bool(names) or list(boxes) == list(range(1, len(boxes) + 1))
    if counted and all(components_of(labels[box] == value)[1] == 1 for value, box in boxes.items()):
        return None
    said = [f"{value} ({names[value]})" if value in names else str(value) for value in boxes]
    more = f" and {len(said) - _NAMED_VALUES} more" if len(said) > _NAMED_VALUES else ""
    return f"values {', '.join(said[:_NAMED_VALUES])}{more} are all taken as lymph nodes"


def _labels(segmentation: Volume) -> np.ndarray:
    array = segmentation.array
    if array.dtype.kind not in "iub":
        raise ValueError(f"A segmentation holds integers, not {array.dtype}.")
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _refuse_other_grids(geometry: Geometry, others: dict[str, Volume | None]) -> None:
    for name, volume in others.items():
        if volume is not None and not volume.geometry.same_grid(geometry, SAME_GRID_MM):
            raise InputError(f"The {name} lies on another grid than the segmentation; give those that belong together.")


def _numbered(segmentation: Volume, instances: str) -> tuple[Volume, list[_Region]]:
    """As ``tell_apart``, with the findings in the order of their numbers."""
    numbers, regions = np.zeros(segmentation.array.shape, np.int32), list(_regions(_labels(segmentation), instances))
    for number, region in enumerate(regions, start=1):
        numbers[region.box][region.mask] = number
    return segmentation.with_array(numbers), regions


def _regions(labels: np.ndarray, instances: str) -> Iterator[_Region]:
    """In the order of their numbers.

    Raises:
        ValueError: ``instances`` is none of the three.
    """
    if instances not in ("auto", "values", "components"):
        raise ValueError(f"instances is auto, values or components, not {instances!r}.")
    boxes = _boxes(labels)
    by_value = instances == "values" or (instances == "auto" and len(boxes) > 1)
    for value, box in boxes.items():
        mask = labels[box] == value
        if by_value:
            yield _Region(value, box, mask)
        else:
            yield from _components(value, box, mask)


def _boxes(labels: np.ndarray) -> dict[int, tuple[slice, slice, slice]]:
    """The box of each label value, in rising order."""
    if labels.max() <= _MOST_BOXES:
        return {n: box for n, box in enumerate(ndimage.find_objects(labels), start=1) if box is not None}
    values, places = np.unique(labels, return_inverse=True)
    boxes = ndimage.find_objects(places.reshape(labels.shape) + 1)
    return {int(value): box for value, box in zip(values, boxes, strict=True) if value > 0}


def _components(label: int, place: tuple[slice, ...], mask: np.ndarray) -> list[_Region]:
    regions = [_Region(label, _moved(box, place), piece) for box, piece in pieces_of(mask)]
    return sorted(regions, key=lambda region: -np.count_nonzero(region.mask))


def _measured(number: int, region: _Region, grid: Geometry, ct: Volume | None, probability: Volume | None) -> Finding:
    crop = Volume(region.mask, grid.cropped(region.box))
    long_axis, short_axis = measure.axes_mm(crop)
    return Finding(
        number=number,
        label=region.label,
        volume_ml=int(np.count_nonzero(region.mask)) * grid.voxel_volume_ml,
        short_axis_mm=short_axis,
        long_axis_mm=long_axis,
        extent_mm=measure.extent_mm(crop),
        centroid=measure.centroid(crop),
        mean_hu=_mean(ct, region),
        confidence=_mean(probability, region),
        box=tuple((part.start, part.stop) for part in region.box),
    )


def _mean(volume: Volume | None, region: _Region) -> float | None:
    return None if volume is None else float(volume.array[region.box][region.mask].mean(dtype=np.float64))


def _moved(box: tuple[slice, ...], within: tuple[slice, ...]) -> tuple[slice, slice, slice]:
    return tuple(
        slice(inner.start + outer.start, inner.stop + outer.start) for inner, outer in zip(box, within, strict=True)
    )
