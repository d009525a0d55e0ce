"""What is measured of a model on scans of which every node is known, and how a row's numbers come from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from DGSTSegmentLib.imaging.matching import SIZE_CLASSES, DetectionCounts
from DGSTSegmentLib.training.evaluate import detection_json, evaluate
from DGSTSegmentLib.training.predict import Predictor

if TYPE_CHECKING:
    from .data import Scan

Measured = dict[str, Any]


@dataclass(frozen=True)
class Quantity:
    """A number of a row that is reported.

    Args:
        name: in tables.
        title: for people, with its unit.
        digits: after the point.
        higher_is_better: None where neither is.
        compared: whether paired differences to the reference strategy are tested.
    """

    name: str
    title: str
    digits: int
    higher_is_better: bool | None
    compared: bool = False


QUANTITIES = (
    Quantity("target_dice", "target Dice", 3, True, compared=True),
    Quantity("surface_dice", "surface Dice (2 mm)", 3, True, compared=True),
    Quantity("source_dice", "source Dice", 3, True, compared=True),
    Quantity("recall", "recall", 2, True, compared=True),
    *(Quantity(f"recall {size} mm", f"recall {size} mm", 2, True) for size in SIZE_CLASSES),
    Quantity("false_positives", "false positives / scan", 2, False, compared=True),
    *(Quantity(f"false_positives {size} mm", f"false positives {size} mm / scan", 2, False) for size in SIZE_CLASSES),
    Quantity("weights_changed", "weights changed, %", 2, None),
    Quantity("seconds", "training, s", 1, False),
    Quantity("peak_memory_mb", "peak memory, MB", 0, False),
)


def measure(predictor: Predictor, scans: Sequence[Scan]) -> Measured | None:
    """A model on scans: Dice and surface Dice (tolerance 2 mm) by scan, findings by size over all; None for no scan.

    Dice is None in a scan without nodes, where it could only be 0 or 1; such a scan counts for false positives.
    """
    if not scans:
        return None
    dice, surface_dice, counts = [], [], DetectionCounts()
    for scan in scans:
        ct, nodes = scan.read()
        found = evaluate(nodes, predictor.segment(ct, name=scan.name).segmentation)
        occupied = bool(nodes.array.any())
        dice.append(round(found.dice, 5) if occupied else None)
        surface_dice.append(round(found.surface_dice, 5) if occupied else None)
        counts = counts + found.detection
    return {
        "scans": [scan.name for scan in scans],
        "dice": dice,
        "surface_dice": surface_dice,
        "detection": detection_json(counts),
    }


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of the values that there are; None where there is none."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def quantities_of(row: dict[str, Any]) -> dict[str, float | None]:
    """The reported numbers of a row, by the names in ``QUANTITIES``; None where one could not be measured."""
    target, source = row["target"], row.get("source")
    detection = target["detection"]
    numbers = {
        "target_dice": mean_of(target["dice"]),
        "surface_dice": mean_of(target["surface_dice"]),
        "source_dice": mean_of(source["dice"]) if source else None,
        "recall": detection["recall"],
        "false_positives": detection["false_positives_per_scan"],
        "weights_changed": 100 * row["weights_changed"],
        "seconds": row["seconds"].get("processor" if row.get("device") == "cpu" else "train"),
        "peak_memory_mb": row.get("peak_memory_mb"),
    }
    for size, counts in detection["by_short_axis_mm"].items():
        there = counts["reference"]
        numbers[f"recall {size} mm"] = counts["found"] / there if there else None
        numbers[f"false_positives {size} mm"] = counts["false_positives"] / detection["scans"]
    return numbers
