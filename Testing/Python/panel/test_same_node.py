"""Findings at the place of a lymph node that is in the annotation already: one node there, not two."""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import mark
from .test_corrected import correct, marked, one_half, said
from .test_review import predicted_again


def lymph_nodes(scan):
    from DGSTSegmentLib.panel.reviewed import lymphNodesOf

    return lymphNodesOf(scan)


def whole_of(review, number):
    from DGSTSegmentLib.panel import bridge

    prediction = review.review.prediction
    return bridge.segmentMask(prediction.node, prediction.finding(number).segmentId, prediction.scan)


@pytest.fixture
def cut_down(host, panel, review, ui):
    """A finding of which the user has left half in the annotation, found again: its number."""
    number = review.table.chosen
    correct(review, number, one_half)
    ui.segmentEditor.setActiveEffectByName("")
    predicted_again(panel, host, review.review.prediction)
    return number


def test_accepting_a_finding_over_a_node_that_was_cut_down_makes_them_one(host, review, ui, logic, cut_down):
    review.goTo(cut_down)
    review.onAccept()
    ui.applyButton.click()
    (node,) = lymph_nodes(review.review.scan)
    assert node.source == "accepted" and "put together with a lymph node at the same place: 1." in said()
    np.testing.assert_array_equal(marked(review), whole_of(review, cut_down))
    assert review.review.prediction.finding(cut_down).state == "accepted" and not review.review.pending()
    review.onAccept()
    assert "part of the annotation" in said() and not review.review.pending(), "it is not taken away with the node"
    ui.segmentEditor.undo()
    host.process_events()
    assert [item.number for item in review.review.pending()] == [cut_down]
    assert len(lymph_nodes(review.review.scan)) == 1 and marked(review).sum() < whole_of(review, cut_down).sum()


def test_a_node_drawn_in_some_slices_takes_the_finding_over_it_but_nothing_of_its_neighbour(review, ui, logic):
    number, scan = review.table.chosen, review.review.scan
    whole, slices = whole_of(review, number), np.arange(40)[:, None, None]
    drawn, neighbour = whole & (slices == 20), whole & (slices > 26)
    neighbour[28:38, 8:12, 8:12] = True  # most of it lies beyond the finding
    for mask in (drawn, neighbour):
        mark(logic, scan, mask)
    review.review.accept(number)
    review.review.apply()
    from DGSTSegmentLib.panel import bridge, roles

    masks = [
        bridge.segmentMask(node, id_, scan)
        for node in [roles.nodeOf(scan, roles.ANNOTATION)]
        for id_ in bridge.segmentIds(node)
    ]
    np.testing.assert_array_equal(masks[0], whole & ~neighbour)
    np.testing.assert_array_equal(masks[1], neighbour)
    assert [node.source for node in lymph_nodes(scan)] == ["corrected", "by hand"]
