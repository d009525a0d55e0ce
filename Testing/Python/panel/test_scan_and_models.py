"""Section 1: choosing scan and model, and finding lymph nodes without touching what the user made."""

from __future__ import annotations

import numpy as np
import pytest

from ..conftest import files_of_at_most, tiny_case
from .conftest import find, mark, open_scan, until


def test_nothing_can_be_found_before_a_scan_is_chosen(ui, panel):
    assert not ui.findButton.enabled and "Choose a CT scan" in ui.findButton.toolTip
    assert panel.nextStep.step().sentence.startswith("Choose the CT scan")


def test_a_labelmap_is_no_scan(host, panel, ui):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    host.leave()
    host.enter()
    assert panel.state.scan is None
    assert ui.inputVolumeSelector.currentNode() is None


def test_the_starter_is_shown_as_a_demonstration_everywhere_it_is_named(ui):
    assert "demonstration" in ui.modelSelector.currentText
    assert "phantoms" in ui.cardLabel.text
    assert not ui.removeModelButton.enabled


def test_finding_never_touches_the_annotation(host, panel, logic, scan, tiny_models):
    from DGSTSegmentLib.panel import bridge, roles

    _, annotation = tiny_case(0)
    mark(logic, scan, annotation.array > 0)
    before = bridge.unionMask(roles.nodeOf(scan, roles.ANNOTATION), scan)
    prediction = find(host, panel)
    assert len(prediction.findings()) >= 2
    node = roles.nodeOf(scan, roles.ANNOTATION)
    assert node is not prediction.node
    np.testing.assert_array_equal(bridge.unionMask(node, scan), before)
    find(host, panel)
    assert len(bridge.segmentIds(node)) == 1


def test_the_prediction_lies_where_the_nodes_are(host, panel, scan, tiny_models):
    from DGSTSegmentLib.panel import bridge
    from DGSTSegmentLib.training.overlap import dice

    volume, _ = tiny_case(0)
    balls = volume.array > 20
    prediction = find(host, panel)
    assert dice(balls, bridge.unionMask(prediction.node, scan)) > 0.6


def test_before_and_after_are_kept_side_by_side_and_shown_as_chosen(host, panel, ui, logic, scan, tiny_models):
    from DGSTSegmentLib.panel import roles

    base, adapted = tiny_models
    find(host, panel)
    assert not ui.shownSelector.enabled
    logic.models.use(base)
    find(host, panel)
    after, before = (roles.nodeOf(scan, role).GetDisplayNode() for role in (roles.AFTER, roles.BEFORE))
    assert ui.shownSelector.enabled
    shown = {}
    for name in ("after", "before", "both"):
        ui.shownSelector.setCurrentIndex(ui.shownSelector.findData(name))
        shown[name] = (bool(after.GetVisibility()), bool(before.GetVisibility()))
    assert shown == {"after": (True, False), "before": (False, True), "both": (True, True)}


def test_slicer_says_that_it_is_busy_while_findings_are_put_into_the_scene(host, panel, scan, tiny_models, monkeypatch):
    import qt

    from DGSTSegmentLib.panel import logic, prediction

    cursors = []

    def made(*args):
        cursors.append(qt.QApplication.overrideCursor())
        return prediction.makePrediction(*args)

    monkeypatch.setattr(logic, "makePrediction", made)
    find(host, panel)
    assert cursors[0] is not None and qt.QApplication.overrideCursor() is None


def test_two_scans_keep_their_own_predictions(host, panel, ui, scan, tiny_models):
    first = find(host, panel)
    other = open_scan(panel, host, tiny_case(1)[0], "Other scan")
    assert ui.findingsTable.rowCount == 0
    second = find(host, panel)
    assert second.scan is other and first.scan is scan
    ui.inputVolumeSelector.setCurrentNode(scan)
    assert panel.review.review.prediction.node is first.node


def test_a_prediction_of_a_deleted_scan_is_dropped_and_said(host, panel, ui, logic, scan, tiny_models):
    import slicer
    from preview_host import answers

    ui.findButton.click()
    slicer.mrmlScene.RemoveNode(scan)
    until(host, lambda: not logic.engine.busy)
    assert any("was deleted" in text for text in answers.shown)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert panel.state.scan is None


