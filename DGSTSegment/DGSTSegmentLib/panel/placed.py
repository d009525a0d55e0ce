"""Masks that know their place on a scan's grid, and what two of them have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..imaging.finding import Box

HALF = 0.5
"""From this share of the smaller of two marks on that both hold, they are one node."""


@dataclass(frozen=True, eq=False)
class PlacedMask:
    """A mask (bool, k j i) whose first voxel is ``first`` (k, j, i) of the grid that it lies on, mostly the scan's."""

    mask: np.ndarray
    first: tuple[int, ...]

    @classmethod
    def of(cls, whole: np.ndarray) -> PlacedMask:
        """What holds for every voxel of the grid."""
        return cls(np.asarray(whole, dtype=bool), (0, 0, 0))

    @property
    def box(self) -> Box:
        return tuple((low, low + n) for low, n in zip(self.first, self.mask.shape, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        """The part of the grid's arrays that it says something of."""
        return tuple(slice(low, end) for low, end in self.box)

    def tight(self) -> PlacedMask:
        """The same in the smallest box; it holds a voxel."""
        spans = [np.flatnonzero(self.mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        inner = self.mask[tuple(slice(span[0], span[-1] + 1) for span in spans)]
        return PlacedMask(inner, tuple(first + int(span[0]) for first, span in zip(self.first, spans, strict=True)))

    def shared(self, other: PlacedMask) -> int:
        """How many voxels both hold."""
        spans = self._sharedSpans(other)
        return 0 if spans is None else int(np.count_nonzero(self._cut(spans) & other._cut(spans)))

    def isSameNode(self, other: PlacedMask) -> bool:
        """Whether half of the smaller one lies in the other."""
        both = self.shared(other)
        return both > 0 and both >= HALF * min(int(np.count_nonzero(one.mask)) for one in (self, other))

    def united(self, other: PlacedMask) -> PlacedMask:
        """What either holds."""
        low = tuple(min(pair) for pair in zip(self.first, other.first, strict=True))
        high = (max(c, d) for (_, c), (_, d) in zip(self.box, other.box, strict=True))
        union = PlacedMask(np.zeros([end - first for first, end in zip(low, high, strict=True)], bool), low)
        for one in (self, other):
            union._cut(one.box)[...] |= one.mask
        return union

    def without(self, other: PlacedMask) -> PlacedMask:
        """What the other one does not hold."""
        rest = PlacedMask(self.mask.copy(), self.first)
        spans = self._sharedSpans(other)
        if spans is not None:
            rest._cut(spans)[...] &= ~other._cut(spans)
        return rest

    def turned(self, slices: int) -> PlacedMask:
        """The same on the same grid of so many slices (along k) once these are kept in the other order."""
        return PlacedMask(self.mask[::-1], (slices - self.box[0][1], *self.first[1:]))

    def _sharedSpans(self, other: PlacedMask) -> list[tuple[int, int]] | None:
        """The box that lies in the boxes of both; None where there is none."""
        spans = [(max(a, b), min(c, d)) for (a, c), (b, d) in zip(self.box, other.box, strict=True)]
        return spans if all(low < high for low, high in spans) else None

    def _cut(self, spans) -> np.ndarray:
        return self.mask[tuple(slice(low - f, high - f) for (low, high), f in zip(spans, self.first, strict=True))]


def sameNodeIn(marks: Mapping[str, PlacedMask], found: PlacedMask) -> str | None:
    """The key of the mark that is the same node as ``found``; of several the one that shares most voxels with it."""
    shared = {id_: found.shared(mark) for id_, mark in marks.items()}
    same = [id_ for id_, count in shared.items() if count and found.isSameNode(marks[id_])]
    return max(same, key=shared.__getitem__, default=None)
