"""The curve of a fine-tuning as a Slicer plot: loss, and Dice on held-out scans, over the steps."""

from __future__ import annotations

import slicer
import vtk
from slicer.i18n import tr as _

_NAME = "DGSTSegment training"
LOSS, HELD_OUT = "loss", "held-out Dice"
_COLORS = {LOSS: (0.18, 0.44, 0.75), HELD_OUT: (0.20, 0.62, 0.30)}
_SMOOTHING = 0.15
_LEAST_POINTS = 2  # VTK complains of a line through fewer


class TrainingPlot:
    """Tables, series and chart of one fine-tuning, made anew for each; they are saved with the scene."""

    def __init__(self):
        self._points: dict[str, list[tuple[float, float]]] = {LOSS: [], HELD_OUT: []}
        self._smoothed: float | None = None
        self._makeNodes()

    def attach(self) -> None:
        """Make the nodes anew where the scene was closed meanwhile."""
        if self.chart.GetScene() is None:
            self._makeNodes()
            self.draw()

    def _makeNodes(self) -> None:
        self.chart = self._node("vtkMRMLPlotChartNode", _NAME)
        self.chart.RemoveAllPlotSeriesNodeIDs()
        self.chart.SetXAxisTitle(_("step"))
        self.chart.SetYAxisTitle("")
        self.chart.SetLegendVisibility(True)
        self.chart.SetGridVisibility(True)
        self._series = {name: self._makeSeries(name) for name in (LOSS, HELD_OUT)}
        self._tables = {name: series.GetTableNode() for name, series in self._series.items()}

    def add(self, event: dict) -> bool:
        """Take a progress event in; whether it held a point of the curve.

        The loss of single patches jumps, so the curve shows its running mean.
        """
        if event.get("loss") is not None:
            if self._points[LOSS] and event["step"] <= self._points[LOSS][-1][0]:  # the training began anew
                self._points[LOSS], self._smoothed = [], None
                self._tables[LOSS].GetTable().SetNumberOfRows(0)
            loss, old = float(event["loss"]), self._smoothed
            self._smoothed = loss if old is None else old + _SMOOTHING * (loss - old)
            self._points[LOSS].append((float(event["step"]), self._smoothed))
            return True
        if event.get("held_out") is not None:
            self._points[HELD_OUT].append((float(event["step"]), float(event["held_out"])))
            return True
        return False

    def draw(self) -> None:
        """Bring the chart up to date; each change of a table makes Slicer draw, so this is done some times a second."""
        for name, points in self._points.items():
            table = self._tables[name].GetTable()
            first = table.GetNumberOfRows()
            for step, value in points[first:]:
                row = table.InsertNextBlankRow()
                table.SetValue(row, 0, vtk.vtkVariant(step))
                table.SetValue(row, 1, vtk.vtkVariant(value))
            if len(points) > first:
                self._tables[name].Modified()
            if first < _LEAST_POINTS <= len(points):
                self.chart.AddAndObservePlotSeriesNodeID(self._series[name].GetID())

    def points(self, name: str) -> list[tuple[float, float]]:
        """Step and value of each point of a curve."""
        return list(self._points[name])

    def show(self, viewNode) -> None:
        """Show the chart in a plot view."""
        viewNode.SetPlotChartNodeID(self.chart.GetID())

    def _makeSeries(self, name: str):
        table = self._node("vtkMRMLTableNode", f"{_NAME} {name}")
        table.RemoveAllColumns()
        for title in (_("step"), name):
            column = vtk.vtkDoubleArray()
            column.SetName(title)
            table.AddColumn(column)
        series = self._node("vtkMRMLPlotSeriesNode", f"{_NAME}: {name}")
        series.SetName(name)
        series.SetAttribute("DGSTSegment.Plot", f"{_NAME}: {name}")
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(_("step"))
        series.SetYColumnName(name)
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(
            slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone
            if name == LOSS
            else slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle
        )
        series.SetColor(*_COLORS[name])
        return series

    @staticmethod
    def _node(nodeClass: str, name: str):
        """The node of the last fine-tuning, to be used again, or a new one."""
        for node in slicer.util.getNodesByClass(nodeClass):
            if node.GetName() == name or node.GetAttribute("DGSTSegment.Plot") == name:
                return node
        return slicer.mrmlScene.AddNewNodeByClass(nodeClass, name)


def plotViewNode(owner):
    """The view node of the plot inside the panel: part of no layout, deaf to charts shown elsewhere, never saved.

    Args:
        owner: the panel's parameter node. A view node with a parent of its own is left alone by Slicer's layouts.
    """
    tag = "DGSTSegmentPlot"
    node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLPlotViewNode")
    isNew = node is None
    if isNew:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLPlotViewNode")
        node.UnRegister(None)
        node.SetSingletonTag(tag)
        node.SetLayoutName(tag)
    node.SetSaveWithScene(False)
    node.SetDoPropagatePlotChartSelection(False)
    node.SetAndObserveParentLayoutNodeID(owner.GetID())
    return slicer.mrmlScene.AddNode(node) if isNew else node
