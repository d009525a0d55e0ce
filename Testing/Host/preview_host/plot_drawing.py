"""A chart node of the scene, drawn by VTK's charts."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from vtkmodules.vtkChartsCore import vtkAxis, vtkChart, vtkChartLegend, vtkChartXY, vtkPlotPoints
from vtkmodules.vtkRenderingContext2D import vtkContextActor

from .drawing import Drawing

BAR, SCATTER = slicer.vtkMRMLPlotSeriesNode.PlotTypeBar, slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter
MARKER_PIXELS = 7.0


class PlotDrawing(Drawing):
    """The picture of a plot view node's chart."""

    def __init__(self, node, changed: Callable[[], None]):
        super().__init__(changed)
        self.node = node
        self.chart = vtkChartXY()
        self.chart.SetAutoSize(True)
        actor = vtkContextActor()
        actor.GetScene().AddItem(self.chart)
        actor.GetScene().SetRenderer(self.renderer)
        self.renderer.AddActor(actor)
        self.renderer.SetBackground(1.0, 1.0, 1.0)
        self._watched: tuple | None = None
        events = ("ModifiedEvent", slicer.vtkMRMLPlotViewNode.PlotChartNodeChangedEvent)
        self._node_tags = [node.AddObserver(event, lambda *_: self.observe_chart()) for event in events]
        self.observe_chart()

    def release(self) -> None:
        """Observe nothing any longer."""
        for tag in self._node_tags:
            self.node.RemoveObserver(tag)
        self._unwatch()

    def _unwatch(self) -> None:
        if self._watched:
            for tag in self._watched[1]:
                self._watched[0].RemoveObserver(tag)

    def observe_chart(self) -> None:
        """Follow the chart that the view node names."""
        chart = self.node.GetPlotChartNode()
        if self._watched and self._watched[0] is chart:
            return
        self._unwatch()
        events = ("ModifiedEvent", slicer.vtkMRMLPlotChartNode.PlotModifiedEvent)
        follow = lambda *_: self.changed()  # noqa: E731
        self._watched = (chart, [chart.AddObserver(event, follow) for event in events]) if chart else None
        self.changed()

    def pixels(self):
        self.rebuild()
        return super().pixels()

    def rebuild(self) -> None:
        """Take series, titles and axes from the scene."""
        self.chart.ClearPlots()
        node = self.node.GetPlotChartNode()
        self.chart.SetVisible(node is not None)
        if node is None:
            return
        for index in range(node.GetNumberOfPlotSeriesNodes()):
            _add_series(self.chart, node.GetNthPlotSeriesNode(index))
        self.chart.SetTitle((node.GetTitle() or "") if node.GetTitleVisibility() else "")
        self.chart.SetShowLegend(bool(node.GetLegendVisibility()))
        self.chart.GetLegend().SetVerticalAlignment(vtkChartLegend.TOP)
        for axis, letter in ((vtkAxis.BOTTOM, "X"), (vtkAxis.LEFT, "Y")):
            _set_axis(self.chart.GetAxis(axis), node, letter)
        self.chart.RecalculateBounds()


def _set_axis(axis: vtkAxis, node, letter: str) -> None:
    shown = getattr(node, f"Get{letter}AxisTitleVisibility")()
    axis.SetTitle((getattr(node, f"Get{letter}AxisTitle")() or "") if shown else "")
    axis.SetGridVisible(bool(node.GetGridVisibility()))
    axis.SetLogScale(bool(getattr(node, f"Get{letter}AxisLogScale")()))
    if getattr(node, f"Get{letter}AxisRangeAuto")():
        axis.SetBehavior(vtkAxis.AUTO)
    else:
        axis.SetBehavior(vtkAxis.FIXED)
        axis.SetRange(*getattr(node, f"Get{letter}AxisRange")())


def _add_series(chart: vtkChartXY, series) -> None:
    table = series.GetTableNode().GetTable() if series and series.GetTableNode() else None
    columns = [series.GetXColumnName(), series.GetYColumnName()] if table else []
    if series and series.GetPlotType() != SCATTER and columns and not columns[0]:
        columns = columns[1:]
    if not columns or any(name is None or table.GetColumnByName(name) is None for name in columns):
        return
    plot = chart.AddPlot(vtkChart.BAR if series.GetPlotType() == BAR else vtkChart.LINE)
    plot.SetUseIndexForXSeries(len(columns) == 1)
    names = columns if len(columns) == 2 else columns * 2
    plot.SetInputData(table, *names)
    plot.SetLabel(series.GetName() or "")
    _set_look(plot, series)


def _set_look(plot, series) -> None:
    plot.SetColorF(*series.GetColor(), series.GetOpacity())
    plot.SetWidth(series.GetLineWidth())
    if isinstance(plot, vtkPlotPoints):
        plot.SetMarkerStyle(series.GetMarkerStyle())
        plot.SetMarkerSize(series.GetMarkerSize() or MARKER_PIXELS)
        plot.GetPen().SetLineType(series.GetLineStyle())
