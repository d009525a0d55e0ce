"""Cases brought into the foundation model's grid, kept as plain array files, so that many scans need little memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.special import expit

from ..errors import InputError
from ..networks.preprocessing import Prepared, prepare, prepare_every_label, prepare_labels, restore_scores
from .case import Case
from .knowledge import NODE, UNKNOWN, knowledge_of
from .patches import PreparedCase
from .predict import Predictor, most_likely

PARTS = ("image", "knowledge", "teacher")


def prepare_case(case: Case, foundation: Predictor, folder: Path) -> PreparedCase:
    """A case in the foundation model's grid; its arrays are written to ``folder`` and mapped from there.

    What an earlier call left there complete is used as it is.

    Args:
        case: image, annotation, completeness.
        foundation: predicts where the case leaves voxels unknown; only then it is asked.
        folder: of this case alone.

    Raises:
        InputError: the disk is full; nothing half-written stays.
    """
    if not folder.exists():
        _write(_computed(case, foundation), folder)
    return _mapped(case.name, folder)


def _write(arrays: dict[str, np.ndarray], folder: Path) -> None:
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for name, array in arrays.items():
            np.save(partial / f"{name}.npy", array)
        os.replace(partial, folder)
    except OSError as error:  # without an error number where numpy could not write all
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(
            f"{folder} could not be written ({error.strerror or error}); free some space, then go on with the run."
        ) from error


def _computed(case: Case, foundation: Predictor) -> dict[str, np.ndarray]:
    prepared = prepare(case.image, foundation.plan)
    if case.completeness == "all":
        return {"image": prepared.array[0], "knowledge": _in_model_grid(case, knowledge_of(case), prepared, foundation)}
    scores = foundation.scores(prepared)
    nodes = most_likely(restore_scores(scores, prepared)) > 0 if case.completeness == "marked" else None
    knowledge = _in_model_grid(case, knowledge_of(case, nodes), prepared, foundation)
    arrays = {"image": prepared.array[0], "knowledge": knowledge}
    if (knowledge == UNKNOWN).any():
        arrays["teacher"] = expit(scores[1] - scores[0]).astype(np.float32)
    return arrays


def _in_model_grid(case: Case, knowledge: np.ndarray, prepared: Prepared, foundation: Predictor) -> np.ndarray:
    """The knowledge map in the model's grid, in which every marked node is left, however thin it was drawn."""
    coarse = prepare_labels(case.image.with_array(knowledge), prepared)
    nodes, count = ndimage.label(case.annotation.array > 0, np.ones((3, 3, 3)))
    kept = prepare_every_label(case.annotation.with_array(nodes), prepared)
    thin = count - np.count_nonzero(np.bincount(kept[coarse == NODE], minlength=1)[1:])
    if thin:
        foundation.reporter.note(
            f"{case.name}: {thin} of {count} marked nodes are thinner than the model's voxels; each is learned as one "
            "voxel thick, so mark nodes in all slices that they are seen in."
        )
    coarse[kept > 0] = NODE
    return coarse


def _mapped(name: str, folder: Path) -> PreparedCase:
    arrays = {
        part: np.load(folder / f"{part}.npy", mmap_mode="r") for part in PARTS if (folder / f"{part}.npy").exists()
    }
    return PreparedCase(name, **arrays)
