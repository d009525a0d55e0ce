"""What the training set knows of a scan across scenes and studies: newer and older states, and what was saved where."""

from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Geometry, Volume

from ..conftest import tiny_case
from .conftest import ball, balls, find, mark, open_scan, predicted, press, stored_marks, until


def test_a_scene_older_than_the_study_is_not_urged_upon_it_and_takes_the_newer_marks(host, panel, ui, logic, monday):
    from preview_host import answers

    from DGSTSegmentLib.panel import bridge, roles

    old = monday
    assert logic.trainingSet.changedScans() == []
    step = panel.nextStep.step()
    assert "newer state" in step.sentence and step.button == ""
    ui.caseTable.selectRow(0)
    answers.give("Cancel", "OK")
    ui.openCaseButton.click()
    assert len(bridge.segmentIds(roles.nodeOf(old, roles.ANNOTATION))) == 1
    ui.openCaseButton.click()
    host.process_events()
    assert panel.state.scan is old and len(bridge.segmentIds(roles.nodeOf(old, roles.ANNOTATION))) == 2
    assert not logic.trainingSet.isOlder(old) and not logic.trainingSet.hasChanges(old)
    assert ui.segmentEditor.segmentationNode() is roles.nodeOf(old, roles.ANNOTATION)


@pytest.mark.parametrize("clear", [True, False])
def test_after_a_scene_was_loaded_the_editor_holds_the_scans_annotation(
    host, panel, ui, logic, scan, tiny_models, tmp_path, clear
):
    import slicer

    from DGSTSegmentLib.panel import roles

    find(host, panel)
    mark(logic, scan, ball())
    panel.annotate.showScan()
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    if clear:
        predicted(panel, host, tiny_case(1)[1], "Other")
    else:
        host.close_scene()
        open_scan(panel, host, tiny_case(1)[0], "Other")
        ui.newNodeButton.click()
    slicer.util.loadScene(path, {"clear": clear})
    host.process_events()
    annotation = roles.nodeOf(panel.state.scan, roles.ANNOTATION)
    assert annotation is not None
    assert ui.segmentEditor.segmentationNode() is annotation
    assert panel.annotate.editor.node.GetSegmentationNode() is annotation
    assert ui.segmentEditor.sourceVolumeNode() is panel.state.scan


@pytest.fixture
def monday(host, panel, ui, logic, scan, tmp_path):
    """The scan as a scene of Monday has it, with one mark; its case was given another one on Tuesday."""
    import slicer

    mark(logic, scan, ball())
    ui.addCaseButton.click()
    path = str(tmp_path / "monday.mrb")
    assert slicer.util.saveScene(path)
    mark(logic, scan, ball())
    logic.addToTrainingSet(scan)
    host.close_scene()
    slicer.util.loadScene(path)
    host.process_events()
    return panel.state.scan


@pytest.mark.parametrize(("replace", "marked"), [("Cancel", [2]), ("OK", [3])])
def test_new_marks_in_an_older_scene_are_asked_about_before_learning(
    host, panel, ui, logic, monday, tiny_models, replace, marked
):
    from preview_host import answers

    for _ in range(2):
        mark(logic, monday, ball())
    panel.state.parameters.steps = 1
    answers.give("Yes", replace, *(["Cancel"] if replace == "Cancel" else []))
    ui.startButton.click()
    assert "latest marks of Tiny scan" in answers.asked[0] and "newer state of Tiny scan" in answers.asked[1]
    until(host, lambda: not logic.engine.busy)
    assert stored_marks(logic) == marked


