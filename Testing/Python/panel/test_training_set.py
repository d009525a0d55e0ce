"""Section 2: the training set, between the scene and the study folder."""

from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.training.case import read_case

from ..conftest import tiny_case
from .conftest import ball, mark, open_scan, until


def test_an_empty_annotation_does_not_become_a_case(ui, logic, scan):
    from preview_host import answers

    ui.newNodeButton.click()
    ui.addCaseButton.click()
    assert any("No lymph node is marked" in text for text in answers.shown)
    assert logic.trainingSet.cases() == []


def test_a_scan_without_nodes_is_a_case_when_the_user_says_that_all_are_marked(ui, logic, scan):
    ui.allRadio.click()
    ui.addCaseButton.click()
    case = logic.trainingSet.cases()[0]
    assert (case.marked, case.completeness) == (0, "all")
    assert not read_case(logic.study.case_files()[0]).annotation.array.any()


def test_painting_after_it_was_saved_offers_to_update(host, panel, ui, logic, scan):
    mark(logic, scan, ball())
    ui.addCaseButton.click()
    assert ui.addCaseButton.text == "In the training set" and not ui.addCaseButton.enabled
    panel.annotate.showScan()
    mark(logic, scan, ball())
    until(host, lambda: ui.addCaseButton.enabled)
    assert ui.addCaseButton.text == "Update in training set"
    assert panel.nextStep.step().button == "addCaseButton"
    ui.addCaseButton.click()
    assert [case.marked for case in logic.trainingSet.cases()] == [2]


def test_a_brush_stroke_in_a_marked_node_is_a_change(host, panel, ui, logic, scan):
    import slicer
    from preview_host.probes import click_in_slice

    from DGSTSegmentLib.panel import bridge, roles
    from DGSTSegmentLib.panel.review import jumpTo

    id_ = mark(logic, scan, ball())
    ui.addCaseButton.click()
    assert not ui.addCaseButton.enabled
    panel.annotate.startPainting(id_)
    panel.annotate.editor.node.SetSourceVolumeIntensityMask(False)
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    before = bridge.unionMask(annotation, scan).sum()
    middle = bridge.toRas(bridge.geometryOf(scan).to_world([10, 12, 14]))
    slicer.util.setSliceViewerLayers(background=scan, fit=True)
    jumpTo(middle)
    click_in_slice("Red", middle)
    assert bridge.unionMask(annotation, scan).sum() > before
    until(host, lambda: ui.addCaseButton.enabled)
    assert ui.addCaseButton.text == "Update in training set"


def test_refusals_taken_back_stay_taken_back_when_the_case_is_opened(host, panel, ui, logic, scan):
    from DGSTSegmentLib.panel import roles

    mark(logic, scan, ball())
    rejected = roles.makeNode(scan, roles.REJECTED, "no nodes")
    from DGSTSegmentLib.panel import bridge, lymphnode
    from DGSTSegmentLib.panel.placed import PlacedMask

    id_ = lymphnode.addLymphNode(rejected)
    bridge.setSegmentMask(rejected, id_, PlacedMask.of(~ball()), bridge.geometryOf(scan))
    assert logic.addToTrainingSet(scan).rejected == 1
    rejected.GetSegmentation().RemoveAllSegments()
    case = logic.addToTrainingSet(scan)
    assert case.rejected == 0
    host.close_scene()
    assert roles.nodeOf(logic.trainingSet.open(case.id), roles.REJECTED) is None


def test_fewer_marks_than_in_the_training_set_are_asked_about(ui, logic, scan):
    import slicer
    from preview_host import answers

    from DGSTSegmentLib.panel import roles

    mark(logic, scan, ball())
    mark(logic, scan, ball())
    ui.addCaseButton.click()
    slicer.mrmlScene.RemoveNode(roles.nodeOf(scan, roles.ANNOTATION))
    mark(logic, scan, ball())
    answers.give("Cancel")
    ui.addCaseButton.setEnabled(True)
    ui.addCaseButton.click()
    assert [case.marked for case in logic.trainingSet.cases()] == [2]


