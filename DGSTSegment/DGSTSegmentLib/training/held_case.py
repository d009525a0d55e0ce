"""A held-out case between the two times that it measures: on disk, so that none is in memory while a network trains.

It lies in the run's cache whole, so that the run ends as it began, whatever became of the case's own files meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..imaging.geometry import Geometry
from ..imaging.volume import Volume
from .case import Case
from .preparation import FORMAT, write_arrays

HELD_OUT_FOLDER = f"held-out-{FORMAT}"
"""In a run's cache; in it a folder for each case, named by the case's fingerprint."""


@dataclass(frozen=True, eq=False)
class HeldCase:
    """What measures models.

    Args:
        case: without region and rejected findings, of which the knowledge map tells.
        knowledge: its knowledge map (uint8, k j i, on the image's grid).
        base: what the model to start from says of it, label values on its grid.
        seconds: how long it took to read it and to ask that model.
    """

    case: Case
    knowledge: np.ndarray
    base: Volume
    seconds: float

    def write(self, folder: Path) -> None:
        """Raises:
        InputError: the disk is full; nothing half-written stays.
        """
        arrays = {
            "image": self.case.image.array,
            "annotation": self.case.annotation.array,
            "knowledge": self.knowledge,
            "base": self.base.array,
            "ijk_to_world": self.case.image.geometry.ijk_to_world,
            "seconds": np.array([self.seconds]),
        }
        write_arrays(arrays, folder)

    @classmethod
    def read(cls, name: str, completeness: str, folder: Path) -> HeldCase:
        """As it was written; ``name`` and ``completeness`` as of the case."""
        parts = ("image", "annotation", "knowledge", "base", "ijk_to_world", "seconds")
        image, annotation, knowledge, base, ijk_to_world, seconds = (np.load(folder / f"{part}.npy") for part in parts)
        ct = Volume(image, Geometry(image.shape, ijk_to_world))
        case = Case(name, ct, ct.with_array(annotation), completeness)
        return cls(case, knowledge, ct.with_array(base), float(seconds[0]))