@pytest.mark.parametrize("damage", ["rejected.seg.nrrd", "image.nrrd"])
def test_newer_marks_that_cannot_be_taken_leave_the_open_ones_alone(host, ui, logic, monday, damage):
    import slicer
    from preview_host import answers

    from DGSTSegmentLib.panel import bridge, casefiles, roles

    (case,) = logic.trainingSet.cases()
    folder = logic.study.case_folder(case.id)
    if damage == "image.nrrd":
        moved = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, monday, "moved")
        moved.SetOrigin(1.0, 2.0, 3.0)
        casefiles.writeVolume(moved, folder / damage)
        slicer.mrmlScene.RemoveNode(moved)
    else:
        (folder / "case.json").write_text((folder / "case.json").read_text().replace('"rejected": 0', '"rejected": 1'))
        (folder / damage).write_bytes(b"NRRD0004")
    before = bridge.segmentIds(roles.nodeOf(monday, roles.ANNOTATION))
    ui.caseTable.selectRow(0)
    answers.give("OK")
    ui.openCaseButton.click()
    assert answers.shown and len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    assert bridge.segmentIds(roles.nodeOf(monday, roles.ANNOTATION)) == before


def test_a_study_that_cannot_be_read_is_no_leave_to_replace_its_case(ui, logic, monday, monkeypatch, refusal):
    from DGSTSegmentLib.panel.keeping import howToSave

    def unreadable(_scan):
        raise refusal("the drive is gone")

    monkeypatch.setattr(logic.trainingSet, "isOlder", unreadable)
    assert howToSave(logic.trainingSet, monday) is None


def test_each_of_two_studies_knows_for_itself_what_of_a_scan_it_has(ui, logic, scan, tmp_path):
    first, second = str(logic.study.folder), str(tmp_path / "other")
    mark(logic, scan, ball())
    for folder in (second, first):
        logic.setStudyFolder(folder)
        logic.addToTrainingSet(scan)
    mark(logic, scan, ball())
    logic.addToTrainingSet(scan)
    assert not logic.trainingSet.hasChanges(scan)
    logic.setStudyFolder(second)
    assert logic.trainingSet.hasChanges(scan) and ui.addCaseButton.enabled
    ui.addCaseButton.click()
    assert stored_marks(logic) == [2]


def test_what_is_saved_is_known_again_in_another_scene(host, panel, ui, logic, scan, tmp_path):
    import slicer
    import vtk

    from DGSTSegmentLib.panel import roles
    from DGSTSegmentLib.panel.casestate import digestOf

    mark(logic, scan, ball())
    mark(logic, scan, np.roll(ball(), 3, axis=0))
    ui.addCaseButton.click()
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    host.close_scene()
    slicer.util.loadScene(path)
    host.process_events()
    assert not logic.trainingSet.hasChanges(panel.state.scan)
    annotation = roles.nodeOf(panel.state.scan, roles.ANNOTATION)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Shift")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 6.0)
    transform.SetMatrixTransformToParent(matrix)
    before = digestOf(panel.state.scan)
    annotation.SetAndObserveTransformNodeID(transform.GetID())
    assert digestOf(panel.state.scan) != before, "marks that a transform moves are others"
    annotation.SetAndObserveTransformNodeID(None)
    mark(logic, panel.state.scan, np.roll(ball(), 6, axis=0))
    assert logic.trainingSet.hasChanges(panel.state.scan)


def test_the_scan_in_the_red_view_is_taken_first_not_the_first_of_the_scene(host, panel, ui):
    import slicer

    from DGSTSegmentLib.panel import bridge

    host.leave()
    bridge.addVolume(tiny_case(0)[0], "Scout")
    ct = bridge.addVolume(tiny_case(1)[0], "CT")
    slicer.util.setSliceViewerLayers(background=ct)
    host.enter()
    assert panel.state.scan is ct


def test_a_view_that_the_user_gave_another_volume_keeps_it_when_the_module_is_entered_again(host, panel, ui, scan):
    import slicer

    from DGSTSegmentLib.panel import bridge

    ui.newNodeButton.click()
    host.leave()
    pet = bridge.addVolume(tiny_case(1)[0], "PET")
    green = slicer.app.layoutManager().sliceWidget("Green").mrmlSliceCompositeNode()
    green.SetBackgroundVolumeID(pet.GetID())
    host.enter()
    host.process_events()
    assert panel.state.scan is scan and green.GetBackgroundVolumeID() == pet.GetID()