def test_a_scan_moved_by_a_hardened_transform_is_written_anew(logic, scan):
    import slicer
    import vtk

    from DGSTSegmentLib.panel import roles

    mark(logic, scan, ball())
    logic.addToTrainingSet(scan)
    shift = vtk.vtkMatrix4x4()
    shift.SetElement(0, 3, 25.0)
    for node in (scan, roles.nodeOf(scan, roles.ANNOTATION)):
        node.ApplyTransformMatrix(shift)
    assert logic.trainingSet.hasChanges(scan)
    logic.addToTrainingSet(scan)
    case = read_case(logic.study.case_files()[0])
    assert np.isclose(case.image.geometry.origin[0], tiny_case(0)[0].geometry.origin[0] - 25.0)
    assert (case.annotation.array > 0).sum() == ball().sum()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


def test_a_copy_of_a_scan_is_not_the_scans_case(host, logic, scan, tmp_path):
    import slicer

    mark(logic, scan, ball())
    case = logic.addToTrainingSet(scan)
    copy = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, scan, "Copy")
    assert logic.trainingSet.caseOf(copy) is None and logic.trainingSet.changedScans() == []
    orphan = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, copy, "Copy of the copy")
    slicer.mrmlScene.RemoveNode(copy)
    assert logic.trainingSet.caseOf(orphan) is None
    slicer.mrmlScene.RemoveNode(orphan)
    copy = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, scan, "Second")
    slicer.util.arrayFromVolume(copy)[:] += 1  # as after a filter; the very same voxels would be refused
    mark(logic, copy, ball())
    assert logic.addToTrainingSet(copy).id != case.id
    assert logic.trainingSet.caseOf(scan).id == case.id
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    host.close_scene()
    slicer.util.loadScene(path)
    known = {
        node.GetName(): logic.trainingSet.caseOf(node) for node in slicer.util.getNodesByClass(scan.GetClassName())
    }
    assert known["Tiny scan"].id == case.id and known["Second"].id != case.id
    copy = slicer.util.getNode("Second")
    other = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, slicer.util.getNode("Tiny scan"), "Other")
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("Tiny scan"))
    assert logic.trainingSet.caseOf(other) is None, "the original is gone, and its case is not the copy's"
    assert logic.trainingSet.caseOf(copy) is not None


def test_two_studies_keep_their_own_case_of_one_scan(ui, logic, scan, tmp_path):
    mark(logic, scan, ball())
    first = str(logic.study.folder)
    logic.addToTrainingSet(scan)
    logic.setStudyFolder(str(tmp_path / "other"))
    logic.addToTrainingSet(scan)
    logic.setStudyFolder(first)
    logic.addToTrainingSet(scan)
    assert len(logic.trainingSet.cases()) == 1


def test_a_finished_case_is_opened_again_in_an_empty_scene(host, panel, ui, logic, scan):
    from DGSTSegmentLib.panel import bridge, roles

    mask = ball()
    mark(logic, scan, mask)
    ui.allRadio.click()
    ui.addCaseButton.click()
    host.close_scene()
    ui.caseTable.setCurrentCell(0, 0)
    ui.openCaseButton.click()
    reopened = panel.state.scan
    assert reopened.GetName() == "Tiny scan"
    assert bridge.unionMask(roles.nodeOf(reopened, roles.ANNOTATION), reopened).sum() == mask.sum()
    assert ui.allRadio.checked
    assert ui.addCaseButton.text == "In the training set"


def test_opening_a_case_that_is_open_shows_it_with_the_unsaved_marks(host, panel, ui, logic, scan):
    from DGSTSegmentLib.panel import bridge, roles

    mark(logic, scan, ball())
    ui.addCaseButton.click()
    mark(logic, scan, ball())
    open_scan(panel, host, tiny_case(1)[0], "Other scan")
    ui.caseTable.setCurrentCell(0, 0)
    ui.openCaseButton.click()
    assert panel.state.scan is scan
    assert len(bridge.segmentIds(roles.nodeOf(scan, roles.ANNOTATION))) == 2


