"""Section 2: marking, completeness, and the training set."""

from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.training.case import read_case

from ..conftest import tiny_case
from .conftest import ball, mark, open_scan, press, until


def test_a_new_lymph_node_has_the_terminology_and_arms_a_ball_that_sticks_to_soft_tissue(ui, panel, scan):
    import vtk

    from DGSTSegmentLib.panel import roles

    ui.newNodeButton.click()
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    segment = annotation.GetSegmentation().GetNthSegment(0)
    tag = vtk.mutable("")
    assert segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
    assert "59441001^Lymph node" in str(tag.get())
    node, effect = panel.annotate.editor.node, ui.segmentEditor.activeEffect()
    assert effect.name == "Paint" and effect.integerParameter("BrushSphere") == 1
    assert node.GetSourceVolumeIntensityMask()
    assert tuple(node.GetSourceVolumeIntensityMaskRange()) == (-50, 250)
    assert node.GetOverwriteMode() == node.OverwriteNone
    assert ui.segmentEditor.segmentationNode() is annotation
    assert ui.segmentEditor.sourceVolumeNode() is scan


def test_soft_tissue_binds_what_adds_and_not_what_takes_away(ui, panel, scan):
    ui.newNodeButton.click()
    node, editor = panel.annotate.editor.node, ui.segmentEditor
    for effect, masked in (("Erase", False), ("Paint", True), ("Erase", False), ("", False), ("Paint", True)):
        editor.setActiveEffectByName(effect)
        assert bool(node.GetSourceVolumeIntensityMask()) == masked
    node.SetSourceVolumeIntensityMask(False)
    editor.setActiveEffectByName("Erase")
    editor.setActiveEffectByName("Paint")
    assert not node.GetSourceVolumeIntensityMask(), "the user has switched it off"
    editor.setActiveEffectByName("Threshold")
    node.SetSourceVolumeIntensityMask(True)
    editor.setActiveEffectByName("Paint")
    assert node.GetSourceVolumeIntensityMask(), "the effect Threshold has made a mask of its own"


@pytest.mark.parametrize("held", ["Erase", "Paint", ""])
def test_soft_tissue_binds_the_brush_also_after_coming_back_and_after_loading(host, panel, ui, scan, tmp_path, held):
    import slicer

    ui.newNodeButton.click()
    ui.segmentEditor.setActiveEffectByName("Erase")
    host.leave()
    host.enter()
    ui.newNodeButton.click()
    assert panel.annotate.editor.node.GetSourceVolumeIntensityMask()
    ui.segmentEditor.setActiveEffectByName(held)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    host.close_scene()
    slicer.util.loadScene(path)
    host.process_events()
    ui.newNodeButton.click()
    assert panel.annotate.editor.node.GetSourceVolumeIntensityMask()


def test_what_spilled_into_fat_can_be_erased(host, ui, panel, logic, scan):
    import slicer
    from preview_host.probes import click_in_slice

    from DGSTSegmentLib.panel import bridge, roles
    from DGSTSegmentLib.panel.review import jumpTo

    fat = np.zeros_like(ball())
    fat[10, 11:14, 13:16] = True
    assert (bridge.volumeOf(scan).array[fat] < -50).any()
    id_ = mark(logic, scan, fat)
    panel.annotate.startPainting(id_)
    ui.segmentEditor.setActiveEffectByName("Erase")
    middle = bridge.toRas(bridge.geometryOf(scan).to_world([10, 12, 14]))
    slicer.util.setSliceViewerLayers(background=scan, fit=True)
    jumpTo(middle)
    click_in_slice("Red", middle)
    assert not bridge.unionMask(roles.nodeOf(scan, roles.ANNOTATION), scan)[10, 12, 14]


def test_the_brush_stays_as_the_user_has_set_it(ui, panel, scan):
    ui.newNodeButton.click()
    node, effect = panel.annotate.editor.node, ui.segmentEditor.activeEffect()
    effect.setCommonParameter("BrushAbsoluteDiameter", 4.0)
    node.SetSourceVolumeIntensityMaskRange(-100, 400)
    ui.newNodeButton.click()
    assert effect.doubleParameter("BrushAbsoluteDiameter") == 4.0
    assert tuple(node.GetSourceVolumeIntensityMaskRange()) == (-100, 400)


def test_names_of_lymph_nodes_are_not_given_twice(logic, scan):
    from DGSTSegmentLib.panel import bridge, lymphnode, roles

    for _ in range(3):
        mark(logic, scan, ball())
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    segmentation = annotation.GetSegmentation()
    segmentation.RemoveSegment(bridge.segmentIds(annotation)[0])
    lymphnode.addLymphNode(annotation)
    names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    assert len(set(names)) == 3


def test_the_choice_of_completeness_belongs_to_the_scan(host, panel, ui, logic, scan):
    mark(logic, scan, ball())
    ui.allRadio.click()
    other = open_scan(panel, host, tiny_case(1)[0], "Other scan")
    assert ui.markedRadio.checked
    ui.inputVolumeSelector.setCurrentNode(scan)
    assert ui.allRadio.checked
    assert other is not scan


def test_a_box_is_placed_around_what_is_marked_and_can_be_moved(host, ui, logic, scan):
    from DGSTSegmentLib.panel import roles

    mask = ball()
    mark(logic, scan, mask)
    ui.regionRadio.click()
    roi = roles.regionOf(roles.nodeOf(scan, roles.ANNOTATION))
    assert roi.GetDisplayNode().GetVisibility()
    ui.addCaseButton.click()
    read = read_case(logic.study.case_files()[0])
    assert read.region.array[mask].all() and not read.region.array.all()
    roi.SetCenter(*(np.asarray(roi.GetCenter()) + [0, 0, 6.0]))
    until(host, lambda: ui.addCaseButton.text == "Update in training set")
    ui.markedRadio.click()
    assert not roi.GetDisplayNode().GetVisibility()