def test_finding_can_be_stopped_and_changes_nothing(host, panel, ui, logic, scan, tiny_models):
    from DGSTSegmentLib.panel import roles

    found = []
    logic.predicted.connect(found.append)
    ui.findButton.click()
    assert ui.findProgressWidget.isVisibleTo(ui.scanSection)
    assert not ui.findButton.enabled
    ui.stopFindingButton.click()
    until(host, lambda: not logic.engine.busy)
    logic.predicted.disconnect(found.append)
    assert not ui.findProgressWidget.isVisibleTo(ui.scanSection)
    assert found == [] and roles.nodeOf(scan, roles.AFTER) is None and panel.review.review is None
    assert ui.findButton.enabled


@pytest.mark.parametrize("answer", ["Yes", "No", "Cancel"])
def test_decisions_are_not_lost_when_lymph_nodes_are_looked_for_again(
    host, panel, ui, logic, scan, tiny_models, answer
):
    from preview_host import answers

    from DGSTSegmentLib.panel import bridge, roles

    first = find(host, panel)
    ui.acceptButton.click()
    answers.give(answer)
    ui.findButton.click()
    until(host, lambda: not logic.engine.busy)
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    kept = 0 if annotation is None else len(bridge.segmentIds(annotation))
    assert ": 1." in answers.asked[0] and "No discards them" in answers.asked[0]
    assert kept == (1 if answer == "Yes" else 0)
    assert (panel.review.review.prediction.token == first.token) == (answer == "Cancel")


def test_the_line_of_the_machine_says_why_no_gpu_is_used_unless_none_is_wanted(host, panel, ui, logic, scan):
    if logic.describeMachine().wait()["why_no_gpu"] is None:
        pytest.skip("this machine has a GPU")
    for device, said in (("auto", True), ("cuda", True), ("cpu", False)):
        ui.deviceLabel.setText("")
        logic.settings.device = device
        panel.scan.describeMachineAgain()
        until(host, lambda: ui.deviceLabel.text)
        assert ("No GPU is used: PyTorch" in ui.deviceLabel.text) == said
        assert ("GB free" in ui.deviceLabel.text) == (device != "cuda")


def test_a_model_is_added_from_a_folder_and_removed_again(host, ui, logic, tiny_model):
    from preview_host import answers

    answers.give(str(tiny_model))
    ui.addModelButton.menu().actions()[0].trigger()
    until(host, lambda: not logic.engine.busy)
    assert logic.models.current.spec == str(tiny_model)
    assert "tiny" in ui.modelSelector.currentText
    answers.give("Yes")
    ui.removeModelButton.click()
    assert logic.models.current.spec == "starter"
    assert tiny_model.exists()


def test_a_folder_that_is_no_model_is_refused_in_one_sentence(host, ui, logic, tmp_path):
    from preview_host import answers

    answers.give(str(tmp_path))
    ui.addModelButton.menu().actions()[0].trigger()
    until(host, lambda: not logic.engine.busy)
    assert any(str(tmp_path) in text for text in answers.shown)
    assert logic.models.current.spec == "starter"


def test_a_choice_that_could_not_be_kept_leaves_the_model_in_use_in_the_list(ui, panel, logic, tiny_models):
    from preview_host import answers

    base, adapted = tiny_models
    index = ui.modelSelector.findData(base)
    ui.modelSelector.setCurrentIndex(index)
    with files_of_at_most(1):
        panel.scan.onModelChosen(index)
    assert any("The model was not changed." in text for text in answers.shown)
    assert logic.models.current.spec == adapted
    assert ui.modelSelector.itemData(ui.modelSelector.currentIndex) == adapted


def test_a_scan_that_a_transform_moves_is_refused(host, ui, scan, tiny_models):
    import slicer
    from preview_host import answers

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    scan.SetAndObserveTransformNodeID(transform.GetID())
    ui.findButton.click()
    assert any("harden the transform" in text for text in answers.shown)
