"""Stand-ins for Slicer's 3D widgets."""

from __future__ import annotations

import qt

from .drawing_widget import InteractiveView
from .three_d_drawing import ThreeDDrawing
from .view_bar import ViewBar

BAR_COLOR = (0.45, 0.53, 0.93)


class qMRMLThreeDView(InteractiveView):
    """The picture of a 3D view, painted by Slicer's own displayable managers."""

    def __init__(self, node, application, parent=None):
        super().__init__(parent)
        self._drawing = ThreeDDrawing(application, node, self._schedule_render)

    def mrmlViewNode(self):
        """The view's node."""
        return self._drawing.node

    def cameraNode(self):
        """The node of the camera that looks."""
        return self._drawing.camera_node

    def resetFocalPoint(self) -> None:
        """Turn around the middle of what is visible."""
        self._drawing.look_at_center()

    def resetCamera(self) -> None:
        """Let all that is visible fit."""
        self._drawing.reset_camera()


class qMRMLThreeDWidget(qt.QWidget):
    """A 3D view under its bar."""

    def __init__(self, node, application, parent=None):
        super().__init__(parent)
        self._view = qMRMLThreeDView(node, application)
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self._controller = ViewBar(node.GetLayoutLabel() or "1", BAR_COLOR)
        column.addWidget(self._controller, 0)
        column.addWidget(self._view, 1)

    def threeDView(self) -> qMRMLThreeDView:
        """The view without the bar."""
        return self._view

    def threeDController(self) -> ViewBar:
        """The bar."""
        return self._controller

    def mrmlViewNode(self):
        """The view's node."""
        return self._view.mrmlViewNode()

    def mrmlAbstractViewNode(self):
        """The same as ``mrmlViewNode``."""
        return self.mrmlViewNode()

    def viewLogic(self):
        """Slicer's view logic."""
        return self._view._drawing.logic
