"""The segment editor paints where the mouse drags, as its node allows."""

from __future__ import annotations

import logging

import numpy as np
import pytest

SHAPE = (24, 60, 80)
NODE = (slice(6, 18), slice(20, 44), slice(24, 56))
CENTER_RAS = (-40.0, -32.0, 24.0)
EDGE_RAS = (-24.0, -32.0, 24.0)
DIAMETER = 13.0


@pytest.fixture
def volume(add_volume):
    array = np.full(SHAPE, -100, np.int16)
    array[NODE] = 60
    return add_volume(array)


@pytest.fixture
def segmentation(volume):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "annotation")
    node.CreateDefaultDisplayNodes()
    for name in ("first", "second"):
        node.GetSegmentation().AddEmptySegment(name, name)
    return node


@pytest.fixture
def editor(volume, segmentation):
    """A widget on ``segmentation``, with a sphere brush on soft tissue only, as a module's ``enter`` leaves it."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    node.SetOverwriteMode(node.OverwriteNone)
    node.SetSourceVolumeIntensityMask(True)
    node.SetSourceVolumeIntensityMaskRange(-50, 250)
    widget = slicer.qMRMLSegmentEditorWidget()
    widget.setMRMLScene(slicer.mrmlScene)
    widget.setMRMLSegmentEditorNode(node)
    widget.setSegmentationNode(segmentation)
    widget.setSourceVolumeNode(volume)
    widget.setActiveEffectByName("Paint")
    widget.activeEffect().setCommonParameter("BrushSphere", 1)
    widget.activeEffect().setCommonParameter("BrushDiameterIsRelative", 0)
    widget.activeEffect().setCommonParameter("BrushAbsoluteDiameter", DIAMETER)
    widget.setupViewObservations()
    slicer.app.layoutManager().sliceWidget("Red").sliceLogic().SetSliceOffset(CENTER_RAS[2])
    yield widget
    widget.removeViewObservations()
    widget.setMRMLSegmentEditorNode(None)


def mask(segmentation, volume, segment_id: str) -> np.ndarray:
    import slicer

    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume) > 0


def ball(center_ras, diameter: float) -> np.ndarray:
    """The voxels whose middles are in a ball."""
    k, j, i = np.indices(SHAPE)
    away = (-i - center_ras[0]) ** 2 + (-j - center_ras[1]) ** 2 + (2 * k - center_ras[2]) ** 2
    return away <= (diameter / 2) ** 2


def click(point=CENTER_RAS) -> None:
    from preview_host.probes import click_in_slice

    click_in_slice("Red", point)


def test_a_click_paints_a_ball(editor, segmentation, volume):
    click()
    painted, expected = mask(segmentation, volume, "first"), ball(CENTER_RAS, DIAMETER)
    dice = 2 * (painted & expected).sum() / (painted.sum() + expected.sum())
    assert dice > 0.95  # a click lands on a pixel, not on the point itself
    assert painted.any(axis=(1, 2)).sum() == 7


def test_paint_keeps_to_the_intensity_range(editor, segmentation, volume):
    import slicer

    click(EDGE_RAS)
    painted = mask(segmentation, volume, "first")
    assert painted.any()
    assert slicer.util.arrayFromVolume(volume)[painted].min() == 60
    editor.mrmlSegmentEditorNode().SetSourceVolumeIntensityMask(False)
    click(EDGE_RAS)
    assert slicer.util.arrayFromVolume(volume)[mask(segmentation, volume, "first")].min() == -100


def test_a_drag_paints_all_along(editor, segmentation, volume):
    from preview_host.probes import drag_in_slice

    drag_in_slice("Red", [CENTER_RAS, (-46.0, -32.0, 24.0), (-52.0, -32.0, 24.0)])
    painted = mask(segmentation, volume, "first")
    assert all(painted[12, 32, i] for i in range(36, 55))
    editor.undo()
    assert not mask(segmentation, volume, "first").any()


def test_the_disk_stays_in_its_slice(editor, segmentation, volume):
    editor.activeEffect().setCommonParameter("BrushSphere", 0)
    click()
    assert list(np.flatnonzero(mask(segmentation, volume, "first").any(axis=(1, 2)))) == [12]


def test_undo_and_redo_go_stroke_by_stroke(editor, segmentation, volume):
    click()
    once = mask(segmentation, volume, "first")
    click((-50.0, -32.0, 24.0))
    twice = mask(segmentation, volume, "first")
    assert twice.sum() > once.sum()
    editor.undo()
    np.testing.assert_array_equal(mask(segmentation, volume, "first"), once)
    editor.redo()
    np.testing.assert_array_equal(mask(segmentation, volume, "first"), twice)


@pytest.mark.parametrize("may_overlap", [True, False])
def test_a_second_segment_overlaps_or_takes_over_as_the_node_says(editor, segmentation, volume, may_overlap):
    node = editor.mrmlSegmentEditorNode()
    node.SetOverwriteMode(node.OverwriteNone if may_overlap else node.OverwriteAllSegments)
    click()
    before = mask(segmentation, volume, "first")
    editor.setCurrentSegmentID("second")
    click((-45.0, -32.0, 24.0))
    first, second = mask(segmentation, volume, "first"), mask(segmentation, volume, "second")
    assert (first & second).any() == may_overlap
    assert (first.sum() == before.sum()) == may_overlap


def test_erase_takes_away(editor, segmentation, volume):
    click()
    editor.setActiveEffectByName("Erase")
    click()
    assert not mask(segmentation, volume, "first").any()


def test_threshold_fills_the_range_when_applied(editor, segmentation, volume):
    import slicer

    editor.setActiveEffectByName("Threshold")
    editor.activeEffect().setParameter("MinimumThreshold", 50)
    editor.activeEffect().setParameter("MaximumThreshold", 70)
    editor.activeEffect().self().onApply()
    np.testing.assert_array_equal(mask(segmentation, volume, "first"), slicer.util.arrayFromVolume(volume) == 60)


def test_nothing_is_painted_without_an_effect_or_after_leaving(editor, segmentation, volume):
    editor.setActiveEffectByName("")
    click()
    editor.setActiveEffectByName("Paint")
    editor.removeViewObservations()
    click()
    assert not mask(segmentation, volume, "first").any()


def test_painting_goes_on_in_another_layout(editor, segmentation, volume, host):
    import slicer

    host.layout_manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    host.process_events()
    click()
    assert mask(segmentation, volume, "first").any()


def test_the_source_is_refused_before_the_segmentation(host, volume, caplog):
    import slicer

    widget = slicer.qMRMLSegmentEditorWidget()
    widget.setMRMLScene(slicer.mrmlScene)
    widget.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
    with caplog.at_level(logging.ERROR):
        widget.setSourceVolumeNode(volume)
    assert "segmentation nodes first" in caplog.text
    assert widget.sourceVolumeNode() is None


def test_an_effect_that_the_host_lacks_is_an_error(editor):
    with pytest.raises(ValueError, match="Islands"):
        editor.setActiveEffectByName("Islands")


def test_choosing_in_the_list_and_in_the_widget_are_one(editor, segmentation):
    import qt

    heard = []
    editor.connect("currentSegmentIDChanged(QString)", heard.append)
    table = editor.findChild(qt.QTableWidget)
    table.selectRow(1)
    assert editor.currentSegmentID() == "second"
    editor.setCurrentSegmentID("first")
    assert table.currentRow() == 0
    assert heard == ["second", "first"]
    table.item(1, 0).setCheckState(qt.Qt.Unchecked)
    assert not segmentation.GetDisplayNode().GetSegmentVisibility("second")


def test_the_editor_lets_go_of_a_scene_that_is_closed(editor, host):
    host.close_scene()
    assert editor.segmentationNode() is None
    assert editor.sourceVolumeNode() is None