def test_views_that_a_new_layout_brings_show_the_scan(host, panel, ui, scan):
    import slicer

    manager = slicer.app.layoutManager()
    old = manager.layout
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutThreeOverThreeView)
    host.process_events()
    shown = {
        manager.sliceWidget(name).mrmlSliceCompositeNode().GetBackgroundVolumeID() for name in manager.sliceViewNames()
    }
    manager.setLayout(old)
    assert len(manager.sliceViewNames()) > 3 and shown == {scan.GetID()}


@pytest.mark.parametrize("saved", ["a choice", "no choice", "no parameters"])
def test_a_scene_that_is_added_leaves_the_panel_with_a_choice_of_the_users(host, panel, ui, logic, tmp_path, saved):
    import slicer

    if saved == "a choice":
        open_scan(panel, host, tiny_case(0)[0], "Scout")
        open_scan(panel, host, tiny_case(1)[0], "Chosen in the scene")
    path = str(tmp_path / "scene.mrb")
    if saved == "no parameters":
        slicer.mrmlScene.RemoveNode(logic.getParameterNode())
    assert slicer.util.saveScene(path)
    host.close_scene()
    open_scan(panel, host, tiny_case(0)[0], "First")
    chosen = open_scan(panel, host, tiny_case(1)[0], "Chosen here")
    slicer.util.setSliceViewerLayers(background=slicer.util.getNode("First"))
    assert panel.state.scan is chosen
    slicer.util.loadScene(path, {"clear": False})
    host.process_events()
    wanted = "Chosen in the scene" if saved == "a choice" else "Chosen here"
    assert panel.state.scan.GetName() == wanted and ui.inputVolumeSelector.currentNode() is panel.state.scan


def flipped(volume):
    """The same voxels at the same place, kept with the slices in the other order."""
    shape = volume.array.shape
    toWorld = volume.geometry.ijk_to_world @ np.diag([1.0, 1, -1, 1])
    toWorld[:3, 3] = volume.geometry.to_world([shape[0] - 1, 0, 0])
    return Volume(np.ascontiguousarray(volume.array[::-1]), Geometry(shape, toWorld))


def test_findings_of_a_scan_whose_slices_slicer_turned_around_become_the_lymph_nodes_that_they_are(
    host, panel, ui, tmp_path
):
    import slicer

    from DGSTSegmentLib.panel import bridge, roles

    shape = (20, 30, 30)
    numbers = balls(shape, [(5, 8, 8), (8, 20, 20)], [4, 4])
    right = Volume(numbers, Geometry.from_parts(shape, (1, 1, 1), (-15, -15, 0)))
    predicted(panel, host, flipped(right), "Left-handed")
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    host.close_scene()
    slicer.util.loadScene(path)
    host.process_events()
    scan = panel.state.scan
    assert bridge.geometryOf(scan).same_grid(right.geometry), "Slicer loads no left-handed scan as it is"
    panel.review.goToFirst()
    press(host, "a")
    press(host, "n")
    press(host, "x")
    ui.applyButton.click()
    marked, rejected = (bridge.unionMask(node, scan) for node in roles.markNodesOf(scan))
    assert marked.any() and rejected.any()
    np.testing.assert_array_equal(marked | rejected, numbers > 0)


def test_a_finding_without_a_voxel_is_made_nothing_of(host, panel, ui, logic):
    import slicer
    from preview_host import answers

    from DGSTSegmentLib.panel import bridge, roles
    from DGSTSegmentLib.panel.placed import PlacedMask

    shape = (20, 30, 30)
    numbers = balls(shape, [(5, 8, 8), (8, 20, 20)], [4, 4])
    made = predicted(panel, host, Volume(numbers, Geometry.from_parts(shape, (1, 1, 1))))
    first, second = made.findings()
    nothing = PlacedMask.of(np.zeros(shape, bool))
    bridge.setSegmentMask(made.node, second.segmentId, nothing, bridge.geometryOf(made.scan))
    for item in (first, second):
        panel.review.goTo(item.number)
        press(host, "a")
    ui.applyButton.click()
    assert f"Finding {second.number} holds no voxel of Scan" in answers.shown[-1]
    assert roles.nodeOf(made.scan, roles.ANNOTATION) is None and len(panel.review.review.pending()) == 2
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == [made.node]
