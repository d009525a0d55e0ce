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
        self.chart = self._node("vtkMRMLPlotChartNode", _NAME)
        self.chart.RemoveAllPlotSeriesNodeIDs()
        self.chart.SetXAxisTitle(_("step"))
        self.chart.SetYAxisTitle("")
        self.chart.SetLegendVisibility(True)
        self.chart.SetGridVisibility(True)
        self._series = {name: self._makeSeries(name) for name in (LOSS, HELD_OUT)}
        self._tables = {name: series.GetTableNode() for name, series in self._series.items()}
        self._smoothed: float | None = None

    def add(self, event: dict) -> bool:
        """Take a progress event in; whether it held a point of the curve.

        The loss of single patches jumps, so the curve shows its running mean.
        """
        if event.get("loss") is not None:
            loss, old = float(event["loss"]), self._smoothed
            self._smoothed = loss if old is None else old + _SMOOTHING * (loss - old)
            self._append(LOSS, event["step"], self._smoothed)
            return True
        if event.get("held_out") is not None:
            self._append(HELD_OUT, event["step"], float(event["held_out"]))
            return True
        return False

    def points(self, name: str) -> list[tuple[float, float]]:
        """Step and value of each point of a curve."""
        table = self._tables[name].GetTable()
        rows = range(table.GetNumberOfRows())
        return [(table.GetValue(row, 0).ToDouble(), table.GetValue(row, 1).ToDouble()) for row in rows]

    def show(self, viewNode) -> None:
        """Show the chart in a plot view."""
        viewNode.SetPlotChartNodeID(self.chart.GetID())

    def _append(self, name: str, step: float, value: float) -> None:
        table = self._tables[name].GetTable()
        row = table.InsertNextBlankRow()
        table.SetValue(row, 0, vtk.vtkVariant(float(step)))
        table.SetValue(row, 1, vtk.vtkVariant(float(value)))
        table.Modified()
        self._tables[name].Modified()
        if row + 1 == _LEAST_POINTS:
            self.chart.AddAndObservePlotSeriesNodeID(self._series[name].GetID())

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


def plotViewNode():
    """The view node of the plot inside the panel: no part of any layout, and saved with no scene."""
    tag = "DGSTSegmentPlot"
    node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLPlotViewNode")
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLPlotViewNode")
        node.UnRegister(None)
        node.SetSingletonTag(tag)
        node.SetLayoutName(tag)
        node = slicer.mrmlScene.AddNode(node)
    return node
