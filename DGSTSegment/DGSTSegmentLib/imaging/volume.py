"""An array of voxels and its place in the world, always together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .geometry import Geometry


def count_not_finite(values: np.ndarray) -> int:
    """How many values are infinite or no numbers."""
    return 0 if values.dtype.kind != "f" else values.size - int(np.count_nonzero(np.isfinite(values)))


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and their geometry.

    Args:
        array: values indexed ``[k, j, i]``; HU for a CT, label values for a segmentation.
        geometry: where those voxels lie; its shape is the array's.
        notes: sentences on what the file left open about their place, for the user.

    Raises:
        ValueError: array and geometry differ in shape.
    """

    array: np.ndarray
    geometry: Geometry
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if self.array.shape != self.geometry.shape:
            raise ValueError(f"An array of shape {self.array.shape} does not fit a grid of {self.geometry.shape}.")

    def with_array(self, array: np.ndarray) -> Volume:
        """Other values in the same place, without the notes."""
        return Volume(array, self.geometry)
