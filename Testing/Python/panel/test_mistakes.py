"""What a user may do at the wrong moment: nothing is lost by it, and nothing is shown that is not so any more."""

from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Geometry, Volume

from .conftest import mark, predicted, press, save_as
from .test_corrected import correct, one_half, said
from .test_same_node import whole_of


def test_what_was_painted_while_the_review_was_closed_is_seen_when_it_is_opened(host, review, ui, logic):
    first = review.table.numbers[0]
    ui.reviewSection.collapsed = True
    mark(logic, review.review.scan, whole_of(review, first))
    host.process_events()
    ui.reviewSection.collapsed = False
    host.process_events()
    assert ui.findingsTable.item(0, 6).text() == "100 %" and ui.findingsTable.item(0, 7).text() == "annotated"


@pytest.fixture
def found_again(host, review, logic):
    """Call it, and the very same findings take the place of those that are reviewed, as after another search."""
    from DGSTSegmentLib.panel import bridge

    def find():
        old = review.review.prediction
        numbers = bridge.numbersOf(old.node, [item.segmentId for item in old.findings()], old.scan).astype(np.int32)
        volume, items = Volume(numbers, bridge.geometryOf(old.scan)), [i.finding.to_json() for i in old.findings()]
        image, out, instances = (logic.engine.put(volume) for _ in range(3))
        result = {"out": out, "findings": {"instances": instances, "items": items}, "notes": []}
        made = logic._keepPrediction(old.scan, logic.models.current, image, result)
        host.process_events()
        return made

    return find


def test_what_was_erased_of_a_finding_stays_known_when_lymph_nodes_are_looked_for_again(review, ui, logic, found_again):
    from DGSTSegmentLib.panel import bridge, roles

    number, scan = review.table.chosen, review.review.scan
    whole = whole_of(review, number)
    left = correct(review, number, lambda mask: one_half(one_half(mask)))
    ui.segmentEditor.setActiveEffectByName("")
    again = found_again()
    np.testing.assert_array_equal(bridge.unionMask(roles.nodeOf(scan, roles.REJECTED), scan), whole & ~left)
    assert again.finding(number).state == "annotated", "the user has decided on all of it"
    assert logic.addToTrainingSet(scan).corrected == 1


def test_where_nothing_was_found_nothing_is_offered_to_be_decided(host, panel, ui):
    shape = (10, 12, 12)
    predicted(panel, host, Volume(np.zeros(shape, np.uint16), Geometry.from_parts(shape, (1, 1, 1))))
    assert ui.countLabel.text == "0 findings"
    for button in (ui.acceptButton, ui.rejectButton, ui.editButton, ui.nextButton):
        assert not button.enabled and "the model found none, or smaller ones only" in button.toolTip
    press(host, "n")
    assert "found none" in said()


def test_rejected_findings_that_a_file_leaves_out_are_counted(host, review, ui, tmp_path):
    from preview_host import answers

    numbers = review.table.numbers
    review.review.reject(numbers[0])
    answers.give(str(tmp_path / "f.seg.nrrd"), str(tmp_path / "g.seg.nrrd"))
    save_as(ui, "Slicer")
    assert "Rejected findings are left out: 1." in said()
    for number in numbers[1:]:
        review.review.reject(number)
    save_as(ui, "Slicer")
    assert "Every finding shown is rejected" in answers.shown[-1] and not (tmp_path / "g.seg.nrrd").exists()


@pytest.mark.parametrize("answer", ["Cancel", "OK"])
def test_findings_left_open_are_asked_about_where_every_lymph_node_is_said_to_be_marked(review, ui, logic, answer):
    from preview_host import answers

    numbers = review.table.numbers
    review.review.accept(numbers[0])
    review.review.apply()
    review.review.reject(numbers[1])
    review.review.accept(numbers[2])  # and not added to the annotation yet
    ui.allRadio.click()
    answers.give(answer)
    ui.addCaseButton.click()
    assert "neither marked nor rejected are left: 2." in answers.asked[-1], "the smallest is hidden"
    assert len(logic.trainingSet.cases()) == (answer == "OK")


def test_a_new_model_that_cannot_be_opened_is_told_and_no_choice_is_waited_for(panel, ui, logic):
    """As where somebody has removed its folder meanwhile."""
    from preview_host import answers

    from DGSTSegmentLib.panel.plot import TrainingPlot
    from DGSTSegmentLib.panel.task import Task

    finetune = panel.finetune
    finetune.task, finetune.plot = Task("Fine-tuning"), TrainingPlot()
    finetune.task.folder = logic.study.folder / "runs" / "0001"
    finetune._onFinished({"model": "there", "steps": 1, "weights_changed": 0.1})
    assert "runs/0001 cannot be opened" in answers.shown[-1]
    assert finetune.finishedRun is None and finetune.task is None
    assert "choose one" not in panel.nextStep.step().sentence and ui.resultFrame.isHidden()


