"""What a reader of the demonstration does with the model's first findings: refuses a few that are no lymph nodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..imaging.files import read_segmentation, write_volume
from ..imaging.findings import find
from ..imaging.volume import Volume
from .demo_study import Study


def with_rejected(study: Study, predictions: list[str], most: int) -> Study:
    """The study with up to ``most`` wrong findings of each prediction refused, the largest first.

    Args:
        study: of phantoms, whose nodes are all known to the reader.
        predictions: a segmentation file for each of ``study.training``.
        most: findings to refuse in each scan.

    Raises:
        InputError: the disk is full.
    """
    cases, rejected = [], 0
    for case, scan, prediction in zip(study.cases, study.training, predictions, strict=True):
        mask, count = wrong_findings(read_segmentation(prediction), read_segmentation(scan.annotation), most)
        path = str(scan.image).replace("-ct.nii.gz", "-rejected.nii.gz")
        if count:
            write_volume(mask, path)
            case = replace(case, rejected=path)
        cases.append(case)
        rejected += count
    return replace(study, cases=cases, rejected=rejected)


def wrong_findings(prediction: Volume, nodes: Volume, most: int) -> tuple[Volume, int]:
    """The largest ``most`` findings of ``prediction`` that touch no node, as a uint8 mask, and how many they are."""
    found = find(prediction)
    touching = set(np.unique(found.instances.array[nodes.array > 0]))
    wrong = sorted((f for f in found.items if f.number not in touching), key=lambda f: -f.volume_ml)[:most]
    mask = np.isin(found.instances.array, [f.number for f in wrong]).astype(np.uint8)
    return prediction.with_array(mask), len(wrong)
