"""Which predicted finding is which of the reference's: detection counts by size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from .findings import SAME_GRID_MM, Finding, Findings
from .volume import Volume

SIZE_CLASSES = ("<5", "5-10", ">=10")
"""Size classes of lymph nodes by their short axis, mm."""


@dataclass(frozen=True)
class Pair:
    """A finding of the reference and the predicted one that stands for it."""

    reference: Finding
    prediction: Finding
    iou: float


@dataclass(frozen=True)
class DetectionCounts:
    """What was there, found, and found wrongly in one or more scans, by size class; adding sums over scans.

    A finding of the reference counts in its own size class, a false positive in the prediction's.
    """

    scans: int = 0
    reference: Mapping[str, int] = field(default_factory=dict)
    found: Mapping[str, int] = field(default_factory=dict)
    false_positives: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: DetectionCounts) -> DetectionCounts:
        return DetectionCounts(
            self.scans + other.scans,
            _added(self.reference, other.reference),
            _added(self.found, other.found),
            _added(self.false_positives, other.false_positives),
        )

    def recall(self, size: str | None = None) -> float | None:
        """Fraction of the reference's findings (of one size class, or all) that were found; None where there are
        none."""
        there = _count(self.reference, size)
        return _count(self.found, size) / there if there else None

    def false_positives_per_scan(self, size: str | None = None) -> float | None:
        """Mean number of false positives (of one size class, or all) a scan, scans without nodes included."""
        return _count(self.false_positives, size) / self.scans if self.scans else None


@dataclass(frozen=True)
class Matching:
    """The pairs of one scan, and what is left over on both sides."""

    pairs: list[Pair]
    missed: list[Finding]
    false_positives: list[Finding]

    def counts(self) -> DetectionCounts:
        """The scan's counts by size class."""
        found = [pair.reference for pair in self.pairs]
        return DetectionCounts(1, _by_size(found + self.missed), _by_size(found), _by_size(self.false_positives))


def match(reference: Findings, prediction: Findings, min_iou: float = 0.1) -> Matching:
    """Pair findings one to one, the largest overlap first.

    Overlap is measured as intersection over union (IoU); pairs need more than ``min_iou``. Equal overlaps go by the
    findings' numbers.

    Raises:
        InputError: both lie on different grids.
    """
    matched = match_numbers(reference.instances, prediction.instances, min_iou)
    taken = {offered for offered, _ in matched.values()}
    predicted = {item.number: item for item in prediction.items}
    return Matching(
        [
            Pair(item, predicted[matched[item.number][0]], matched[item.number][1])
            for item in reference.items
            if item.number in matched
        ],
        [item for item in reference.items if item.number not in matched],
        [item for item in prediction.items if item.number not in taken],
    )


def match_numbers(reference: Volume, prediction: Volume, min_iou: float = 0.1) -> dict[int, tuple[int, float]]:
    """As ``match``, of findings that need not be measured: number in the reference -> (number in the prediction, IoU).

    Args:
        reference, prediction: the number of the finding each voxel belongs to, from 1, else 0.

    Raises:
        InputError: both lie on different grids.
    """
    overlaps = [overlap for overlap in _overlaps(reference, prediction) if overlap[0] > min_iou]
    matched: dict[int, tuple[int, float]] = {}
    taken = set()
    for iou, wanted, offered in sorted(overlaps, key=lambda overlap: (-overlap[0], overlap[1:])):
        if wanted not in matched and offered not in taken:
            matched[wanted] = (offered, iou)
            taken.add(offered)
    return matched


def size_class(short_axis_mm: float) -> str:
    """The size class of a node with this short axis (mm), one of :data:`SIZE_CLASSES`."""
    if short_axis_mm < 5:
        return "<5"
    return "5-10" if short_axis_mm < 10 else ">=10"


def _overlaps(reference: Volume, prediction: Volume) -> list[tuple[float, int, int]]:
    """(IoU, number in the reference, number in the prediction) of all findings that share voxels."""
    if not reference.geometry.same_grid(prediction.geometry, SAME_GRID_MM):
        raise InputError("Reference and prediction lie on different grids; resample one to the other first.")
    ours, theirs = reference.array, prediction.array
    both = np.flatnonzero((ours != 0) & (theirs != 0))
    sizes, predicted_sizes = _sizes(ours), _sizes(theirs)
    columns = len(predicted_sizes)
    pairs, shared = np.unique(ours.flat[both].astype(np.int64) * columns + theirs.flat[both], return_counts=True)
    wanted, offered = pairs // columns, pairs % columns
    iou = shared / (sizes[wanted] + predicted_sizes[offered] - shared)
    return list(zip(iou.tolist(), wanted.tolist(), offered.tolist(), strict=True))


def _sizes(numbers: np.ndarray) -> np.ndarray:
    """Voxels of each finding, indexed by its number."""
    return np.bincount(numbers[numbers != 0], minlength=1)


def _by_size(findings: Iterable[Finding]) -> dict[str, int]:
    classes = [size_class(item.short_axis_mm) for item in findings]
    return {size: classes.count(size) for size in SIZE_CLASSES}


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {size: one.get(size, 0) + other.get(size, 0) for size in SIZE_CLASSES}


def _count(counts: Mapping[str, int], size: str | None) -> int:
    return sum(counts.values()) if size is None else counts.get(size, 0)
