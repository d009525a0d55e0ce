"""Cases brought into the foundation model's grid, kept as plain array files, so that many scans need little memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
from scipy.special import expit

from ..errors import InputError
from ..networks.preprocessing import prepare, prepare_labels, restore_scores
from .case import Case
from .knowledge import UNKNOWN, knowledge_of
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
        return {"image": prepared.array[0], "knowledge": _in_model_grid(case, knowledge_of(case), prepared)}
    scores = foundation.scores(prepared)
    nodes = most_likely(restore_scores(scores, prepared)) > 0 if case.completeness == "marked" else None
    knowledge = _in_model_grid(case, knowledge_of(case, nodes), prepared)
    arrays = {"image": prepared.array[0], "knowledge": knowledge}
    if (knowledge == UNKNOWN).any():
        arrays["teacher"] = expit(scores[1] - scores[0]).astype(np.float32)
    return arrays


def _in_model_grid(case: Case, knowledge: np.ndarray, prepared) -> np.ndarray:
    return prepare_labels(case.image.with_array(knowledge), prepared)


def _mapped(name: str, folder: Path) -> PreparedCase:
    arrays = {
        part: np.load(folder / f"{part}.npy", mmap_mode="r") for part in PARTS if (folder / f"{part}.npy").exists()
    }
    return PreparedCase(name, **arrays)