@pytest.mark.parametrize("painted_on", [False, True])
def test_a_saved_scene_knows_whether_its_marks_are_in_the_training_set(
    host, panel, ui, logic, scan, tmp_path, painted_on
):
    import slicer

    mark(logic, scan, ball())
    ui.addCaseButton.click()
    if painted_on:
        mark(logic, scan, ball())
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    host.close_scene()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    until(host, lambda: panel.state.scan is not None)
    wanted = "Update in training set" if painted_on else "In the training set"
    assert ui.addCaseButton.text == wanted


def test_removing_a_case_asks_first_and_keeps_its_files(ui, logic, scan):
    from preview_host import answers

    mark(logic, scan, ball())
    ui.addCaseButton.click()
    ui.caseTable.setCurrentCell(0, 0)
    answers.give("No")
    ui.removeCaseButton.click()
    assert ui.caseTable.rowCount == 1
    answers.give("Yes")
    ui.removeCaseButton.click()
    assert ui.caseTable.rowCount == 0 and logic.trainingSet.cases() == []
    assert len(list((logic.study.folder / "removed").iterdir())) == 1
    assert ui.addCaseButton.text == "Add to training set"


def test_a_study_folder_that_cannot_be_written_is_said_and_nothing_is_lost(ui, logic, scan, tmp_path, monkeypatch):
    from preview_host import answers

    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    monkeypatch.setattr(logic.study, "folder", blocker / "study")
    mark(logic, scan, ball())
    ui.addCaseButton.click()
    assert any("choose another training folder" in text for text in answers.shown)
    assert ui.addCaseButton.text == "Add to training set"


def test_a_study_folder_that_is_gone_is_no_empty_study(host, ui, logic, scan, tiny_models, refusal):
    """As with a drive that is not connected: nothing is made in its place, and no other model is used."""
    import shutil

    from preview_host import answers

    mark(logic, scan, ball())
    ui.addCaseButton.click()
    folder, elsewhere = logic.study.folder, logic.study.folder.with_name("elsewhere")
    shutil.move(folder, elsewhere)
    logic.trainingSet.changed()
    assert ui.caseTable.rowCount == 0 and any("is gone" in text for text in answers.shown)
    with pytest.raises(refusal, match="is gone; bring its drive back"):
        logic.findLymphNodes(scan)
    with pytest.raises(refusal, match="is gone"):
        logic.addToTrainingSet(scan)
    assert not folder.exists()
    shutil.move(elsewhere, folder)
    assert len(logic.trainingSet.cases()) == 1
    shutil.rmtree(folder)
    logic.setStudyFolder(str(folder))
    assert logic.trainingSet.cases() == [], "chosen anew it is a new study"


def test_a_model_that_is_gone_is_not_replaced_by_another_in_silence(logic, scan, tiny_models, tmp_path, refusal):
    import shutil

    mine = tmp_path / "mine"
    shutil.copytree(tiny_models[0], mine)
    from DGSTSegmentLib.networks.description import read_description

    logic.models.add(str(mine), {"card": read_description(mine).card.to_json()})
    logic.models.use(str(mine))
    logic.settings.addedModels = []
    with pytest.raises(refusal, match="mine is gone; choose a model"):
        logic.findLymphNodes(scan)


def test_what_another_scene_saved_later_is_not_overwritten_unasked(host, panel, ui, logic, scan, tmp_path, refusal):
    import slicer
    from preview_host import answers

    mark(logic, scan, ball())
    ui.addCaseButton.click()
    path = str(tmp_path / "monday.mrb")
    assert slicer.util.saveScene(path)
    mark(logic, scan, ball())
    case = logic.addToTrainingSet(scan)
    assert case.marked == 2
    host.close_scene()
    slicer.util.loadScene(path)
    host.process_events()
    old = panel.state.scan
    assert logic.trainingSet.hasChanges(old) and ui.addCaseButton.text == "Update in training set"
    with pytest.raises(refusal, match="changed in the training set since"):
        logic.addToTrainingSet(old)
    with pytest.raises(refusal, match="open as it was before"):
        logic.trainingSet.open(case.id)
    answers.give("Cancel")
    ui.addCaseButton.click()
    assert "newer state" in answers.asked[-1]
    assert [case.marked for case in logic.trainingSet.cases()] == [2]


