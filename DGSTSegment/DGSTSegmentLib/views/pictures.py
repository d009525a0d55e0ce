"""Pictures of a CT with segmentations: axial, coronal, sagittal and 3D, in one PNG.

Slicer's own views draw in a child process; where they cannot, the same panels are drawn plainly and the answer says so.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..atomic import atomic_path
from ..errors import InputError
from ..imaging.volume import Volume
from . import plain
from .anatomy import skin_and_bone
from .compose import Sheet, compose
from .exchange import Order, read_painted, write_orders
from .panels import Layout, field_around, lay_out
from .picture import SOFT_TISSUE, Overlay, Picture, focus_of

START_SECONDS = 120
SECONDS_A_PICTURE = 120
SMALLEST_WIDTH = 400
SAME_PICTURE = 0.85  # correlation; at least .93 on every CT tried, mirrored ones reach .74

__all__ = ["DrawnBy", "Overlay", "Picture", "draw_case", "draw_cases"]


@dataclass(frozen=True)
class DrawnBy:
    """Who drew a picture.

    Args:
        painter: ``slicer`` or ``plain``.
        note: why Slicer's views did not draw it, one sentence; None when they did.
        path: the PNG.
        center: world point (LPS mm) that the slices go through; give it to draw another picture of the same place.
    """

    painter: str
    note: str | None
    path: str
    center: tuple[float, float, float]


def draw_case(
    path_png: str | os.PathLike,
    volume: Volume,
    segmentations: Sequence[Overlay] = (),
    *,
    title: str | None = None,
    center: Sequence[float] | None = None,
    width: int = 1600,
    window: tuple[float, float] = SOFT_TISSUE,
    field_mm: Sequence[float] | None = None,
    timeout_s: float | None = None,
) -> DrawnBy:
    """Draw one picture; see ``Picture`` for the arguments and ``draw_cases`` for several at once.

    Raises:
        InputError: the PNG cannot be written, or an argument makes no picture.
    """
    point, field = (None if v is None else tuple(float(x) for x in v) for v in (center, field_mm))
    picture = Picture(str(path_png), volume, tuple(segmentations), title, point, width, window, field)
    return draw_cases([picture], timeout_s=timeout_s)[0]


def draw_cases(pictures: Sequence[Picture], *, timeout_s: float | None = None) -> list[DrawnBy]:
    """Draw several pictures in one child process, whose start costs more than a picture.

    Args:
        timeout_s: how long Slicer's views may take for all of them; None is generous.

    Raises:
        InputError: a PNG cannot be written, or an argument makes no picture.
    """
    for picture in pictures:
        check(picture)
    drawings = [Drawing.of(picture) for picture in pictures]
    if not drawings:
        return []
    patience = START_SECONDS + SECONDS_A_PICTURE * len(drawings) if timeout_s is None else timeout_s
    with tempfile.TemporaryDirectory(prefix="dgst-views-") as folder:
        why_not = ask_slicer(Path(folder), [drawing.order for drawing in drawings], patience)
        return [
            finish(drawing, read_painted(Path(folder), n, drawing.order), why_not) for n, drawing in enumerate(drawings)
        ]


def check(picture: Picture) -> None:
    """Raises:
    InputError: an argument makes no picture.
    """
    if picture.width < SMALLEST_WIDTH:
        raise InputError(f"A picture must be at least {SMALLEST_WIDTH} pixels wide, not {picture.width}.")
    if not picture.window[0] > 0:
        raise InputError(f"The window's width must be greater than 0 HU, not {picture.window[0]}.")
    if picture.field_mm is not None and not min(picture.field_mm) > 0:
        raise InputError(f"The field must be three lengths greater than 0 mm, not {picture.field_mm}.")
    if not Path(picture.path).absolute().parent.is_dir():
        raise InputError(f"The folder of {picture.path} does not exist; make it first.")


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture with everything that is decided before painting."""

    picture: Picture
    focus: np.ndarray
    layout: Layout
    order: Order
    depth_mm: float

    @classmethod
    def of(cls, picture: Picture) -> Drawing:
        focus = focus_of(picture)
        field = field_around(picture.volume, focus, picture.field_mm)
        sheet = Sheet(picture.width)
        layout = lay_out(field, focus, picture.width, sheet.gap, sheet.header, sheet.footer)
        anatomy = skin_and_bone(picture.volume, field)
        order = Order(picture.volume, picture.segmentations, anatomy, layout.panels, picture.window)
        return cls(picture, focus, layout, order, float(np.linalg.norm(field.size)) / 2)


def ask_slicer(folder: Path, orders: Sequence[Order], patience_s: float) -> str | None:
    """Let the child paint into ``folder``; why it did not paint everything, or None."""
    if importlib.util.find_spec("slicer_core") is None:
        return "slicer-core is not installed"
    write_orders(folder, orders)
    package_root = str(Path(__file__).resolve().parents[2])
    paths = [package_root, os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    command = [sys.executable, "-m", f"{__package__}.child", str(folder)]
    try:
        answer = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience_s
        )
    except subprocess.TimeoutExpired:
        return f"they did not finish in {patience_s:g} s"
    return None if answer.returncode == 0 else reason_of_death(answer.returncode, answer.stderr)


def reason_of_death(code: int, stderr: bytes) -> str:
    """Why the child ended: the signal that killed it, or its last word that is not one of VTK's log lines."""
    if code < 0:
        return f"their process was ended by {signal.Signals(-code).name}"
    said = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines()]
    said = [line for line in said if line and "|" not in line]
    return said[-1] if said else f"their process ended with code {code}"


def finish(drawing: Drawing, painted: dict[str, np.ndarray] | None, why_not: str | None) -> DrawnBy:
    """Write the PNG from what Slicer painted, or else from what is painted plainly."""
    if painted is not None and not shows_the_ct(drawing, painted):
        painted, why_not = None, "what they drew was not the CT"
    note = None
    if painted is None:
        note = f"Slicer's views could not draw {drawing.picture.path} ({why_not}); it was drawn plainly."
        painted = paint_plainly(drawing)
    painter = "drawn plainly, without OpenGL" if note else f"drawn by 3D Slicer's views ({slicer_version()})"
    image = compose(drawing.picture, drawing.layout, painted, drawing.focus, painter)
    with atomic_path(drawing.picture.path) as partial:
        image.save(partial, format="PNG")
    center = tuple(float(x) for x in drawing.focus)
    return DrawnBy("plain" if note else "slicer", note, drawing.picture.path, center)


def paint_plainly(drawing: Drawing) -> dict[str, np.ndarray]:
    order = drawing.order
    return {
        panel.name: plain.paint_3d(panel, order.anatomy, order.overlays, drawing.depth_mm)
        if panel.name == "3D"
        else plain.paint_slice(panel, order.ct, order.overlays, order.window)
        for panel in order.panels
    }


def shows_the_ct(drawing: Drawing, painted: dict[str, np.ndarray]) -> bool:
    """Whether the slices are those that resampling gives: a broken driver may hand back anything."""
    for panel in drawing.order.panels:
        if panel.name == "3D":
            continue
        coarse, order = panel.coarser(4), drawing.order
        expected = plain.paint_slice(coarse, order.ct, order.overlays, order.window).astype(float).ravel()
        found = painted[panel.name][2::4, 2::4][: coarse.size[1], : coarse.size[0]].astype(float).ravel()
        if expected.std() > 5 and (found.std() == 0 or np.corrcoef(expected, found)[0, 1] < SAME_PICTURE):
            return False
    return True


def slicer_version() -> str:
    return "slicer-core " + importlib.metadata.version("slicer-core")
