"""A CT that was deleted in another module while its marks stay in the scene, and is loaded again."""

from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Geometry, Volume

from ..conftest import tiny_case
from .conftest import ball, mark, open_scan, press
from .test_same_scan import beside

LINE = "Tiny scan: lymph nodes lost its scan and fits this one (lymph nodes: 1)."


def delete(host, scan):
    import slicer

    slicer.mrmlScene.RemoveNode(scan)
    host.process_events()


@pytest.fixture
def again(host, panel, logic, scan):
    """The scan loaded again after it was deleted with a mark in it."""
    mark(logic, scan, ball())
    delete(host, scan)
    return open_scan(panel, host, tiny_case(0)[0], "Again")


def marks_of(scan):
    from DGSTSegmentLib.panel import roles

    return roles.nodeOf(scan, roles.ANNOTATION)


def all_marks():
    import slicer

    return slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def test_marks_that_lost_their_scan_are_seen_named_and_gone_on_with(host, panel, ui, logic, again):
    from DGSTSegmentLib.panel import bridge

    (lost,) = all_marks()
    assert lost.GetDisplayNode().GetVisibility() and marks_of(again) is None
    assert not ui.sameScanWidget.isHidden() and ui.sameScanLabel.text == LINE
    assert panel.nextStep.step().button == "goOnButton" and ui.goOnButton.text == "Go on with these marks"
    ui.goOnButton.click()
    assert marks_of(again) is lost and ui.segmentEditor.segmentationNode() is lost and ui.sameScanWidget.isHidden()
    np.testing.assert_array_equal(bridge.unionMask(lost, again), ball())
    assert logic.trainingSet.newScans() == [again]
    ui.addCaseButton.click()
    assert [case.marked for case in logic.trainingSet.cases()] == [1]


def test_the_review_goes_on_too(host, panel, review, ui):
    from DGSTSegmentLib.panel import bridge, roles

    numbers = review.table.numbers[:3]
    for number, key in zip(numbers, "axa", strict=True):
        review.goTo(number)
        press(host, key)
        if key == "x" or number == numbers[0]:
            ui.applyButton.click()
    volume = bridge.volumeOf(review.review.scan)
    volume, prediction = volume.with_array(volume.array.copy()), review.review.prediction.node
    delete(host, review.review.scan)
    again = open_scan(panel, host, volume, "Again")
    assert ui.findingsTable.rowCount == 0
    ui.goOnButton.click()
    assert review.review.prediction.node is prediction and ui.findingsTable.rowCount == 4
    assert [item.number for item in review.review.pending()] == [numbers[2]]
    assert all(bridge.countMarked(node) == 1 for node in roles.markNodesOf(again))
    ui.applyButton.click()
    assert bridge.countMarked(marks_of(again)) == 2


def test_marks_made_meanwhile_are_put_together_with_the_lost_ones(panel, ui, logic, again):
    from DGSTSegmentLib.panel import bridge

    mark(logic, again, beside())
    panel.refresh()
    assert panel.nextStep.step().button != "goOnButton" and ui.sameScanLabel.text == LINE
    ui.goOnButton.click()
    assert all_marks() == [marks_of(again)]
    np.testing.assert_array_equal(bridge.unionMask(marks_of(again), again), ball() | beside())


def test_marks_on_another_grid_are_not_offered_and_do_not_lie_over_the_scan(host, panel, ui, logic, scan):
    mark(logic, scan, ball())
    delete(host, scan)
    known = tiny_case(0)[0]
    shifted = known.geometry.ijk_to_world.copy()
    shifted[2, 3] += 1.0
    open_scan(panel, host, Volume(known.array, Geometry(known.geometry.shape, shifted)), "Other")
    (lost,) = all_marks()
    assert ui.sameScanWidget.isHidden() and not lost.GetDisplayNode().GetVisibility()
    assert panel.nextStep.step().button == "findButton"


def test_learning_without_marks_that_lost_their_scan_is_asked_about(panel, ui, logic, again, cases, tiny_base):
    from preview_host import answers

    answers.give("Cancel")
    ui.startButton.click()
    assert "Tiny scan: lymph nodes: nothing is learned from them" in answers.asked[-1]
    assert "choose Again as the CT scan" in answers.asked[-1] and panel.finetune.task is None
