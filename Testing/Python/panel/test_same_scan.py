"""A scan of the training set that was loaded once more, as from DICOM on the next day."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from DGSTSegmentLib.training.case import read_case

from ..conftest import tiny_case
from .conftest import ball, mark, open_scan, stored_marks, until
from .test_corrected import correct, one_half


def beside():
    """A node that touches none of the tiny scan's."""
    mask = np.zeros_like(ball())
    mask[1:4, 2:6, 2:6] = True
    assert not mask[ball()].any()
    return mask


def put_away(logic, scan):
    """Keep a scan with a mark in the training set, and the name of its case."""
    mark(logic, scan, ball())
    return logic.addToTrainingSet(scan)


@pytest.fixture
def again(host, panel, logic, scan):
    """The scan of a case of yesterday in a new scene, under another name; nothing is marked in it."""
    from DGSTSegmentLib.panel import bridge, lymphnode, roles
    from DGSTSegmentLib.panel.placed import PlacedMask

    rejected = roles.rejectedOf(scan)
    bridge.setSegmentMask(rejected, lymphnode.addRejected(rejected), PlacedMask.of(beside()), bridge.geometryOf(scan))
    put_away(logic, scan)
    host.close_scene()
    return open_scan(panel, host, tiny_case(0)[0], "4: Thorax")


def known_again(panel):
    return panel.annotate.sameScan.case is not None


def marked_in(scan):
    from DGSTSegmentLib.panel import bridge, roles

    return bridge.unionMask(roles.nodeOf(scan, roles.ANNOTATION), scan)


def test_the_user_goes_on_with_the_case_of_a_scan_that_is_loaded_once_more(host, panel, ui, logic, again):
    from DGSTSegmentLib.panel import bridge, roles

    until(host, lambda: known_again(panel), 20)
    assert ui.sameScanLabel.text == "Already in the training set, as Tiny scan (lymph nodes: 1)."
    assert panel.nextStep.step().button == "goOnButton"
    ui.goOnButton.click()
    np.testing.assert_array_equal(marked_in(again), ball())
    assert bridge.countMarked(roles.nodeOf(again, roles.REJECTED)) == 1
    assert ui.addCaseButton.text == "In the training set" and not known_again(panel)
    mark(logic, again, beside())
    until(host, lambda: ui.addCaseButton.text == "Update in training set", 20)
    ui.addCaseButton.click()
    assert stored_marks(logic) == [2]


def test_marks_made_before_the_scan_is_known_again_are_put_together_with_the_stored_ones(host, panel, ui, logic, again):
    """A node at the same place becomes one, another comes beside, and both are told."""
    from preview_host import answers

    larger = ball()
    larger[:, :, 1:] |= larger[:, :, :-1]
    for mask in (larger, beside()):
        mark(logic, again, mask)
    answers.give("OK")
    ui.addCaseButton.click()
    assert "already, as Tiny scan. Put your marks together" in answers.asked[-1]
    assert any("put together with yours at the same place: 1." in text for text in answers.shown)
    assert stored_marks(logic) == [2] and ui.addCaseButton.text == "In the training set"
    read = read_case(logic.study.case_files()[0])
    np.testing.assert_array_equal(read.annotation.array > 0, larger | beside())


def test_marks_that_the_user_does_not_put_together_stay_where_they_are(host, panel, ui, logic, again):
    from preview_host import answers

    mark(logic, again, beside())
    before = logic.trainingSet.cases()
    answers.give("Cancel")
    ui.addCaseButton.click()
    assert logic.trainingSet.cases() == before and logic.trainingSet.caseOf(again) is None
    np.testing.assert_array_equal(marked_in(again), beside())


def test_one_undo_takes_the_stored_marks_away_again(host, panel, ui, logic, again):
    mark(logic, again, beside())
    until(host, lambda: known_again(panel), 20)
    ui.goOnButton.click()
    assert marked_in(again)[ball()].all() and ui.addCaseButton.text == "Update in training set"
    ui.segmentEditor.undo()
    np.testing.assert_array_equal(marked_in(again), beside())


def test_the_box_of_the_case_comes_along(host, panel, ui, logic, scan):
    from DGSTSegmentLib.panel import roles

    mark(logic, scan, ball())
    ui.regionRadio.click()
    (box,) = logic.addToTrainingSet(scan).boxes
    host.close_scene()
    again = open_scan(panel, host, tiny_case(0)[0], "4: Thorax")
    until(host, lambda: known_again(panel), 20)
    ui.goOnButton.click()
    assert ui.regionRadio.checked and roles.regionOf(roles.nodeOf(again, roles.ANNOTATION)) is not None
    assert not logic.trainingSet.hasChanges(again)
    mark(logic, again, beside())
    np.testing.assert_allclose(logic.addToTrainingSet(again).boxes[0], box, atol=1e-6)


def test_a_case_that_is_open_as_another_volume_hands_its_marks_over(host, panel, ui, logic, scan):
    """Nothing is lost of either, what was not saved yet included."""
    from DGSTSegmentLib.panel import roles

    case = put_away(logic, scan)
    mark(logic, scan, beside())
    again = open_scan(panel, host, tiny_case(0)[0], "4: Thorax")
    until(host, lambda: known_again(panel), 20)
    ui.goOnButton.click()
    assert logic.trainingSet.caseOf(again).id == case.id and logic.trainingSet.caseOf(scan) is None
    assert roles.nodeOf(scan, roles.ANNOTATION) is None
    np.testing.assert_array_equal(marked_in(again), ball() | beside())
    assert logic.trainingSet.changedScans() == [again] and logic.trainingSet.newScans() == []


def test_looking_for_the_case_takes_one_piece_of_the_voxels_at_a_time(host, panel, logic, again, monkeypatch):
    from DGSTSegmentLib.panel import casestate

    voxels = tiny_case(0)[0].array
    monkeypatch.setattr(casestate, "_PIECE_BYTES", voxels.nbytes // 3 + 1)
    digests = casestate.ImageDigests()
    assert [digests.advance(again) for _ in range(3)] == [False, False, True]
    assert digests.of(again) == hashlib.blake2b(np.ascontiguousarray(voxels), digest_size=16).hexdigest()
    again.GetImageData().Modified()
    assert not digests.isKnown(again)


def test_a_scan_on_another_grid_than_every_case_is_not_gone_through(host, panel, ui, logic, again):
    from DGSTSegmentLib.imaging import Geometry, Volume

    known = tiny_case(0)[0]
    shifted = known.geometry.ijk_to_world.copy()
    shifted[2, 3] += 1.0
    other = open_scan(panel, host, Volume(known.array, Geometry(known.geometry.shape, shifted)), "Moved")
    host.process_events()
    assert not logic.trainingSet.digests.isKnown(other) and logic.trainingSet.twinOf(other) is None


def test_a_corrected_finding_is_still_told_as_corrected_in_the_scan_that_goes_on(host, panel, review, ui, logic):
    from DGSTSegmentLib.panel import bridge
    from DGSTSegmentLib.panel.reviewed import lymphNodesOf

    scan = review.review.scan
    numbers = review.table.numbers[:2]
    correct(review, numbers[0], one_half)
    review.review.accept(numbers[1])
    review.review.apply()
    sources = [node.source for node in lymphNodesOf(scan)]
    assert sorted(sources) == ["accepted", "corrected"]
    logic.addToTrainingSet(scan)
    image = bridge.volumeOf(scan)
    host.close_scene()
    again = open_scan(panel, host, image, "4: Thorax")
    logic.joinCase(again)
    assert [node.source for node in lymphNodesOf(again)] == sources
