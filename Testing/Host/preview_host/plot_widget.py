"""Stand-ins for Slicer's plot widgets."""

from __future__ import annotations

import qt

from .drawing_widget import DrawingWidget
from .plot_drawing import PlotDrawing
from .view_bar import ViewBar

BAR_COLOR = (0.85, 0.85, 0.85)


class qMRMLPlotView(DrawingWidget):
    """A chart of the scene; empty until it has a plot view node."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = self._node = None

    def setMRMLScene(self, scene) -> None:
        """The scene of the charts; without one nothing is drawn."""
        self._scene = scene
        self._draw()

    def setMRMLPlotViewNode(self, node) -> None:
        """Draw the chart that a vtkMRMLPlotViewNode names."""
        self._node = node
        self._draw()

    def _draw(self) -> None:
        drawn = self._drawing.node if self._drawing else None
        wanted = self._node if self._scene is not None else None
        if wanted is drawn:
            return
        if self._drawing:
            self._drawing.release()
        self._drawing = PlotDrawing(wanted, self._schedule_render) if wanted is not None else None
        if self._drawing:
            self._drawing.resize(self.width, self.height)
        self._schedule_render()

    def chart(self):
        """The vtkChartXY."""
        return self._drawing.chart if self._drawing else None

    def fitToContent(self) -> None:
        """Show all series whole."""
        if self._drawing:
            self._drawing.chart.RecalculateBounds()
            self._schedule_render()


class qMRMLPlotWidget(qt.QWidget):
    """A plot view under its bar."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._node = None
        self._view = qMRMLPlotView()
        self._controller = ViewBar("P", BAR_COLOR)
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._controller, 0)
        column.addWidget(self._view, 1)

    def setMRMLScene(self, scene) -> None:
        """The scene of the charts."""
        self._view.setMRMLScene(scene)

    def setMRMLPlotViewNode(self, node) -> None:
        """Draw the chart that a vtkMRMLPlotViewNode names."""
        self._view.setMRMLPlotViewNode(node)
        self._node = node

    def mrmlPlotViewNode(self):
        """The view's node, or None."""
        return self._node

    def mrmlAbstractViewNode(self):
        """The same as ``mrmlPlotViewNode``."""
        return self._node

    def plotView(self) -> qMRMLPlotView:
        """The view without the bar."""
        return self._view

    def plotController(self):
        """The bar."""
        return self._controller
