"""Cases brought into the foundation model's grid, kept as plain array files, so that many scans need little memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..atomic import atomic_folder, flush_to_disk
from ..errors import InputError
from ..imaging.arrays import save_array
from ..imaging.components import components_of
from ..networks.plan import Plan
from ..networks.preprocessing import Prepared, prepare, prepare_every_label, prepare_labels
from .case import Case
from .events import Reporter
from .knowledge import NODE, knowledge_of
from .patches import PreparedCase

PARTS = ("image", "knowledge")
FORMAT = "1"
"""Of what is prepared; another one where that comes to mean something else, so that runs prepare their cases anew."""


def prepare_case(
    name: str, read: Callable[[], Case], plan: Plan, folder: Path, reporter: Reporter | None = None
) -> PreparedCase:
    """A case in the foundation model's grid; its arrays are written to ``folder`` and mapped from there.

    What an earlier call left there complete is used as it is.

    Args:
        name: of the case.
        read: gives the case; called only where it was not prepared yet.
        plan: the foundation model's preprocessing.
        folder: of this case alone.
        reporter: hears of nodes that the model's voxels are too thick for.

    Raises:
        InputError: the disk is full; nothing half-written stays.
    """
    if not is_prepared(folder):
        write_arrays(_computed(read(), plan, reporter or Reporter()), _place(folder))
    return _mapped(name, _place(folder))


def is_prepared(folder: Path) -> bool:
    """Whether ``prepare_case`` finds the case there, as this version of the program writes it."""
    return _place(folder).exists()


def _place(folder: Path) -> Path:
    return folder / FORMAT


def write_arrays(arrays: dict[str, np.ndarray], folder: Path) -> None:
    """Write arrays as ``.npy`` of these names to a new folder, which is there with all of them or not at all.

    Raises:
        InputError: the disk is full; nothing half-written stays.
    """
    try:
        with atomic_folder(folder) as partial:
            for name, array in arrays.items():
                save_array(partial / f"{name}.npy", array)
                flush_to_disk(partial / f"{name}.npy")
    except OSError as error:
        raise InputError(
            f"{folder} could not be written ({error.strerror}); free some space, then go on with the run."
        ) from error


def _computed(case: Case, plan: Plan, reporter: Reporter) -> dict[str, np.ndarray]:
    prepared = prepare(case.image, plan)
    return {"image": prepared.array[0], "knowledge": _in_model_grid(case, prepared, reporter)}


def _in_model_grid(case: Case, prepared: Prepared, reporter: Reporter) -> np.ndarray:
    """The knowledge map in the model's grid, in which every marked node is left, however thin it was drawn."""
    coarse = prepare_labels(case.image.with_array(knowledge_of(case)), prepared)
    nodes, count = components_of(case.annotation.array > 0)
    kept = prepare_every_label(case.annotation.with_array(nodes), prepared)
    thin = count - np.count_nonzero(np.bincount(kept[coarse == NODE], minlength=1)[1:])
    if thin:
        reporter.note(
            f"{case.name}: {thin} of {count} marked nodes are thinner than the model's voxels; each is learned as one "
            "voxel thick, so mark nodes in all slices that they are seen in."
        )
    coarse[kept > 0] = NODE
    return coarse


def _mapped(name: str, folder: Path) -> PreparedCase:
    return PreparedCase(name, **{part: np.load(folder / f"{part}.npy", mmap_mode="r") for part in PARTS})
