"""Findings as files: segmentation, table, report."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from DGSTSegmentLib.imaging.files import read_segmentation

from .conftest import press, save_as


def test_a_proposed_name_is_one_that_every_system_takes(module):
    from DGSTSegmentLib.panel.export import proposedName

    assert proposedName("4: Thorax/Abdomen 1.0", "findings.csv") == "4-Thorax-Abdomen-1.0-findings.csv"


@pytest.mark.parametrize(("kind", "name"), [("Slicer", "found.seg.nrrd"), ("NIfTI", "found.nii.gz")])
def test_findings_are_saved_where_they_lie(review, ui, tmp_path, kind, name):
    from preview_host import answers

    from DGSTSegmentLib.panel import bridge

    answers.give(str(tmp_path / name))
    save_as(ui, kind)
    saved = read_segmentation(tmp_path / name)
    scan = review.review.scan
    geometry = bridge.geometryOf(scan)
    union = np.zeros(geometry.shape, bool)
    for item in review.review.prediction.findings():
        if item.number in review.table.numbers:
            union |= bridge.segmentMask(review.review.prediction.node, item.segmentId, scan)
    points = np.sort(saved.geometry.to_world(np.argwhere(saved.array > 0)), axis=0)
    np.testing.assert_allclose(points, np.sort(geometry.to_world(np.argwhere(union)), axis=0), atol=1e-3)
    assert len(np.unique(saved.array)) == 5, "background and four findings"


def test_the_report_shows_every_finding_and_leaves_the_layout_as_it_was(review, ui, tmp_path):
    import base64
    import re

    import slicer
    from preview_host import answers
    from PySide6.QtGui import QImage

    manager = slicer.app.layoutManager()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    answers.give(str(tmp_path / "r.html"))
    save_as(ui, "HTML")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    pictures = [base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", page)]
    assert len(pictures) == 3 * 4 and "Research software, not a medical device" in page
    for picture in pictures:
        image = QImage.fromData(picture)
        colors = {image.pixel(x, y) for x in range(0, image.width(), 7) for y in range(0, image.height(), 7)}
        assert len(colors) > 2, "a picture of an empty view"
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


def test_the_table_is_saved_with_units_and_decisions(host, review, ui, tmp_path):
    from preview_host import answers

    press(host, "a")
    answers.give(str(tmp_path / "t.csv"))
    save_as(ui, "CSV")
    with open(tmp_path / "t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert [row["decision"] for row in rows].count("accepted") == 1
    assert float(rows[0]["confidence"]) == pytest.approx(0.9, abs=1e-3)


def test_a_file_that_cannot_be_written_is_said_in_a_sentence(review, ui, tmp_path):
    from preview_host import answers

    answers.give(str(tmp_path / "nowhere" / "t.csv"), str(tmp_path / "no" / "t.seg.nrrd"))
    save_as(ui, "CSV")
    save_as(ui, "Slicer")
    assert sum("could not be written" in text for text in answers.shown) == 2
    assert list(tmp_path.glob("t*")) == []


@pytest.mark.parametrize(
    ("typed", "ending", "saved"),
    [
        ("x", ".seg.nrrd", "x.seg.nrrd"),
        ("x.nrrd", ".seg.nrrd", "x.seg.nrrd"),
        ("x.SEG.NRRD", ".seg.nrrd", "x.seg.nrrd"),
        ("x.seg.nrrd", ".nii.gz", "x.nii.gz"),
        ("x.gz", ".nii.gz", "x.nii.gz"),
        ("CT 1.2", ".nii.gz", "CT 1.2.nii.gz"),
        ("x.nii.gz", ".dcm", "x.dcm"),
        ("x.html", ".html", "x.html"),
    ],
)
def test_a_file_has_the_ending_of_the_format_that_was_chosen(typed, ending, saved):
    from pathlib import Path

    from DGSTSegmentLib.panel.export import withEnding

    assert withEnding(Path("folder") / typed, ending) == Path("folder") / saved


def test_a_file_that_the_dialog_did_not_ask_about_is_not_replaced_unasked(review, ui, tmp_path):
    from preview_host import answers

    there = tmp_path / "found.nii.gz"
    there.write_bytes(b"mine")
    for answer in ("Cancel", "OK"):
        answers.give(str(tmp_path / "found"), answer)
        save_as(ui, "NIfTI")
        assert "exists already" in answers.asked[-1] and (there.read_bytes() == b"mine") == (answer == "Cancel")


def test_the_next_file_is_proposed_where_the_last_one_was_saved(review, ui, logic, tmp_path):
    from pathlib import Path

    from preview_host import answers

    folder, proposed = tmp_path / "for the meeting", []
    folder.mkdir()
    logic.settings.saveFolder = ""
    for path in (tmp_path / "nowhere" / "found.csv", folder / "found.csv", tmp_path / "found.csv"):
        answers.give(lambda before, path=path: proposed.append(Path(before).parent) or str(path))
        save_as(ui, "CSV")
    beside = Path(logic.study.folder).parent
    assert proposed == [beside, beside, folder], "what could not be saved is not remembered"
    logic.settings.saveFolder = str(tmp_path / "gone since")
    answers.give(lambda before: proposed.append(Path(before).parent))
    save_as(ui, "CSV")
    assert proposed[-1] == beside
