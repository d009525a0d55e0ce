"""A scan that a transform moves after its lymph nodes were found, as when two CTs are registered."""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import press

SENTENCE = "Scan is moved by the transform Registration; harden the transform on it first (module Data)."


@pytest.fixture
def transform(widget):
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Registration")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 40.0)
    node.SetMatrixTransformToParent(matrix)
    return node


def move(host, transform, *nodes):
    for node in nodes:
        node.SetAndObserveTransformNodeID(transform.GetID())
    host.process_events()


def middle_of_view():
    import slicer

    matrix = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().GetSliceToRAS()
    return slicer.util.arrayFromVTKMatrix(matrix)[:3, 3].copy()


def states(review):
    return {item.state for item in review.review.prediction.findings()}


def test_a_moved_scan_says_so_in_the_place_of_its_findings(host, panel, review, ui, transform):
    move(host, transform, review.review.scan)
    assert ui.foundByLabel.text == SENTENCE and ui.findingsTable.rowCount == 0 and ui.countLabel.text == ""
    assert panel.nextStep.step().sentence == SENTENCE
    buttons = (ui.acceptButton, ui.rejectButton, ui.editButton, ui.nextButton, ui.applyButton)
    for button in (*buttons, ui.exportReportButton, ui.exportFindingsButton):
        assert not button.enabled and SENTENCE in button.toolTip
    for key in "axe":
        press(host, key)
    assert states(review) == {"undecided"}


@pytest.mark.parametrize("way", ["taken away", "hardened"])
def test_findings_come_back_when_the_transform_is_gone(host, review, ui, transform, way):
    chosen = review.goTo(review.table.numbers[1]) or review.table.chosen
    scan, found, middle = review.review.scan, review.review.prediction.node, middle_of_view()
    move(host, transform, scan, found)
    assert ui.findingsTable.rowCount == 0
    for node in (scan, found):
        if way == "hardened":
            node.HardenTransform()
        else:
            node.SetAndObserveTransformNodeID(None)
    host.process_events()
    assert ui.findingsTable.rowCount == 4 and review.table.chosen == chosen and "Starter" in ui.foundByLabel.text
    review.goTo(chosen)
    press(host, "a")
    assert review.review.prediction.finding(chosen).state == "accepted"
    ui.applyButton.click()
    assert ui.findingsTable.item(1, 6).text() == "100 %"
    np.testing.assert_allclose(middle_of_view(), middle + [40.0 * (way == "hardened"), 0, 0], atol=1e-6)


def test_nothing_is_decided_before_the_panel_has_heard_of_the_transform(review, transform, refusal, tmp_path):
    """Also from the console: the logic refuses by itself."""
    from preview_host import answers

    from DGSTSegmentLib.panel.report import writeReport

    number, scan = review.table.chosen, review.review.scan
    scan.SetAndObserveTransformNodeID(transform.GetID())
    for way in (review.onAccept, review.onReject, review.onEditFinding):
        way()
        assert SENTENCE in answers.shown[-1]
    for way in (review.review.accept, review.review.edit, review.review.forgetRejection):
        with pytest.raises(refusal, match="by the transform Registration"):
            way(number)
    path = tmp_path / "report.html"
    with pytest.raises(refusal, match="by the transform Registration"):
        writeReport(review.review, [number], {}, path)
    assert states(review) == {"undecided"} and not path.exists()


def test_who_hears_of_a_change_tells_of_the_transform_without_a_trace(host, panel, review, ui, transform):
    """The host fails a test in which a slot raised."""
    import slicer

    press(host, "a")
    ui.applyButton.click()
    scan = review.review.scan
    move(host, transform, scan)
    for hears in (panel._measureOverlap, panel.state.reviewChanged, panel._onModelsChanged):
        slicer.util.showStatusMessage("")
        hears()
        assert SENTENCE in slicer.util.mainWindow().statusBar().currentMessage()


def test_findings_beside_a_scan_that_alone_was_moved_for_good_are_not_decided_on(host, review, ui, transform):
    scan, found = review.review.scan, review.review.prediction.node
    move(host, transform, scan)
    scan.HardenTransform()
    host.process_events()
    assert "harden the same transform on both" in ui.foundByLabel.text and not ui.acceptButton.enabled
    assert ui.findingsTable.rowCount == 0
    move(host, transform, found)
    found.HardenTransform()
    host.process_events()
    assert ui.findingsTable.rowCount == 4 and "Starter" in ui.foundByLabel.text
