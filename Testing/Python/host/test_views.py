"""The views show the scene where it is."""

from __future__ import annotations

import numpy as np
import pytest

AXIAL = np.diag([-1.0, -1.0, 2.0, 1.0])
LEFT_HANDED = np.array([[1.0, 0, 0, -30], [0, -1.5, 0, 12], [0, 0, 2.0, -7], [0, 0, 0, 1]])
TURN = np.array([[0.9, -0.3, 0.3], [0.4, 0.8, -0.4], [-0.1, 0.5, 0.9]])
GEOMETRIES = {"axial": AXIAL, "left-handed": LEFT_HANDED, "oblique": np.eye(4)}
GEOMETRIES["oblique"][:3, :3] = np.linalg.qr(TURN)[0] * [1.0, 1.5, 2.0]
SHAPE = (24, 30, 40)
BRIGHT = (slice(8, 16), slice(4, 12), slice(20, 34))
INSIDE, OUTSIDE = (27, 8, 12), (8, 22, 12)


def a_volume() -> np.ndarray:
    array = np.full(SHAPE, -200, np.int16)
    array[BRIGHT] = 200
    return array


def world(matrix: np.ndarray, ijk) -> np.ndarray:
    return (matrix @ [*ijk, 1.0])[:3]


@pytest.mark.parametrize("matrix", GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.parametrize("name", ["Red", "Green", "Yellow"])
def test_a_voxel_appears_in_a_slice_view_at_its_place(add_volume, matrix, name):
    import slicer
    from preview_host.probes import pixel_of, pixels

    add_volume(a_volume(), matrix)
    for ijk, expected in ((INSIDE, 255), (OUTSIDE, 0)):
        point = world(matrix, ijk)
        slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode().JumpSliceByCentering(*point)
        shown = pixels(name)[pixel_of(name, point)]
        assert np.abs(shown.astype(int) - expected).max() <= 1


def test_a_segment_covers_its_voxels_until_it_is_hidden(add_volume):
    from preview_host.probes import pixel_of, pixels

    volume = add_volume(a_volume())
    segmentation, segment_id = a_segmentation(volume)
    display = segmentation.GetDisplayNode()
    place = jump("Red", world(AXIAL, INSIDE)) and pixel_of("Red", world(AXIAL, INSIDE))
    bare_place = pixel_of("Red", world(AXIAL, (OUTSIDE[0], OUTSIDE[1], INSIDE[2])))

    assert reddish(pixels("Red")[place])
    assert not reddish(pixels("Red")[bare_place])
    display.SetSegmentVisibility(segment_id, False)
    assert not reddish(pixels("Red")[place])
    display.SetSegmentVisibility(segment_id, True)
    display.SetOpacity2DFill(0.0)
    assert not reddish(pixels("Red")[place])


def test_a_surface_appears_in_the_3d_view_and_disappears_with_its_segmentation(add_volume):
    import slicer
    from preview_host.probes import pixels

    segmentation, _ = a_segmentation(add_volume(a_volume()))
    segmentation.CreateClosedSurfaceRepresentation()
    slicer.app.layoutManager().resetThreeDViews()
    count = [int(reddish(pixels("3D")).sum())]
    segmentation.SetDisplayVisibility(False)
    count.append(int(reddish(pixels("3D")).sum()))
    assert count[0] > 100
    assert count[1] < count[0] / 10


def test_the_wheel_scrolls_and_the_slider_follows(host, add_volume):
    import qt
    import slicer
    from preview_host.probes import view
    from PySide6.QtCore import QPoint, QPointF
    from PySide6.QtGui import QWheelEvent

    add_volume(a_volume())
    widget = slicer.app.layoutManager().sliceWidget("Red")
    slider, before = widget.sliceController().findChild(qt.QSlider), widget.sliceLogic().GetSliceOffset()
    position, slid = QPointF(100, 100), slider.value
    no_buttons, no_keys, phase = qt.Qt.NoButton, qt.Qt.NoModifier, qt.Qt.NoScrollPhase
    turn = QWheelEvent(position, position, QPoint(), QPoint(0, 120), no_buttons, no_keys, phase, False)
    slicer.app.sendEvent(view("Red"), turn)
    assert widget.sliceLogic().GetSliceOffset() == pytest.approx(before + 2)
    assert slider.value == slid + 1
    slider.setValue(slid - 3)
    assert widget.sliceLogic().GetSliceOffset() == pytest.approx(before - 6)


def test_every_layout_of_slicer_can_be_set_and_left(host):
    import slicer

    manager = slicer.app.layoutManager()
    layouts = {n for n in dir(slicer.vtkMRMLLayoutNode) if n.startswith("SlicerLayout")}
    unusual = ("SlicerLayout", "SlicerLayoutUserView", "SlicerLayoutFinalView", "SlicerLayoutNone")
    for name in sorted(layouts.difference(unusual)):
        manager.setLayout(getattr(slicer.vtkMRMLLayoutNode, name))
        host.process_events()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    host.process_events()
    assert {"Red", "Green", "Yellow"} <= set(manager.sliceViewNames())
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    assert all(manager.sliceWidget(name).sliceView().visible for name in ("Red", "Green", "Yellow"))


def test_a_chart_is_drawn_where_a_plot_view_is_shown(host):
    import slicer
    from preview_host.probes import pixels

    chart, table = a_chart()
    slicer.modules.plots.logic().ShowChartInLayout(chart)
    assert reddish(pixels("Plot")).sum() > 100
    slicer.util.updateTableFromArray(table, [np.zeros(0), np.zeros(0)], ["step", "loss"])
    assert reddish(pixels("Plot")).sum() < 100


def test_a_plot_view_in_a_panel_draws_once_it_has_scene_and_node(host):
    import slicer

    chart, _ = a_chart()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotViewNode")
    node.SetPlotChartNodeID(chart.GetID())
    view = slicer.qMRMLPlotView()
    view.resize(300, 200)
    view.setMRMLPlotViewNode(node)
    assert view.chart() is None
    view.setMRMLScene(slicer.mrmlScene)
    assert reddish(view._render()).sum() > 100


def reddish(rgb: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(rgb.astype(int), -1, 0)
    return red > np.maximum(green, blue) + 40


def jump(name: str, point) -> bool:
    import slicer

    slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode().JumpSliceByCentering(*point)
    return True


def a_segmentation(volume):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment_id = node.GetSegmentation().AddEmptySegment("", "bright", (1.0, 0.0, 0.0))
    mask = (slicer.util.arrayFromVolume(volume) > 0).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, volume)
    return node, segment_id


def a_chart():
    import slicer

    scene = slicer.mrmlScene
    table = scene.AddNewNodeByClass("vtkMRMLTableNode")
    slicer.util.updateTableFromArray(table, [np.arange(20.0), np.exp(-np.arange(20.0) / 5)], ["step", "loss"])
    series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", "loss")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("step")
    series.SetYColumnName("loss")
    series.SetPlotType(series.PlotTypeScatter)
    series.SetColor(1.0, 0.0, 0.0)
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode")
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetLegendVisibility(False)
    return chart, table


def test_paused_views_wait_until_resumed(host, add_volume):
    import slicer
    from preview_host.probes import view

    add_volume(a_volume())
    host.process_events()
    before = view("Red").grab().toImage()
    with slicer.util.RenderBlocker():
        view("Red")._drawing.logic.SetSliceOffset(2)
        host.process_events()
        assert view("Red").grab().toImage() == before
    host.process_events()
    assert view("Red").grab().toImage() != before
