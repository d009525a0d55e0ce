"""A Qt widget that paints a drawing of VTK and hands it mouse, wheel and keys."""

from __future__ import annotations

import numpy as np
import qt
import slicer

from .drawing import Drawing

BUTTONS = {
    qt.Qt.LeftButton: "LeftButton",
    qt.Qt.RightButton: "RightButton",
    qt.Qt.MiddleButton: "MiddleButton",
}
KEYSYMS = {
    qt.Qt.Key_Escape: "Escape",
    qt.Qt.Key_Return: "Return",
    qt.Qt.Key_Delete: "Delete",
    qt.Qt.Key_Space: "space",
    qt.Qt.Key_Left: "Left",
    qt.Qt.Key_Right: "Right",
    qt.Qt.Key_Up: "Up",
    qt.Qt.Key_Down: "Down",
}


class DrawingWidget(qt.QWidget):
    """What VTK widgets of Slicer have in common. Renders when it is painted, at most once a paint."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._drawing: Drawing | None = None
        self._out_of_date = True
        self._rendering = False
        self._picture = None
        self.setMouseTracking(True)
        self.setFocusPolicy(qt.Qt.StrongFocus)

    def renderWindow(self):
        """The VTK window, in memory."""
        return self._drawing.window

    def _schedule_render(self) -> None:
        if not self._rendering:
            self._out_of_date = True
            self.update()

    def _render(self) -> np.ndarray:
        self._rendering = True
        try:
            pixels = np.ascontiguousarray(self._drawing.pixels())
        finally:
            self._rendering = False
        height, width, _ = pixels.shape
        self._picture = qt.QImage(pixels.tobytes(), width, height, 3 * width, qt.QImage.Format_RGB888).copy()
        self._out_of_date = False
        return pixels

    def paintEvent(self, event) -> None:
        if self._drawing is None:
            return
        if self._picture is None or (self._out_of_date and not slicer.app._pauses):
            self._render()
        painter = qt.QPainter(self)
        painter.drawImage(self.rect, self._picture)
        painter.end()

    def resizeEvent(self, event) -> None:
        if self._drawing is not None:
            self._drawing.resize(self.width, self.height)

    def mousePressEvent(self, event) -> None:
        self._send_mouse(event, BUTTONS.get(event.button()), "PressEvent")

    def mouseReleaseEvent(self, event) -> None:
        self._send_mouse(event, BUTTONS.get(event.button()), "ReleaseEvent")

    def mouseDoubleClickEvent(self, event) -> None:
        self._send_mouse(event, BUTTONS.get(event.button()), "DoubleClickEvent")

    def mouseMoveEvent(self, event) -> None:
        self._send_mouse(event, "MouseMove", "Event")

    def wheelEvent(self, event) -> None:
        direction = "Forward" if event.angleDelta().y() > 0 else "Backward"
        self._send_mouse(event, "MouseWheel", f"{direction}Event")

    def enterEvent(self, event) -> None:
        self._send_mouse(event, "Enter", "Event")

    def leaveEvent(self, event) -> None:
        if self._drawing is not None:
            self._drawing.interactor.LeaveEvent()

    def keyPressEvent(self, event) -> None:
        self._send_key(event, "KeyPress")

    def keyReleaseEvent(self, event) -> None:
        self._send_key(event, "KeyRelease")

    def _send_mouse(self, event, what: str | None, suffix: str) -> None:
        if self._drawing is None or what is None:
            return
        x, y = round(event.position().x()), round(event.position().y())
        modifiers = event.modifiers() if hasattr(event, "modifiers") else qt.Qt.NoModifier
        self._drawing.interactor.SetEventInformationFlipY(x, y, *_pressed(modifiers), "\0", 0, None)
        getattr(self._drawing.interactor, what + suffix)()

    def _send_key(self, event, what: str) -> None:
        if self._drawing is None:
            return
        keysym = KEYSYMS.get(qt.Qt.Key(event.key()), event.text())
        interactor = self._drawing.interactor
        interactor.SetKeyEventInformation(*_pressed(event.modifiers()), event.text()[:1] or "\0", 0, keysym)
        getattr(interactor, f"{what}Event")()
        if what == "KeyPress":
            interactor.CharEvent()


class InteractiveView(DrawingWidget):
    """What slice and 3D views have in common, and plot views have not."""

    def interactor(self):
        """The VTK interactor that gets this widget's events."""
        return self._drawing.interactor

    def scheduleRender(self) -> None:
        """Render with the next paint."""
        self._schedule_render()

    def forceRender(self) -> None:
        """Render now."""
        self._render()
        self.update()

    def displayableManagerByClassName(self, className: str):
        """One of Slicer's displayable managers of this view, or None."""
        return self._drawing.managers.GetDisplayableManagerByClassName(className)


def _pressed(modifiers) -> tuple[int, int]:
    return int(bool(modifiers & qt.Qt.ControlModifier)), int(bool(modifiers & qt.Qt.ShiftModifier))
