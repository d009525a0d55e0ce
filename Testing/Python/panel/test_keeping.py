"""Nothing of the user's is replaced, passed over or shown wrongly: many scans, other modules, scenes and studies."""

from __future__ import annotations

import numpy as np
import pytest

from ..conftest import tiny_case
from .conftest import ball, find, mark, open_scan, predicted, press, save_as, stored_marks, until
from .test_review import found_anew, predicted_again


def decide(host, review, *keys):
    """Press keys, going to the next finding after each."""
    for key in keys:
        press(host, key)
        press(host, "n")


@pytest.fixture
def reviewed_case(review, logic):
    """The scan of the review in the training set, with two marks that are no finding."""
    scan = review.review.scan
    for place in (slice(1, 4), slice(35, 38)):
        mask = np.zeros((40, 60, 60), bool)
        mask[place, 2:5, 2:5] = True
        mark(logic, scan, mask)
    logic.addToTrainingSet(scan)
    return scan


@pytest.mark.parametrize(("answer", "left"), [("Cancel", [2]), ("OK", [1])])
def test_decisions_that_would_take_marks_from_the_case_are_asked_about(
    host, review, ui, logic, reviewed_case, answer, left
):
    import slicer
    from preview_host import answers

    from DGSTSegmentLib.panel import roles

    slicer.mrmlScene.RemoveNode(roles.nodeOf(reviewed_case, roles.ANNOTATION))
    host.process_events()
    press(host, "a")
    answers.give(answer)
    ui.applyButton.click()
    assert "more marked lymph nodes of Scan" in answers.asked[-1]
    assert stored_marks(logic) == left


def test_decisions_that_cannot_be_added_keep_the_findings_they_were_made_on(host, panel, ui, logic, scan, tiny_models):
    import slicer
    from preview_host import answers

    from DGSTSegmentLib.panel import roles

    first = find(host, panel)
    mark(logic, scan, ball())
    ui.acceptButton.click()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Shift")
    roles.nodeOf(scan, roles.ANNOTATION).SetAndObserveTransformNodeID(transform.GetID())
    answers.give("Yes")
    ui.findButton.click()
    assert not logic.engine.busy and any("is moved by the transform Shift" in text for text in answers.shown)
    assert panel.review.review.prediction.token == first.token


@pytest.mark.parametrize(("answer", "marked"), [("Yes", [2, 2]), ("No", [2, 1])])
def test_decisions_that_no_case_has_are_asked_about_before_learning(
    host, panel, ui, logic, review, tiny_models, answer, marked
):
    from preview_host import answers

    reviewed = review.review.scan
    other = open_scan(panel, host, tiny_case(0)[0])
    corner = np.zeros((40, 60, 60), bool)
    corner[1:4, 2:5, 2:5] = True
    for scan, mask in ((other, ball()), (other, ball()), (reviewed, corner)):
        mark(logic, scan, mask)
    for scan in (other, reviewed):
        logic.addToTrainingSet(scan)
    logic.review(reviewed).accept(1)
    panel.state.parameters.steps = 1
    answers.give(*([answer, "Yes"] if answer == "Yes" else [answer]))
    ui.startButton.click()
    assert "not part of an annotation yet: 1" in answers.asked[0]
    until(host, lambda: not logic.engine.busy)
    assert stored_marks(logic) == marked


def test_a_prediction_that_was_deleted_in_another_module_ends_its_review_and_nothing_else(
    host, panel, review, ui, logic
):
    import slicer

    mark(logic, review.review.scan, np.ones((40, 60, 60), bool))
    heard = []
    host.leave()
    slicer.mrmlScene.RemoveNode(review.review.prediction.node)
    logic.models.changed.connect(lambda: heard.append(1))
    logic.models.changed()
    host.enter()
    assert heard and review.review is None and ui.findingsTable.rowCount == 0


def test_a_scan_that_was_deleted_in_another_module_ends_its_review(host, panel, review, ui, logic):
    import slicer

    host.leave()
    slicer.mrmlScene.RemoveNode(review.review.scan)
    logic.models.changed()
    assert review.review is None
    host.enter()
    assert ui.findingsTable.rowCount == 0


def test_a_node_that_both_models_found_is_annotated_once(review, logic):
    from DGSTSegmentLib.panel import bridge, roles

    before = review.review.prediction
    after = found_anew(before, roles.AFTER, "after")
    for role in (roles.BEFORE, roles.AFTER):
        logic.review(before.scan, role).accept(1)
    for role in (roles.BEFORE, roles.AFTER):
        logic.review(before.scan, role).apply()
    assert len(bridge.segmentIds(roles.nodeOf(before.scan, roles.ANNOTATION))) == 1
    assert after.finding(1).state == "annotated" and logic.review(before.scan, roles.AFTER).pending() == []