def test_one_scan_is_not_added_twice(panel, host, logic, scan, refusal):
    mark(logic, scan, ball())
    logic.addToTrainingSet(scan)
    again = open_scan(panel, host, tiny_case(0)[0], "From DICOM once more")
    mark(logic, again, ball())
    with pytest.raises(refusal, match="already, as Tiny scan; go on with that case"):
        logic.addToTrainingSet(again)
    assert len(logic.trainingSet.cases()) == 1


def test_marks_that_a_transform_moves_are_refused(logic, scan, refusal):
    import slicer

    from DGSTSegmentLib.panel import roles

    mark(logic, scan, ball())
    logic.addToTrainingSet(scan)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Shift")
    roles.nodeOf(scan, roles.ANNOTATION).SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(refusal, match="is moved by the transform Shift"):
        logic.addToTrainingSet(scan)
    scan.SetAndObserveTransformNodeID(transform.GetID())
    assert logic.trainingSet.changedScans() == [scan]


def test_saving_a_case_leaves_the_scans_own_file_where_the_user_has_it(logic, scan, tmp_path):
    import slicer

    path = tmp_path / "mine.nrrd"
    slicer.util.saveNode(scan, str(path))
    mark(logic, scan, ball())
    logic.addToTrainingSet(scan)
    assert scan.GetStorageNode().GetFileName() == str(path)


def test_another_study_folder_brings_its_own_training_set(ui, logic, scan, tmp_path):
    from preview_host import answers

    mark(logic, scan, ball())
    ui.addCaseButton.click()
    answers.give(str(tmp_path / "other"))
    ui.studyFolderButton.click()
    assert ui.caseTable.rowCount == 0
    assert logic.settings.studyFolder == str(tmp_path / "other")
    assert ui.addCaseButton.text == "Add to training set"


def test_scans_of_one_name_are_told_apart_in_the_table(panel, host, ui, logic, scan):
    for number in (0, 1):
        node = scan if number == 0 else open_scan(panel, host, tiny_case(1)[0], scan.GetName())
        node.SetName("4: Thorax")
        mark(logic, node, ball())
        ui.addCaseButton.click()
    assert [ui.caseTable.item(row, 0).text() for row in (0, 1)] == ["4: Thorax", "4: Thorax (2)"]
    toolTip = ui.caseTable.item(1, 2).toolTip()
    assert str(logic.study.case_folder(logic.trainingSet.cases()[1].id)) in toolTip
    assert "Marked lymph nodes: 1" in toolTip and "image.nrrd, annotation.seg.nrrd" in toolTip


@pytest.mark.parametrize("way", ["F2", "menu"])
def test_a_case_is_renamed_in_the_table(panel, host, ui, logic, scan, way):
    import qt
    from preview_host import answers
    from PySide6.QtTest import QTest

    mark(logic, scan, ball())
    ui.addCaseButton.click()
    open_scan(panel, host, tiny_case(1)[0], "Other scan")
    mark(logic, panel.state.scan, ball())
    ui.addCaseButton.click()
    ui.annotateSection.collapsed = False

    def call_first(name):
        ui.caseTable.setCurrentCell(0, 0)
        ui.caseTable.setFocus()
        if way == "F2":
            QTest.keyClick(ui.caseTable, qt.Qt.Key_F2)
        else:
            next(action for action in ui.caseTable.actions() if action.text == "Rename").trigger()
        host.process_events()
        (field,) = ui.caseTable.findChildren(qt.QLineEdit)
        field.setText(name)
        QTest.keyClick(field, qt.Qt.Key_Return)

    call_first("Patient 7")
    until(host, lambda: [case.name for case in logic.trainingSet.cases()] == ["Patient 7", "Other scan"], 10)
    mark(logic, scan, ball())
    assert logic.addToTrainingSet(scan).name == "Patient 7", "the scan's own name does not come back"
    call_first("Other scan")
    until(host, lambda: any("Another case is called Other scan" in text for text in answers.shown), 10)
    assert ui.caseTable.item(0, 0).text() == "Patient 7" == logic.trainingSet.cases()[0].name