@pytest.mark.parametrize("begun", [True, False])
def test_a_failed_run_is_told_to_be_resumed_only_where_resume_goes_on_with_it(panel, logic, monkeypatch, begun):
    """Where it had not begun, the button goes on with the one before it."""
    from preview_host import answers

    from DGSTSegmentLib.engine.protocol import EngineError
    from DGSTSegmentLib.panel.task import Task
    from DGSTSegmentLib.training.study import StudyRun

    runs = logic.study.folder / "runs"
    last = StudyRun("0002" if begun else "0001", runs / ("0002" if begun else "0001"), None, True, 0.0)
    monkeypatch.setattr(logic, "resumableRun", lambda: last)
    panel.finetune.task = Task("Fine-tuning")
    panel.finetune.task.folder = runs / "0002"
    panel.finetune._onFailed(EngineError("The engine ended unexpectedly.", "died"))
    assert answers.shown[-1].startswith("The engine ended") and ("Press Resume" in answers.shown[-1]) == begun


def test_an_annotation_deleted_elsewhere_is_not_told_as_if_it_were_there(host, review, ui, logic):
    import slicer

    from DGSTSegmentLib.panel import roles

    first = review.table.numbers[0]
    mark(logic, review.review.scan, whole_of(review, first))
    review.reload()
    assert ui.findingsTable.item(0, 7).text() == "annotated"
    slicer.mrmlScene.RemoveNode(roles.nodeOf(review.review.scan, roles.ANNOTATION))
    host.process_events()
    assert [ui.findingsTable.item(0, column).text() for column in (6, 7)] == ["0 %", ""]
    assert review.review.prediction.finding(first).state == "undecided"


def test_the_selector_names_the_findings_that_are_shown_where_there_is_no_choice(host, panel, review, ui):
    from .test_review import found_anew

    panel.state.parameters.shown = "after"
    panel.review.showScan()
    assert ui.shownSelector.currentText == "Before" and not ui.shownSelector.enabled
    assert panel.state.parameters.shown == "after", "as it was chosen for scans that have both"
    panel.logic.predicted(found_anew(review.review.prediction, "after", "after"))
    host.process_events()
    assert ui.shownSelector.currentText == "After fine-tuning" and ui.shownSelector.enabled
    assert panel.review.review.prediction.role == "after"
    ui.shownSelector.setCurrentIndex(ui.shownSelector.findData("before"))
    assert panel.review.review.prediction.role == panel.state.parameters.shown == "before"


def test_no_key_decides_on_a_finding_while_the_views_show_another_ct(host, review):
    import slicer

    from DGSTSegmentLib.panel import bridge
    from DGSTSegmentLib.panel.sliceviews import isEverywhere

    scan, number = review.review.scan, review.table.chosen
    other = bridge.addVolume(Volume(np.zeros((8, 9, 9), np.int16), Geometry.from_parts((8, 9, 9), (1, 1, 1))), "Other")
    slicer.util.setSliceViewerLayers(background=other)
    host.process_events()
    press(host, "a")
    assert review.review.prediction.finding(number).state == "undecided" and isEverywhere(scan)
    press(host, "a")
    assert review.review.prediction.finding(number).state == "accepted"


def test_a_node_that_the_user_has_removed_is_not_urged_back_into_the_annotation(host, panel, review, ui, logic):
    from preview_host import answers

    from DGSTSegmentLib.panel import bridge, roles

    number, scan = review.table.chosen, review.review.scan
    for item in review.review.prediction.findings():
        review.review.reject(item.number)
    review.review.accept(number)
    ui.applyButton.click()
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    annotation.GetSegmentation().RemoveSegment(bridge.segmentIds(annotation)[0])
    host.process_events()
    step = panel.nextStep.step()
    assert "were removed" in step.sentence and step.button == ""
    logic.addToTrainingSet(scan)
    answers.give("Cancel")
    ui.startButton.click()
    assert "that this brings back, though they were removed: 1." in answers.asked[-1]
    for key, sentence in (("a", "removed"), ("a", "Add your decisions")):
        press(host, key)
        assert (sentence in panel.nextStep.step().sentence) == (sentence != "removed")
    ui.applyButton.click()
    assert bridge.countMarked(annotation) == 1 and not review.review.comingBack()


def test_a_node_that_the_scan_cuts_off_is_told_to_be_larger_perhaps(panel, host, ui, logic, tmp_path):
    from preview_host import answers

    from DGSTSegmentLib.panel.reviewed import lymphNodesOf

    array = np.zeros((16, 24, 24), np.uint16)
    array[10:16, 4:10, 4:10] = 1
    array[4:10, 14:22, 14:22] = 2
    predicted(panel, host, Volume(array, Geometry.from_parts(array.shape, (1, 1, 1))))
    rows = {number: row for row, number in enumerate(panel.review.table.numbers)}
    hints = {number: ui.findingsTable.item(row, 1).toolTip() for number, row in rows.items()}
    assert {number: "it may be larger" in hint for number, hint in hints.items()} == {1: True, 2: False}
    for number in (1, 2):
        panel.review.review.accept(number)
    panel.review.review.apply()
    assert [node.isCut for node in lymphNodesOf(panel.review.review.scan)] == [True, False]
    answers.give(str(tmp_path / "r.html"))
    save_as(ui, "HTML", "Reviewed result")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("mL, cut off by the end of the scan") == 1
