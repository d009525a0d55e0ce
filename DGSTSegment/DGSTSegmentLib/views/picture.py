"""What a picture shows: a CT, segmentations over it, and where to look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..imaging.components import components_of
from ..imaging.volume import Volume

# Okabe and Ito's colours, told apart by every kind of colour vision.
ORANGE = (240, 168, 24)
BLUE = (86, 180, 233)
COLORS = {"orange": ORANGE, "blue": BLUE, "green": (0, 178, 132), "purple": (213, 135, 180), "yellow": (240, 228, 66)}
STYLES = ("outline", "fill")
SOFT_TISSUE = (400.0, 40.0)

MOST_COUNTED = 1 << 16
"""Label values below this are numbered by a table, without sorting all voxels of a scan."""


@dataclass(frozen=True, eq=False)
class Overlay:
    """A segmentation drawn over a CT.

    Args:
        volume: every value above 0 is drawn, in its own geometry; each value is an object with an edge of its own.
        name: how the legend calls it.
        color: a name in ``COLORS`` or (red, green, blue), 0 to 255.
        style: ``outline`` leaves the anatomy visible, ``fill`` tints it and draws the outline too.

    Raises:
        InputError: an unknown color or style.
    """

    volume: Volume
    name: str
    color: str | tuple[int, int, int] = "orange"
    style: str = "outline"

    def __post_init__(self):
        if self.style not in STYLES:
            raise InputError(f"The style of {self.name} must be one of {', '.join(STYLES)}, not {self.style!r}.")
        if isinstance(self.color, str) and self.color not in COLORS:
            raise InputError(f"The color of {self.name} must be one of {', '.join(COLORS)}, not {self.color!r}.")

    @property
    def rgb(self) -> tuple[int, int, int]:
        return COLORS[self.color] if isinstance(self.color, str) else self.color

    @property
    def numbered(self) -> Volume:
        """int16: the objects as 1, 2, ... in the order of their values, 0 elsewhere."""
        labels = self.volume.array
        if labels.dtype.kind == "b":
            labels = labels.view(np.uint8)
        if labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < MOST_COUNTED:
            return self.volume.with_array(_numbered_by_table(labels, int(labels.max())))
        values = np.unique(labels[labels > 0])
        numbers = np.where(labels > 0, np.searchsorted(values, labels) + 1, 0)
        return self.volume.with_array(numbers.astype(np.int16))

    @property
    def legend(self) -> str:
        return self.name if self.volume.array.any() else f"{self.name} (empty)"


def _numbered_by_table(labels: np.ndarray, highest: int) -> np.ndarray:
    """Slice by slice, since counting and looking up make wider integers of what they are given."""
    counts = sum(np.bincount(part.ravel(), minlength=highest + 1) for part in labels)
    counts[0] = 0
    table = np.where(counts > 0, np.cumsum(counts > 0), 0).astype(np.int16)
    numbers = np.empty(labels.shape, np.int16)
    for part, looked_up in zip(labels, numbers, strict=True):
        looked_up[:] = table[part]
    return numbers


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture to draw.

    Args:
        path: the PNG to write.
        volume: CT, HU.
        segmentations: drawn in this order, the last one on top.
        title: first line of the picture.
        center: point (x, y, z; LPS mm) through which the slices go; None takes the largest marked object's.
        width: pixels; the height follows from the anatomy.
        window: width and level, HU.
        field_mm: how much of the patient is shown along (x, y, z), mm; None fits the body around the center.
    """

    path: str
    volume: Volume
    segmentations: tuple[Overlay, ...] = ()
    title: str | None = None
    center: tuple[float, float, float] | None = None
    width: int = 1600
    window: tuple[float, float] = SOFT_TISSUE
    field_mm: tuple[float, float, float] | None = None


def focus_of(picture: Picture) -> np.ndarray:
    """World point (LPS mm) that the slices go through: the given one, else inside the largest marked object."""
    if picture.center is not None:
        return np.asarray(picture.center, dtype=np.float64)
    for overlay in picture.segmentations:
        if overlay.volume.array.any():
            return middle_of_largest(overlay.volume)
    return picture.volume.geometry.to_world((np.array(picture.volume.array.shape) - 1) / 2)


def middle_of_largest(segmentation: Volume) -> np.ndarray:
    """World point (LPS mm) of the voxel of the largest connected object that lies nearest to its centroid."""
    labels, _ = components_of(segmentation.array > 0)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    points = segmentation.geometry.to_world(np.argwhere(labels == sizes.argmax()))
    return points[np.square(points - points.mean(axis=0)).sum(axis=1).argmin()]