def test_taking_a_rejection_back_leaves_its_neighbours_rejected(host, panel, review, ui, logic):
    from DGSTSegmentLib.panel import bridge, lymphnode, roles
    from DGSTSegmentLib.panel.placed import PlacedMask

    number = review.table.chosen
    press(host, "x")
    ui.applyButton.click()
    again = predicted_again(panel, host, review.review.prediction)
    node = roles.nodeOf(again.scan, roles.REJECTED)
    beside = np.zeros((40, 60, 60), bool)
    beside[20, 20:40, 15] = True
    assert beside[bridge.segmentMask(node, bridge.segmentIds(node)[0], again.scan)].any()
    bridge.setSegmentMask(node, lymphnode.addRejected(node), PlacedMask.of(beside), bridge.geometryOf(again.scan))
    logic.review(again.scan).forgetRejection(number)
    (left,) = bridge.segmentIds(node)
    assert bridge.segmentMask(node, left, again.scan).sum() >= 15


@pytest.mark.parametrize("answer", ["Cancel", "OK"])
def test_other_voxels_than_the_stored_ones_are_asked_about(ui, logic, scan, answer):
    """As where a sequence shows another frame in the volume's place, or a filter wrote into it."""
    import slicer
    from preview_host import answers

    mark(logic, scan, ball())
    ui.addCaseButton.click()
    stored = logic.trainingSet.cases()[0].image
    scan.GetImageData().Modified()
    assert not logic.trainingSet.isOtherImage(scan), "touched, and the same"
    slicer.util.arrayFromVolume(scan)[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(scan)
    mark(logic, scan, ball())
    answers.give(answer)
    ui.addCaseButton.setEnabled(True)
    ui.addCaseButton.click()
    assert "voxels of Tiny scan are others" in answers.asked[0]
    assert (logic.trainingSet.cases()[0].image == stored) == (answer == "Cancel")
    assert stored_marks(logic) == ([1] if answer == "Cancel" else [2])


def test_a_run_that_has_ended_is_not_cancelled_away(host, logic, scan, tiny_models):
    mark(logic, scan, ball())
    logic.addToTrainingSet(scan)
    task = logic.fineTune(steps=1)
    until(host, lambda: task.done)
    logic.cancel(task)
    host.process_events()
    assert (task.folder / "delta.safetensors").exists()


def test_a_search_in_one_scan_keeps_no_other_from_being_reviewed(host, panel, ui, logic, scan, tiny_models):
    first = find(host, panel)
    other = predicted(panel, host, tiny_case(1)[1], "Other")
    ui.inputVolumeSelector.setCurrentNode(scan)
    ui.findButton.click()
    press(host, "a")
    assert not ui.acceptButton.enabled and first.findings()[0].state == "undecided"
    ui.inputVolumeSelector.setCurrentNode(other.scan)
    ui.findingsTable.selectRow(0)
    press(host, "a")
    assert ui.acceptButton.enabled and [item.state for item in other.findings()].count("accepted") == 1
    until(host, lambda: not logic.engine.busy)
    assert panel.state.sought is None


def test_a_chosen_finding_can_be_taken_into_the_annotation(host, panel, ui, review):
    first = review.review.scan
    predicted(panel, host, tiny_case(1)[1], "Other")
    ui.inputVolumeSelector.setCurrentNode(first)
    review.goTo(0)
    panel.annotate.refresh()
    assert not ui.fromFindingButton.enabled
    ui.findingsTable.selectRow(1)
    assert ui.fromFindingButton.enabled


def test_a_rejection_from_before_can_be_taken_back(host, panel, review, ui):
    from DGSTSegmentLib.panel import bridge, roles

    number, rejected = review.table.chosen, review.review.prediction
    decide(host, review, "x", "x")
    ui.applyButton.click()
    again = predicted_again(panel, host, rejected)
    node = roles.nodeOf(again.scan, roles.REJECTED)
    assert again.finding(number).state == "refused" and len(bridge.segmentIds(node)) == 2
    review.goTo(number)
    press(host, "x")
    assert again.finding(number).state == "undecided" and len(bridge.segmentIds(node)) == 1
    press(host, "x")
    assert again.finding(number).state == "rejected" and len(review.review.pending()) == 1


def test_rejected_findings_are_not_called_lymph_nodes(host, review, ui):
    import vtk

    from DGSTSegmentLib.panel import lymphnode, roles

    decide(host, review, "x")
    ui.applyButton.click()
    segment = roles.nodeOf(review.review.scan, roles.REJECTED).GetSegmentation().GetNthSegment(0)
    assert segment.GetName() == "Rejected finding 1"
    tag = vtk.mutable("")
    segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
    assert "59441001" not in str(tag.get())
    np.testing.assert_allclose(segment.GetColor(), lymphnode.COLORS["rejected"])


def test_after_a_report_the_views_show_the_finding_that_keys_decide_on(host, review, ui, tmp_path):
    import slicer
    from preview_host import answers

    from DGSTSegmentLib.panel import bridge

    review.goTo(review.table.numbers[-1])
    answers.give(str(tmp_path / "r.html"))
    save_as(ui, "HTML")
    finding = review.review.prediction.finding(review.table.chosen).finding
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
    np.testing.assert_allclose(matrix[:3, 3], bridge.toRas(finding.centroid), atol=1e-6)


def test_what_makes_findings_uncertain_stands_beside_them_and_in_the_report(host, panel, ui, tmp_path, tiny_models):
    from preview_host import answers

    volume = tiny_case(0)[0]
    open_scan(panel, host, volume.with_array(np.full_like(volume.array, 100)), "Picture")
    find(host, panel)
    assert "same value" in ui.foundByLabel.text
    answers.give(str(tmp_path / "r.html"))
    save_as(ui, "HTML")
    assert "same value" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_search_that_fails_leaves_no_copy_of_the_scan(host, panel, ui, logic, scan, tiny_models):
    ui.findButton.click()
    folder = logic.engine._files().folder
    assert list(folder.glob("*.npy"))
    until(host, lambda: logic.engine.pid is not None)
    logic.engine.kill()
    until(host, lambda: not logic.engine.busy)
    assert not list(folder.glob("*.npy"))


def test_a_model_opens_by_the_base_that_is_on_the_list(host, ui, logic, tiny_model, adapted_model, tmp_path):
    import json
    import shutil

    from preview_host import answers

    from DGSTSegmentLib.networks.description import read_description

    moved = tmp_path / "colleague"
    shutil.copytree(adapted_model, moved)
    card = json.loads((moved / "card.json").read_text())
    card["card"]["base"]["location"] = str(tmp_path / "nowhere")
    (moved / "card.json").write_text(json.dumps(card))
    for known in (False, True):
        if known:
            logic.models.add(str(tiny_model), {"card": read_description(tiny_model).card.to_json()})
        answers.give(str(moved))
        ui.addModelButton.menu().actions()[0].trigger()
        until(host, lambda: not logic.engine.busy)
        assert any("add it to the list of models" in text for text in answers.shown)
        assert (logic.models.current.spec == str(moved)) == known


class NoProcess:
    """A way to an engine whose process the system refuses to start, and says so at once."""

    def start(self, on_line, on_log, on_exit):
        from DGSTSegmentLib.engine.transport import Exit

        on_log("blocked by the administrator")
        on_exit(Exit(code=127))

    def close_input(self):
        pass

    def wait(self, seconds):
        return True


def test_an_engine_that_cannot_be_started_is_told_and_keeps_nothing_busy(
    host, panel, ui, logic, scan, tiny_models, monkeypatch
):
    from preview_host import answers

    logic.engine.close()
    monkeypatch.setattr(logic.engine._conversation, "_make_transport", NoProcess)
    mark(logic, scan, ball())
    logic.addToTrainingSet(scan)
    for button in (ui.findButton, ui.startButton):
        answers.forget()
        button.click()
        until(host, lambda: answers.shown)
        assert "could not start" in answers.shown[0] and "blocked by the administrator" in answers.shown[0]
        assert panel.state.sought is None and panel.finetune.task is None and button.enabled
    assert not ui.findProgressWidget.isVisibleTo(ui.scanSection)


def test_a_listener_that_fails_keeps_nothing_from_the_others():
    from DGSTSegmentLib.panel.signal import Signal

    heard, signal = [], Signal()

    def fails(value):
        raise ZeroDivisionError("a fault")

    for listener in (heard.append, fails, heard.append):
        signal.connect(listener)
    with pytest.raises(ZeroDivisionError, match="a fault"):
        signal("news")
    assert heard == ["news", "news"]


def test_an_earlier_rejection_that_is_taken_back_is_something_to_update_the_training_set_with(host, panel, review, ui):
    press(host, "x")
    ui.applyButton.click()
    ui.addCaseButton.click()
    again = predicted_again(panel, host, review.review.prediction)
    (refused,) = (item.number for item in again.findings() if item.state == "refused")
    panel.review.goTo(refused)
    assert ui.addCaseButton.text == "In the training set" and not ui.addCaseButton.enabled
    press(host, "x")
    assert again.finding(refused).state == "undecided"
    assert ui.addCaseButton.text == "Update in training set" and ui.addCaseButton.enabled
