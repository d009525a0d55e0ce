"""Where each pixel of a picture's panels lies in the patient, the same for every painter.

The three slice panels share one scale and line up: the coronal panel hangs under the axial one (same x), the sagittal
panel beside the coronal one (same z). Radiological convention: the patient's right is at the left of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..imaging.geometry import Geometry
from ..imaging.volume import Volume

LEFT, POSTERIOR, SUPERIOR = np.eye(3)
LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))

LARGEST_FIELD_MM = np.array([340.0, 280.0, 300.0])
SMALLEST_FIELD_MM = np.array([60.0, 60.0, 60.0])
MARGIN_MM = 6.0
BODY_HU = -300.0


@dataclass(frozen=True, eq=False)
class Panel:
    """A flat grid of pixels in the patient.

    Args:
        name: axial, coronal, sagittal or 3D.
        right, down: unit vectors (LPS) along the pixel rows and columns.
        center: world point (LPS mm) in the middle of the panel.
        mm_per_pixel: the same along both axes.
        size: width and height in pixels.
    """

    name: str
    right: np.ndarray
    down: np.ndarray
    center: np.ndarray
    mm_per_pixel: float
    size: tuple[int, int]

    @property
    def away(self) -> np.ndarray:
        """Unit vector (LPS) from the viewer into the picture."""
        return np.cross(self.right, self.down)

    def slab(self, half_depth_mm: float = 0.0, step_mm: float = 1.0, finer: int = 1) -> Geometry:
        """Grid (away, down, right) of the pixels, ``finer`` times as many along each side, and in depth ``step_mm``
        apart from ``half_depth_mm`` before the center to as far behind it."""
        layers = 2 * int(np.ceil(half_depth_mm / step_mm)) + 1
        spacing = np.array([self.mm_per_pixel / finer, self.mm_per_pixel / finer, step_mm])
        shape = (layers, self.size[1] * finer, self.size[0] * finer)
        matrix = np.eye(4)
        matrix[:3, :3] = np.stack([self.right, self.down, self.away], axis=1) * spacing
        matrix[:3, 3] = self.center - matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
        return Geometry(shape, matrix)

    def coarser(self, factor: int) -> Panel:
        """The same place with pixels ``factor`` times as large; what does not fill a pixel is left out."""
        size = (self.size[0] // factor, self.size[1] // factor)
        shift = (np.array(size) * factor - self.size) / 2 * self.mm_per_pixel
        center = self.center + shift[0] * self.right + shift[1] * self.down
        return Panel(self.name, self.right, self.down, center, self.mm_per_pixel * factor, size)

    def to_pixel(self, world: np.ndarray) -> np.ndarray:
        """Pixel (x, y), with fractions, under which a world point (..., 3; LPS mm) lies."""
        return self.slab().to_index(world)[..., :0:-1]

    @property
    def marks(self) -> dict[str, str]:
        """Letters of the patient's sides at the panel's edges; only where an edge faces one side."""
        facing = {"left": -self.right, "right": self.right, "top": -self.down, "bottom": self.down}
        return {edge: side_letter(vector) for edge, vector in facing.items() if np.abs(vector).max() > 0.99}


def side_letter(vector: np.ndarray) -> str:
    axis = int(np.abs(vector).argmax())
    return LETTERS[axis][0 if vector[axis] > 0 else 1]


@dataclass(frozen=True, eq=False)
class Field:
    """The box of the patient that is shown: opposite corners, LPS mm."""

    low: np.ndarray
    high: np.ndarray

    @property
    def size(self) -> np.ndarray:
        return self.high - self.low

    @property
    def center(self) -> np.ndarray:
        return (self.low + self.high) / 2


def field_around(volume: Volume, focus: np.ndarray, wanted_mm: tuple[float, float, float] | None = None) -> Field:
    """The body's box, cut to ``wanted_mm`` (or to a size in which a lymph node is still seen) around ``focus``."""
    low, high = body_box(volume)
    size = np.clip(high - low + 2 * MARGIN_MM, SMALLEST_FIELD_MM, LARGEST_FIELD_MM)
    if wanted_mm is not None:
        size = np.asarray(wanted_mm, dtype=np.float64)
    middle = (low + high) / 2
    slack = np.maximum((high - low + 2 * MARGIN_MM - size) / 2, 0)
    middle = np.clip(focus, middle - slack, middle + slack)
    middle = np.clip(middle, focus - size / 2, focus + size / 2)
    return Field(middle - size / 2, middle + size / 2)


