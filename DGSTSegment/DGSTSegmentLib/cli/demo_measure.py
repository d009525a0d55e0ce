"""What the demonstration measures: predictions of unseen scans against every node in them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..imaging.files import read_segmentation
from ..imaging.findings import find
from ..imaging.matching import match
from ..training.overlap import dice
from .demo_study import Scan


@dataclass(frozen=True)
class Score:
    """One model on one scan.

    Args:
        dice: overlap of all nodes together, 0 to 1.
        nodes: how many there are.
        found: how many of them the prediction meets (IoU > 0.1).
        false_positives: findings of the prediction that meet none.
    """

    dice: float
    nodes: int
    found: int
    false_positives: int


@dataclass(frozen=True)
class ScanScores:
    """One scan before and after fine-tuning."""

    scan: str
    before: Score
    after: Score


def score(scan: Scan, prediction: str) -> Score:
    """Compare the segmentation in the file ``prediction`` with the scan's annotation, which is complete."""
    reference, predicted = read_segmentation(scan.annotation), read_segmentation(prediction)
    matching = match(find(reference), find(predicted))
    return Score(
        dice=dice(reference.array > 0, predicted.array > 0),
        nodes=len(matching.pairs) + len(matching.missed),
        found=len(matching.pairs),
        false_positives=len(matching.false_positives),
    )


def summary_of(scores: list[ScanScores]) -> dict[str, Any]:
    """Means over the scans; None where nothing was measured."""
    if not scores:
        return {"dice_before": None, "dice_after": None, "scans": []}
    return {
        "dice_before": float(np.mean([s.before.dice for s in scores])),
        "dice_after": float(np.mean([s.after.dice for s in scores])),
        "scans": [asdict(s) for s in scores],
    }
