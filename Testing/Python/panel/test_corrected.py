"""What the user has corrected of a finding stays as it is, and is told as it is."""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import press
from .test_review import predicted_again


def correct(review, number, change):
    """Takes a finding into the annotation and changes the mask of its lymph node there; returns what it is then."""
    from DGSTSegmentLib.panel import bridge, roles
    from DGSTSegmentLib.panel.placed import PlacedMask

    id_ = review.review.edit(number)
    annotation, scan = roles.nodeOf(review.review.scan, roles.ANNOTATION), review.review.scan
    mask = change(bridge.segmentMask(annotation, id_, scan))
    bridge.setSegmentMask(annotation, id_, PlacedMask.of(mask), bridge.geometryOf(scan))
    review.reload()
    return mask


def one_half(mask):
    """Without what lies in front of the middle of the mask."""
    half = mask.copy()
    half[:, : int(np.argwhere(mask)[:, 1].mean())] = False
    return half


@pytest.fixture
def corrected(review, ui):
    """The chosen finding in the annotation with half of it erased: its number and the mask that is left."""
    number = review.table.chosen
    mask = correct(review, number, one_half)
    ui.segmentEditor.setActiveEffectByName("")
    return number, mask


def marked(review):
    from DGSTSegmentLib.panel import bridge, roles

    return bridge.unionMask(roles.nodeOf(review.review.scan, roles.ANNOTATION), review.review.scan)


def said():
    """What the status bar says."""
    import slicer

    return slicer.util.mainWindow().statusBar().currentMessage()


@pytest.mark.parametrize("key", ["a", "x"])
def test_no_key_takes_a_corrected_finding_out_of_the_annotation(host, review, ui, corrected, key):
    number, mask = corrected
    press(host, key)
    assert review.review.prediction.finding(number).state == "accepted" and not review.review.pending()
    assert "stays" in said()
    np.testing.assert_array_equal(marked(review), mask)


def test_a_decision_taken_back_before_the_correction_leaves_what_was_corrected(host, review, ui, logic):
    number, other = review.table.numbers[:2]
    for one in (number, other):
        review.review.accept(one)
    review.review.apply()
    review.review.undecide(number)
    review.review.reject(other)
    mask = correct(review, number, one_half)
    review.review.undecide(number)
    ui.applyButton.click()
    assert "1 as no lymph nodes" in said()
    assert "Taken out of the annotation: 1." in said()
    assert "Kept in the annotation, as you have corrected them: 1." in said()
    np.testing.assert_array_equal(marked(review), mask)
    assert review.review.prediction.finding(number).state == "accepted" and not review.review.pending()


def test_the_question_says_how_many_lymph_nodes_leave_the_annotation(host, panel, review, ui, logic):
    from preview_host import answers

    press(host, "a")
    ui.applyButton.click()
    logic.addToTrainingSet(review.review.scan)
    press(host, "a")
    answers.give("Cancel")
    ui.startButton.click()
    assert "takes out of the annotation: 1." in answers.asked[0]


def test_a_key_that_is_held_decides_once(host, review):
    import slicer
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    window = slicer.util.mainWindow()
    window.activateWindow()
    for repeated in (False, True):
        QTest.simulateEvent(window, True, Qt.Key_A, Qt.NoModifier, "a", repeated)
    host.process_events()
    assert [item.state for item in review.review.pending()] == ["accepted"]


@pytest.mark.parametrize("press_edit", ["e", "fromFindingButton"])
def test_editing_what_is_annotated_already_takes_its_lymph_node_and_makes_no_second_one(
    host, panel, review, ui, press_edit
):
    """After each fine-tuning nearly every known lymph node is found again, by another prediction."""
    from DGSTSegmentLib.panel import bridge, roles

    for number in review.table.numbers[:2]:
        review.review.accept(number)
    review.review.apply()
    again = predicted_again(panel, host, review.review.prediction)
    annotation = roles.nodeOf(again.scan, roles.ANNOTATION)
    before = marked(review)
    number = review.table.numbers[1]
    review.goTo(number)
    assert again.finding(number).state == "annotated"
    if press_edit == "e":
        press(host, "e")
    else:
        panel.annotate.refresh()
        ui.fromFindingButton.click()
    ids = bridge.segmentIds(annotation)
    assert len(ids) == 2 and ui.segmentEditor.currentSegmentID() == ids[1]
    assert ui.segmentEditor.activeEffect().name == "Paint"
    np.testing.assert_array_equal(marked(review), before)
    assert again.finding(number).state == "annotated" and not review.review.pending()


def test_a_lymph_node_that_was_cut_down_is_not_doubled_by_editing_it_again(host, panel, review):
    from DGSTSegmentLib.panel import bridge, roles

    number = review.table.chosen
    correct(review, number, one_half)
    again = predicted_again(panel, host, review.review.prediction)
    mask = correct(review, number, lambda whole: one_half(one_half(whole)))
    assert again.finding(number).state == "undecided", "too much of it is left out to say that it is annotated"
    correct(review, number, lambda whole: whole)
    assert len(bridge.segmentIds(roles.nodeOf(again.scan, roles.ANNOTATION))) == 1
    np.testing.assert_array_equal(marked(review), mask)


def test_a_finding_is_taken_into_the_annotation_where_only_a_neighbour_is_marked(host, panel, review, ui, logic):
    from DGSTSegmentLib.panel import bridge, roles

    first, second = review.table.numbers[:2]
    review.review.edit(first)
    review.goTo(second)
    press(host, "n")  # puts the brush down
    review.goTo(second)
    press(host, "e")
    assert len(bridge.segmentIds(roles.nodeOf(review.review.scan, roles.ANNOTATION))) == 2
    assert review.review.prediction.finding(second).state == "accepted"
