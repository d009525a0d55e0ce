"""Connected parts of a mask, and where they lie. Voxels that touch by a corner are connected (26 neighbours)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

Slices = tuple[slice, slice, slice]

_ALL_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)


def components_of(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """The number, from 1, of the component that each voxel [k, j, i] belongs to, 0 outside; and how many there are."""
    return ndimage.label(mask, _ALL_NEIGHBOURS)


def pieces_of(mask: np.ndarray) -> Iterator[tuple[Slices, np.ndarray]]:
    """Each component's box, and its voxels (bool) in it."""
    components, _ = components_of(mask)
    for number, box in enumerate(ndimage.find_objects(components), start=1):
        yield box, components[box] == number


def box_around(mask: np.ndarray) -> Slices | None:
    """The smallest box that holds all that is not 0 or False; None where nothing is."""
    boxes = ndimage.find_objects((mask != 0).view(np.uint8))
    return boxes[0] if boxes else None
