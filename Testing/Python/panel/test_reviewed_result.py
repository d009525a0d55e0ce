"""What is handed on: the model's findings as they are, or the annotation as the user has left it."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Volume
from DGSTSegmentLib.imaging.files import read_segmentation
from DGSTSegmentLib.imaging.findings import find as measure

from .conftest import mark, press, save_as
from .test_corrected import correct, one_half, said

REVIEWED = "Reviewed result"


@pytest.fixture
def annotated(review, ui, logic):
    """One finding accepted, one halved by the user, and a lymph node drawn by hand; their masks in that order."""
    from DGSTSegmentLib.panel import bridge

    accepted, halved = review.table.numbers[1], review.table.numbers[0]
    review.review.accept(accepted)
    review.review.apply()
    scan, prediction = review.review.scan, review.review.prediction
    whole = bridge.segmentMask(prediction.node, prediction.finding(accepted).segmentId, scan)
    half = correct(review, halved, one_half)
    drawn = np.zeros(whole.shape, bool)
    drawn[30:36, 28:32, 4:9] = True
    mark(logic, scan, drawn)
    ui.segmentEditor.setActiveEffectByName("")
    review.reload()
    return [whole, half, drawn]


def measured(review, masks):
    """The findings of masks, one by one."""
    from DGSTSegmentLib.panel import bridge

    ct = bridge.volumeOf(review.review.scan)
    return [measure(Volume(mask, ct.geometry), ct).items[0] for mask in masks]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_reviewed_table_has_every_lymph_node_measured_as_it_is_now(review, ui, annotated, tmp_path):
    from preview_host import answers

    answers.give(str(tmp_path / "t.csv"))
    save_as(ui, "CSV", REVIEWED)
    rows = rows_of(tmp_path / "t.csv")
    assert [row["source"] for row in rows] == ["accepted", "corrected", "by hand"]
    assert [row["number"] for row in rows] == ["1", "2", "3"] and rows[2]["segment"] == "Lymph node 3"
    for row, finding in zip(rows, measured(review, annotated), strict=True):
        for name in ("volume_ml", "short_axis_mm", "long_axis_mm", "mean_hu"):
            assert float(row[name]) == pytest.approx(getattr(finding, name), abs=1e-3)
        assert float(row["centroid_z_lps_mm"]) == pytest.approx(finding.centroid[2], abs=1e-3)
    assert "Findings without a decision: 2." in said()


@pytest.mark.parametrize(("kind", "name"), [("Slicer", "r.seg.nrrd"), ("NIfTI", "r.nii.gz")])
def test_the_reviewed_segmentation_is_the_annotation(review, ui, annotated, tmp_path, kind, name):
    from preview_host import answers

    from DGSTSegmentLib.panel import bridge

    answers.give(str(tmp_path / name))
    save_as(ui, kind, REVIEWED)
    saved = read_segmentation(tmp_path / name)
    geometry = bridge.geometryOf(review.review.scan)
    for number, mask in enumerate(annotated, start=1):
        points = np.sort(saved.geometry.to_world(np.argwhere(saved.array == number)), axis=0)
        np.testing.assert_allclose(points, np.sort(geometry.to_world(np.argwhere(mask)), axis=0), atol=1e-3)


def test_the_reviewed_report_tells_of_the_annotation_and_leaves_the_views_as_they_were(review, ui, annotated, tmp_path):
    from preview_host import answers

    node = review.review.prediction.node
    answers.give(str(tmp_path / "r.html"))
    save_as(ui, "HTML", REVIEWED)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    whole, half, drawn = measured(review, annotated)
    for finding, source in ((whole, "accepted"), (half, "corrected"), (drawn, "by hand")):
        assert f"<td>{finding.short_axis_mm:.1f}</td>" in page and f"<td>{source}</td>" in page
    assert page.count("<figure>") == 3 and "2 findings have no decision" in page
    assert node.GetDisplayNode().GetVisibility()


def test_what_was_found_says_which_of_it_was_corrected(review, ui, annotated, tmp_path):
    from preview_host import answers

    halved = review.table.numbers[0]
    answers.give(str(tmp_path / "t.csv"), str(tmp_path / "r.html"))
    save_as(ui, "CSV")
    save_as(ui, "HTML")
    rows = {int(row["number"]): row for row in rows_of(tmp_path / "t.csv")}
    found = review.review.prediction.finding(halved).finding
    assert float(rows[halved]["volume_ml"]) == pytest.approx(found.volume_ml, abs=1e-3)
    assert [number for number, row in rows.items() if row["corrected"] == "yes"] == [halved]
    (half,) = measured(review, annotated[1:2])
    assert f"corrected to {half.short_axis_mm:.1f} x" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_table_shows_a_corrected_finding_as_it_is_now(review, ui, annotated):
    (half,) = measured(review, annotated[1:2])
    cells = [ui.findingsTable.item(0, column) for column in range(8)]
    assert [cell.text() for cell in cells[1:4]] == [
        f"{half.short_axis_mm:.1f}",
        f"{half.long_axis_mm:.1f}",
        f"{half.volume_ml:.2f}",
    ]
    found = review.review.prediction.finding(review.table.numbers[0]).finding
    assert cells[7].text() == "corrected" and f"the model found {found.short_axis_mm:.1f} x" in cells[1].toolTip()
    assert ui.findingsTable.item(1, 7).text() == "accepted"


@pytest.mark.parametrize(("answer", "count"), [("Yes", 2), ("No", 1), ("Cancel", None)])
def test_decisions_that_the_annotation_does_not_show_are_asked_about(host, review, ui, tmp_path, answer, count):
    from preview_host import answers

    press(host, "a")
    ui.applyButton.click()
    press(host, "n")
    press(host, "a")
    answers.give(answer, *([] if count is None else [str(tmp_path / "t.csv")]))
    save_as(ui, "CSV", REVIEWED)
    assert "does not show yet: 1" in answers.asked[0]
    assert (tmp_path / "t.csv").exists() == (count is not None)
    assert count is None or len(rows_of(tmp_path / "t.csv")) == count


def test_where_nothing_is_marked_only_the_findings_can_be_saved(host, review, ui, logic):
    first = ui.exportFindingsButton.menu().actions()[0]
    assert first.text.startswith(REVIEWED) and not first.enabled
    press(host, "a")
    assert first.enabled, "there will be a lymph node once the decision is added"


def test_an_annotation_without_a_voxel_is_refused_in_a_sentence(host, review, ui, logic, tmp_path):
    from preview_host import answers

    from DGSTSegmentLib.panel import lymphnode

    lymphnode.addLymphNode(logic.annotation(review.review.scan))
    review.refresh()
    answers.give(str(tmp_path / "t.csv"))
    save_as(ui, "CSV", REVIEWED)
    assert "The annotation is empty" in answers.shown[-1] and not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize("moved", ["scan", "annotation"])
def test_what_a_transform_moves_is_refused_in_a_sentence(review, ui, annotated, tmp_path, moved):
    import slicer
    from preview_host import answers

    from DGSTSegmentLib.panel import roles

    scan = review.review.scan
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Shift")
    node = scan if moved == "scan" else roles.nodeOf(scan, roles.ANNOTATION)
    node.SetAndObserveTransformNodeID(transform.GetID())
    answers.give(*([] if moved == "scan" else [str(tmp_path / "t.csv")]))
    save_as(ui, "CSV", REVIEWED)
    assert "is moved by the transform Shift" in answers.shown[-1] and not (tmp_path / "t.csv").exists()


def test_where_it_comes_from_is_known_after_the_prediction_is_gone_and_the_case_is_opened_again(
    host, review, annotated, logic
):
    import slicer

    from DGSTSegmentLib.panel.reviewed import lymphNodesOf

    scan = review.review.scan
    slicer.mrmlScene.RemoveNode(review.review.prediction.node)
    logic.addToTrainingSet(scan)
    assert [node.source for node in lymphNodesOf(scan)] == ["accepted", "corrected", "by hand"]
    host.close_scene()
    scan = logic.trainingSet.open(logic.study.cases()[0].id)
    assert [node.source for node in lymphNodesOf(scan)] == ["accepted", "corrected", "by hand"]