def test_a_turned_box_is_refused_because_it_would_mean_another_region(ui, logic, scan):
    import vtk
    from preview_host import answers

    from DGSTSegmentLib.panel import roles

    mark(logic, scan, ball())
    ui.regionRadio.click()
    turn = vtk.vtkTransform()
    turn.RotateZ(30)
    roles.regionOf(roles.nodeOf(scan, roles.ANNOTATION)).SetAndObserveObjectToNodeMatrix(turn.GetMatrix())
    ui.addCaseButton.click()
    assert any("is turned" in text for text in answers.shown)
    assert logic.trainingSet.cases() == []


def test_an_annotation_deleted_elsewhere_leaves_an_editor_without_one(host, panel, ui, logic, scan):
    import slicer

    from DGSTSegmentLib.panel import roles

    ui.newNodeButton.click()
    slicer.mrmlScene.RemoveNode(roles.nodeOf(scan, roles.ANNOTATION))
    host.process_events()
    assert ui.segmentEditor.segmentationNode() is None
    ui.newNodeButton.click()
    assert ui.segmentEditor.segmentationNode() is roles.nodeOf(scan, roles.ANNOTATION)


@pytest.mark.parametrize("refusals", [0, 1])
def test_a_box_without_lymph_nodes_is_a_case_that_can_be_learned_from(ui, logic, scan, refusals):
    from DGSTSegmentLib.panel import bridge, lymphnode, roles
    from DGSTSegmentLib.panel.placed import PlacedMask

    ui.regionRadio.click()
    for _ in range(refusals):
        node = roles.makeNode(scan, roles.REJECTED, "no nodes")
        bridge.setSegmentMask(node, lymphnode.addRejected(node), PlacedMask.of(ball()), bridge.geometryOf(scan))
    ui.addCaseButton.click()
    (case,) = logic.trainingSet.cases()
    assert (case.marked, case.rejected, len(case.boxes)) == (0, refusals, 1)
    read = read_case(logic.study.case_files()[0])
    assert read.region.array.any() and not read.annotation.array.any()


def test_a_box_beside_the_marks_is_refused_when_it_is_saved(ui, logic, scan):
    from preview_host import answers

    from DGSTSegmentLib.panel import roles

    mark(logic, scan, ball())
    ui.regionRadio.click()
    roi = roles.regionOf(roles.nodeOf(scan, roles.ANNOTATION))
    roi.SetCenter(*(np.asarray(roi.GetCenter()) + [0, 0, 500.0]))
    ui.addCaseButton.click()
    assert any("None of the marked lymph nodes lies in the box" in text for text in answers.shown)
    assert logic.trainingSet.cases() == []


def test_a_box_that_a_transform_moves_is_refused(ui, logic, scan):
    import slicer
    from preview_host import answers

    from DGSTSegmentLib.panel import roles

    mark(logic, scan, ball())
    ui.regionRadio.click()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Shift")
    roles.regionOf(roles.nodeOf(scan, roles.ANNOTATION)).SetAndObserveTransformNodeID(transform.GetID())
    ui.addCaseButton.click()
    assert any("is moved by the transform Shift" in text for text in answers.shown)
    assert logic.trainingSet.cases() == []


def test_a_box_is_seen_again_with_its_scan_and_not_replaced_unasked(host, panel, ui, logic, scan):
    from preview_host import answers

    from DGSTSegmentLib.panel import roles

    other = open_scan(panel, host, tiny_case(1)[0], "Other scan")
    for node in (scan, other):
        ui.inputVolumeSelector.setCurrentNode(node)
        ui.regionRadio.click()
    ui.inputVolumeSelector.setCurrentNode(scan)
    first, second = (roles.regionOf(roles.nodeOf(node, roles.ANNOTATION)) for node in (scan, other))
    assert first.GetDisplayNode().GetVisibility() and not second.GetDisplayNode().GetVisibility()
    answers.give("Cancel")
    ui.placeBoxButton.click()
    assert roles.regionOf(roles.nodeOf(scan, roles.ANNOTATION)) is first
    answers.give("OK")
    ui.placeBoxButton.click()
    assert roles.regionOf(roles.nodeOf(scan, roles.ANNOTATION)) is not first


def test_a_box_stays_where_no_new_one_can_be_placed(ui, logic, scan):
    import slicer
    from preview_host import answers

    from DGSTSegmentLib.panel import roles

    mark(logic, scan, ball())
    ui.regionRadio.click()
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    roi = roles.regionOf(annotation)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Shift")
    scan.SetAndObserveTransformNodeID(transform.GetID())
    answers.give("OK")
    ui.placeBoxButton.click()
    assert any("The box was not placed." in text and "Shift" in text for text in answers.shown)
    assert roi is not None and roles.regionOf(annotation) is roi


def test_keys_undo_while_the_module_is_shown_and_clash_with_no_key_of_the_review(host, panel, ui, logic, scan):
    from preview_host import segment_editor_keys as keys

    from DGSTSegmentLib.panel import bridge, roles

    ui.newNodeButton.click()
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    host.leave()
    press(host, "z")
    assert len(bridge.segmentIds(annotation)) == 1
    host.enter()
    press(host, "z")
    assert bridge.segmentIds(annotation) == []
    press(host, "y")
    assert len(bridge.segmentIds(annotation)) == 1
    assert not set(panel.shortcuts._shortcuts) & {*keys.UNDO, *keys.REDO, *keys.SEGMENTS, "I"}
