"""Nothing of the user's is replaced, passed over or shown wrongly: many scans, other modules, scenes and studies."""

from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.training.case import read_case

from ..conftest import tiny_case
from .conftest import ball, find, mark, open_scan, predicted, press, until
from .test_review import predicted_again


def stored_marks(logic):
    return [case.marked for case in logic.trainingSet.cases()]


def decide(host, review, *keys):
    """Press keys, going to the next finding after each."""
    for key in keys:
        press(host, key)
        press(host, "n")


@pytest.fixture
def refusal():
    """What the module raises: another class once it was reloaded."""
    from DGSTSegmentLib.errors import InputError

    return InputError


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
    for scan, mask in ((other, ball()), (other, ball()), (reviewed, np.ones((40, 60, 60), bool))):
        mark(logic, scan, mask)
    for scan in (other, reviewed):
        logic.addToTrainingSet(scan)
    logic.review(reviewed).accept(1)
    panel.state.parameters.steps = 1
    answers.give(*([answer, "Yes"] if answer == "Yes" else [answer]))
    ui.startButton.click()
    assert "not part of a case yet: 1" in answers.asked[0]
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


@pytest.mark.parametrize("refusals", [0, 1])
def test_a_box_without_lymph_nodes_is_a_case_that_can_be_learned_from(ui, logic, scan, refusals):
    from DGSTSegmentLib.panel import bridge, lymphnode, roles

    ui.regionRadio.click()
    box = tuple((0, n) for n in ball().shape)
    for _ in range(refusals):
        node = roles.makeNode(scan, roles.REJECTED, "no nodes")
        bridge.setSegmentMask(node, lymphnode.addRejected(node), ball(), box, bridge.geometryOf(scan))
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


def test_a_scene_older_than_the_study_is_not_urged_upon_it_and_takes_the_newer_marks(
    host, panel, ui, logic, scan, tmp_path
):
    import slicer
    from preview_host import answers

    from DGSTSegmentLib.panel import bridge, roles

    mark(logic, scan, ball())
    ui.addCaseButton.click()
    path = str(tmp_path / "monday.mrb")
    assert slicer.util.saveScene(path)
    mark(logic, scan, ball())
    logic.addToTrainingSet(scan)
    host.close_scene()
    slicer.util.loadScene(path)
    host.process_events()
    old = panel.state.scan
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

    mark(logic, scan, ball())
    mark(logic, scan, np.roll(ball(), 3, axis=0))
    ui.addCaseButton.click()
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    host.close_scene()
    slicer.util.loadScene(path)
    host.process_events()
    assert not logic.trainingSet.hasChanges(panel.state.scan)
    mark(logic, panel.state.scan, np.roll(ball(), 6, axis=0))
    assert logic.trainingSet.hasChanges(panel.state.scan)


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
    ui.exportReportButton.click()
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
    ui.exportReportButton.click()
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