def body_box(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Opposite corners (LPS mm) of what is denser than air; a few stray voxels (table, tubes) do not count."""
    coarse = volume.array[tuple(slice(None, None, max(1, n // 64)) for n in volume.array.shape)]
    steps = [max(1, n // 64) for n in volume.array.shape]
    inside = np.argwhere(coarse > BODY_HU)
    if len(inside) < 8:
        corners = volume.geometry.corners()
        return corners.min(axis=0), corners.max(axis=0)
    points = volume.geometry.to_world(inside * steps)
    return np.percentile(points, 0.5, axis=0), np.percentile(points, 99.5, axis=0)


@dataclass(frozen=True, eq=False)
class Layout:
    """Panels and where their upper left corners stand in the picture."""

    panels: tuple[Panel, ...]
    corners: dict[str, tuple[int, int]]
    size: tuple[int, int]


def lay_out(field: Field, focus: np.ndarray, width: int, gap: int, header: int, footer: int) -> Layout:
    """Axial and 3D above, coronal and sagittal below, all columns and rows filled at one scale."""
    across, deep, high = shown_mm(field)
    scale = float((width - 3 * gap) / (across + deep))
    first, upper, lower = (round(mm * scale) for mm in (across, deep, high))
    second = width - 3 * gap - first
    x, y, z = center = shown_center(field, focus)
    i, j, k = focus
    view_right, view_down = turned_view()
    slices = [
        ("axial", LEFT, POSTERIOR, (x, y, k), (first, upper)),
        ("coronal", LEFT, -SUPERIOR, (x, j, z), (first, lower)),
        ("sagittal", POSTERIOR, -SUPERIOR, (i, y, z), (second, lower)),
    ]
    panels = [Panel(n, right, down, np.array(c), 1 / scale, size) for n, right, down, c, size in slices]
    room_mm = 1.06 * max(across * 0.96, high * 1.05)
    panels.append(Panel("3D", view_right, view_down, center, room_mm / min(second, upper), (second, upper)))
    corners = {
        "axial": (gap, header),
        "3D": (2 * gap + first, header),
        "coronal": (gap, header + upper + gap),
        "sagittal": (2 * gap + first, header + upper + gap),
    }
    return Layout(tuple(panels), corners, (width, header + upper + gap + lower + footer))


def shown_mm(field: Field) -> tuple[float, float, float]:
    """Extent along (x, y, z) that the panels show: the field, kept from growing into a strip."""
    across, deep, high = field.size
    deep = max(deep, 0.7 * across)
    high = min(max(high, 0.55 * across), 1.1 * across)
    return across, deep, high


def shown_center(field: Field, focus: np.ndarray) -> np.ndarray:
    """The middle (LPS mm) of what the panels show: the field's, and along axes on which they show less of it as near to
    ``focus``, a point in the field, as they do not reach over the field's end."""
    slack = np.maximum((field.size - shown_mm(field)) / 2, 0)
    return np.clip(focus, field.center - slack, field.center + slack)


def turned_view(turn_deg: float = 28.0, tilt_deg: float = 14.0) -> tuple[np.ndarray, np.ndarray]:
    """Right and down (LPS) of a viewer before the patient who stepped to the patient's left and looks down a little."""
    turn, tilt = np.radians([turn_deg, tilt_deg])
    right = np.cos(turn) * LEFT + np.sin(turn) * POSTERIOR
    away = np.cos(tilt) * (np.cos(turn) * POSTERIOR - np.sin(turn) * LEFT) - np.sin(tilt) * SUPERIOR
    return right, np.cross(away, right)
