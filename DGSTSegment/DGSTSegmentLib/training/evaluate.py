"""How well a segmentation agrees with a reference: overlap, surfaces, and findings by size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.metrics import compute_average_surface_distance, compute_surface_dice

from ..imaging.components import box_around
from ..imaging.findings import find
from ..imaging.matching import SIZE_CLASSES, DetectionCounts, match
from ..imaging.volume import Volume
from .overlap import dice

TOLERANCE_MM = 2.0
_MARGIN = 2


@dataclass(frozen=True)
class Evaluation:
    """Agreement of one scan's prediction with its reference; any value above 0 is lymph node.

    Args:
        dice: overlap, 1 when both are empty.
        surface_dice: share of both surfaces that lies within ``tolerance_mm`` of the other; 1 when both are empty, 0
            when one is.
        assd_mm: average symmetric surface distance, mm, over the voxels of both surfaces, each of which counts alike
            whatever its area; None when either is empty.
        tolerance_mm: for ``surface_dice``.
        reference_ml, prediction_ml: volumes, mL.
        detection: findings by size.
    """

    dice: float
    surface_dice: float
    assd_mm: float | None
    tolerance_mm: float
    reference_ml: float
    prediction_ml: float
    detection: DetectionCounts

    def to_json(self) -> dict[str, Any]:
        """Plain values; sizes are classes of the short axis, mm."""
        plain = {name: value for name, value in self.__dict__.items() if name != "detection"}
        return {**plain, "detection": detection_json(self.detection)}


def evaluate(
    reference: Volume,
    prediction: Volume,
    tolerance_mm: float = TOLERANCE_MM,
    instances: str = "auto",
    reference_instances: str = "auto",
) -> Evaluation:
    """Compare a prediction with a reference on the same grid.

    Dice; surface Dice (arXiv 1809.04430) and ASSD by MONAI; findings matched one to one by IoU > 0.1.

    Args:
        instances, reference_instances: what a label value of the prediction, of the reference stands for; see
            ``imaging.findings.find``.

    Raises:
        InputError: the two lie on different grids.
    """
    detection = match(find(reference, instances=reference_instances), find(prediction, instances=instances)).counts()
    wanted, given = reference.array > 0, prediction.array > 0
    surface_dice, assd = _surfaces(wanted, given, reference.geometry.spacing_kji, tolerance_mm)
    one_ml = reference.geometry.voxel_volume_ml
    return Evaluation(
        dice=dice(wanted, given),
        surface_dice=surface_dice,
        assd_mm=assd,
        tolerance_mm=tolerance_mm,
        reference_ml=int(wanted.sum()) * one_ml,
        prediction_ml=int(given.sum()) * one_ml,
        detection=detection,
    )


def detection_json(counts: DetectionCounts) -> dict[str, Any]:
    """Recall and false positives per scan by size, as plain values."""
    return {
        "scans": counts.scans,
        "recall": counts.recall(),
        "false_positives_per_scan": counts.false_positives_per_scan(),
        "by_short_axis_mm": {
            size: {
                "reference": counts.reference.get(size, 0),
                "found": counts.found.get(size, 0),
                "false_positives": counts.false_positives.get(size, 0),
            }
            for size in SIZE_CLASSES
        },
    }


def _surfaces(
    wanted: np.ndarray, given: np.ndarray, spacing_kji: tuple[float, float, float], tolerance_mm: float
) -> tuple[float, float | None]:
    if not wanted.any() or not given.any():
        return float(not wanted.any() and not given.any()), None
    box = box_around(wanted | given)
    one_hot = [torch.from_numpy(np.pad(mask[box], _MARGIN))[None, None].float() for mask in (given, wanted)]
    settings = {"include_background": True, "spacing": spacing_kji}
    surface_dice = compute_surface_dice(*one_hot, class_thresholds=[tolerance_mm], use_subvoxels=True, **settings)
    assd = compute_average_surface_distance(*one_hot, symmetric=True, **settings)
    return float(surface_dice), float(assd)
