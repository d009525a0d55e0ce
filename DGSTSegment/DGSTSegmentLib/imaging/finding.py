"""One lymph node candidate with its measurements, and the table of many. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..atomic import write_table
from ..errors import InputError

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

CSV_COLUMNS = (
    "number",
    "label",
    "volume_ml",
    "short_axis_mm",
    "long_axis_mm",
    "extent_x_mm",
    "extent_y_mm",
    "extent_z_mm",
    "centroid_x_lps_mm",
    "centroid_y_lps_mm",
    "centroid_z_lps_mm",
    "mean_hu",
    "confidence",
)
"""Of the table that :func:`write_csv` writes; each name ends in its unit, world coordinates are LPS."""


@dataclass(frozen=True)
class Finding:
    """One lymph node candidate.

    Args:
        number: its value in :attr:`Findings.instances`, from 1.
        label: its value in the segmentation.
        volume_ml: volume, mL.
        short_axis_mm: longest chord across the long axis in the same axial slice, mm.
        long_axis_mm: longest diameter in an axial slice, mm.
        extent_mm: size along the patient's x, y, z, mm.
        centroid: mean position, LPS mm.
        mean_hu: mean of the CT over it, HU; None without a CT.
        confidence: mean probability over it, 0 to 1; None without probabilities.
        box: first voxel and the one after the last, along k, j, i.
    """

    number: int
    label: int
    volume_ml: float
    short_axis_mm: float
    long_axis_mm: float
    extent_mm: tuple[float, float, float]
    centroid: tuple[float, float, float]
    mean_hu: float | None
    confidence: float | None
    box: Box

    def reaches_end(self, shape: tuple[int, int, int]) -> bool:
        """Whether it reaches the end of the grid of that shape (k, j, i): what lies beyond it is not measured."""
        return any(first <= 0 or end >= n for (first, end), n in zip(self.box, shape, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; ``from_json`` reads them back to an equal finding. World coordinates LPS mm."""
        return {
            "number": self.number,
            "label": self.label,
            "volume_ml": self.volume_ml,
            "short_axis_mm": self.short_axis_mm,
            "long_axis_mm": self.long_axis_mm,
            "extent_mm": list(self.extent_mm),
            "centroid_lps_mm": list(self.centroid),
            "mean_hu": self.mean_hu,
            "confidence": self.confidence,
            "box_kji": [list(ends) for ends in self.box],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """Raises:
        InputError: a value is missing or is none.
        """
        try:
            return cls(
                number=int(data["number"]),
                label=int(data["label"]),
                volume_ml=float(data["volume_ml"]),
                short_axis_mm=float(data["short_axis_mm"]),
                long_axis_mm=float(data["long_axis_mm"]),
                extent_mm=tuple(float(x) for x in data["extent_mm"]),
                centroid=tuple(float(x) for x in data["centroid_lps_mm"]),
                mean_hu=None if data["mean_hu"] is None else float(data["mean_hu"]),
                confidence=None if data["confidence"] is None else float(data["confidence"]),
                box=tuple((int(first), int(end)) for first, end in data["box_kji"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"A finding is described wrongly ({error}); find the lymph nodes again.") from error


def write_csv(findings: Iterable[Finding], path: str | os.PathLike) -> None:
    """Write one row a finding; the header names units (mL, mm, HU), world coordinates are LPS. Empty where unknown.

    Cells are separated by commas, in a ``.tsv`` by tabs.

    Raises:
        InputError: the file could not be written.
    """
    write_table(path, [CSV_COLUMNS, *map(csv_cells, findings)])


def csv_cells(item: Finding) -> list[str]:
    """A finding's row under ``CSV_COLUMNS``; empty where unknown."""
    numbers = (item.volume_ml, item.short_axis_mm, item.long_axis_mm, *item.extent_mm, *item.centroid)
    cells = ("" if value is None else f"{value:.3f}" for value in (*numbers, item.mean_hu, item.confidence))
    return [str(item.number), str(item.label), *cells]
