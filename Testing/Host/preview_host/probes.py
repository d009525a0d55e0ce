"""For tests and pictures: what a view shows, and mouse events at points of the patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import qt
import slicer
from PySide6.QtCore import QPointF
from PySide6.QtGui import QMouseEvent

THREE_D, PLOT = "3D", "Plot"


def view(name: str):
    """The view widget of a slice ("Red"), of the 3D view ("3D") or of the plot view ("Plot")."""
    manager = slicer.app.layoutManager()
    if name == THREE_D:
        return manager.threeDWidget(0).threeDView()
    if name == PLOT:
        return manager.plotWidget(0).plotView()
    return manager.sliceWidget(name).sliceView()


def pixels(name: str) -> np.ndarray:
    """Render a view now: RGB uint8 (height, width, 3), first row on top."""
    slicer.app.processEvents()
    return view(name)._render()


def pixel_of(name: str, ras: Sequence[float]) -> tuple[int, int]:
    """Row and column of ``pixels`` where a slice view shows a point, mm."""
    x, y, _ = view(name).convertRASToXYZ(ras)
    return view(name)._drawing.size[1] - 1 - round(y), round(x)


def click_in_slice(name: str, ras: Sequence[float]) -> None:
    """Press and let go the left button at a point, mm."""
    drag_in_slice(name, [ras])


def drag_in_slice(name: str, ras_points: Sequence[Sequence[float]]) -> None:
    """Press the left button at the first point, move to the others, let go at the last; mm.

    The slice is not moved: the points should lie in it.
    """
    widget = view(name)
    positions = [QPointF(column, row) for row, column in (pixel_of(name, ras) for ras in ras_points)]
    press, move, release = qt.QEvent.MouseButtonPress, qt.QEvent.MouseMove, qt.QEvent.MouseButtonRelease
    left, none = qt.Qt.LeftButton, qt.Qt.NoButton
    _send(widget, move, positions[0], none, none)
    _send(widget, press, positions[0], left, left)
    for position in positions[1:]:
        _send(widget, move, position, none, left)
    _send(widget, release, positions[-1], left, none)
    slicer.app.processEvents()


def _send(widget, kind, position: QPointF, button, buttons) -> None:
    event = QMouseEvent(kind, position, widget.mapToGlobal(position), button, buttons, qt.Qt.NoModifier)
    slicer.app.sendEvent(widget, event)
