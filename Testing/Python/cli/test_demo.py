from __future__ import annotations

import contextlib
import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from DGSTSegmentLib.cli import demo, demo_run
from DGSTSegmentLib.cli.demo import MARK, PARTS, cleared_folder
from DGSTSegmentLib.cli.demo_review import with_rejected
from DGSTSegmentLib.cli.demo_run import Demo, DemoSettings
from DGSTSegmentLib.cli.demo_study import a_few_of, phantom_study
from DGSTSegmentLib.cli.engine import Interrupted
from DGSTSegmentLib.cli.progress import PlainLines
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging.files import read_segmentation, write_volume
from DGSTSegmentLib.imaging.phantoms.domains import TARGET
from DGSTSegmentLib.views import pictures

SMALL = replace(TARGET, field_of_view_mm=(60.0, 70.0, 80.0), pixel_mm=(2.0, 2.2), empty_scans=0.3)
KEYS = {"dice_before", "dice_after", "findings", "weights_changed", "seconds", "device", "versions"}


class Page(HTMLParser):
    """Words of a page, and what it would load from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.words, self.links, self.images = [], [], 0
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attributes):
        self.images += tag == "img"
        self.links += [v for k, v in attributes if k in ("src", "href") and not v.startswith("data:")]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(autouse=True)
def plain_pictures(monkeypatch):
    """Slicer's views take half a minute to start; the plain painter draws the same panels."""
    monkeypatch.setattr(pictures, "ask_slicer", lambda *_: "not asked in this test")


@pytest.fixture(scope="module")
def settings(tiny_model):
    return DemoSettings(
        model=str(tiny_model),
        steps=4,
        training_scans=1,
        marked_nodes=2,
        unseen_scans=2,
        domain=SMALL,
        picture_width=400,
    )


@pytest.fixture
def carried_out(engine, settings, tmp_path):
    return Demo(settings, tmp_path, PlainLines(), engine).carry_out(), tmp_path


def test_the_demonstration_leaves_everything_it_promises(carried_out):
    summary, folder = carried_out
    assert {path.name for path in folder.iterdir()} == set(PARTS)
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert set(summary) >= KEYS
    assert set(summary["seconds"]) == {*demo_run.STAGES, "total"}
    assert 0 < summary["weights_changed"] <= 1 and summary["device"] in ("cpu", "cuda")
    assert summary["versions"]["DGSTSegment"] and summary["versions"]["torch"]
    dices = [scan["after"]["dice"] for scan in summary["scans"]]
    assert len(dices) == 2 and summary["dice_after"] == pytest.approx(np.mean(dices))
    with open(folder / "findings.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == summary["findings"]
    page = Page((folder / "report.html").read_text())
    assert page.links == [] and page.images == 2, "the page needs nothing beside it"
    for words in ("not a medical device", "phantoms", "tiny (demonstration, trained on phantoms)", "mean Dice after"):
        assert words in page.text
    assert f"{summary['dice_after']:.2f}" in page.text


def test_on_a_ct_of_ones_own_nothing_is_said_to_be_measured(engine, settings, tiny_study, tmp_path):
    own = (str(tiny_study[0][0]), str(tiny_study[0][1]))
    summary = Demo(settings, tmp_path, PlainLines(), engine).carry_out(own)
    assert summary["dice_before"] is None and summary["dice_after"] is None
    assert {path.name for path in tmp_path.iterdir()} == set(PARTS) - {"study"}
    page = Page((tmp_path / "report.html").read_text())
    assert "Nothing was measured." in page.text and "mean Dice" not in page.text
    assert "phantoms: computed images" not in page.text


def test_the_study_marks_a_few_nodes_and_keeps_unseen_scans_apart(tmp_path):
    study = phantom_study(tmp_path, SMALL, 0, training_scans=2, marked_nodes=1, unseen_scans=2)
    assert study.marked == 2 and {case.completeness for case in study.cases} == {"marked"}
    for case in study.cases:
        assert len(np.unique(read_segmentation(case.annotation).array)) == 2
    for scan in study.shown:
        assert read_segmentation(scan.annotation).array.any()
    assert {case.image for case in study.cases}.isdisjoint(scan.image for scan in study.shown)


def test_marking_keeps_the_marked_nodes_whole(tmp_path):
    study = phantom_study(tmp_path, TARGET, 3, training_scans=0, marked_nodes=0, unseen_scans=1)
    nodes = read_segmentation(study.shown[0].annotation)
    few, count = a_few_of(nodes, 2, seed=1)
    kept = np.unique(few.array[few.array > 0])
    assert count == len(kept) == 2
    np.testing.assert_array_equal(few.array, np.where(np.isin(nodes.array, kept), nodes.array, 0))


def test_a_second_demonstration_replaces_the_first_but_nothing_else(tmp_path):
    folder = tmp_path / "demo-output"
    assert cleared_folder(str(folder)) == folder
    (folder / "study").mkdir()
    (folder / "study" / "old.nii.gz").touch()
    (folder / "report.html").touch()
    assert [entry.name for entry in cleared_folder(str(folder)).iterdir()] == [MARK]
    (folder / "report.html").touch()
    (folder / "thesis.txt").touch()
    with pytest.raises(InputError, match="other files"):
        cleared_folder(str(folder))
    assert (folder / "report.html").exists()


def test_a_folder_of_the_same_names_that_no_demonstration_made_is_left_alone(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "delta.safetensors").touch()
    with pytest.raises(InputError, match="other files"):
        cleared_folder(str(tmp_path))
    assert (tmp_path / "model" / "delta.safetensors").exists()


def test_what_is_to_be_read_is_never_cleared_away(tmp_path):
    folder = cleared_folder(str(tmp_path / "demo-output"))
    (folder / "study").mkdir()
    scan = folder / "study" / "ct.nii.gz"
    scan.touch()
    with pytest.raises(InputError, match="another folder with --out"):
        cleared_folder(str(folder), str(scan))
    assert scan.exists()


def test_a_ct_without_annotation_is_refused(refused, no_engine, tmp_path):
    sentence = refused("demo", "--out", tmp_path / "out", "--image", tmp_path)
    assert "give both" in sentence and not (tmp_path / "out").exists()
    sentence = refused("demo", "--out", tmp_path / "out", "--image", tmp_path / "a", "--annotation", tmp_path / "b")
    assert "does not exist" in sentence and not (tmp_path / "out").exists()


def test_the_command_carries_it_out(dgst, engine, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "open_client", lambda *_: contextlib.nullcontext(engine))
    monkeypatch.setattr(demo_run, "DemoSettings", lambda: replace(settings, unseen_scans=1))
    outcome = dgst("demo", "--out", tmp_path / "out")
    assert outcome.code == 0
    assert "unseen made-up scans" in outcome.out and str(tmp_path / "out" / "report.html") in outcome.out
    assert "4/7 fine-tuning" in outcome.err


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), Interrupted("Interrupted; nothing was written.")])
def test_ctrl_c_says_where_the_parts_are_that_were_made(dgst, tmp_path, monkeypatch, interrupt):
    def open_client(*_):
        raise interrupt

    monkeypatch.setattr(demo, "open_client", open_client)
    outcome = dgst("demo", "--out", tmp_path / "out")
    assert outcome.code == 130
    assert outcome.err == f"dgst: Interrupted; what was made until then is in {tmp_path / 'out'}.\n"


def test_a_reader_refuses_the_largest_wrong_findings_and_no_node(tmp_path):
    study = phantom_study(tmp_path, SMALL, 0, training_scans=1, marked_nodes=1, unseen_scans=1)
    nodes = read_segmentation(study.training[0].annotation)
    predicted = (nodes.array > 0).astype(np.uint8)
    corner, other, small = np.zeros((3, *predicted.shape), bool)
    corner[:3, :6, :6], other[:3, -5:, :5], small[:2, :2, -2:] = True, True, True
    for wrong in (corner, other, small):
        assert not (wrong & (nodes.array > 0)).any()
        predicted[wrong] = 1
    write_volume(nodes.with_array(predicted), tmp_path / "found.nii.gz")
    reviewed = with_rejected(study, [str(tmp_path / "found.nii.gz")], most=2)
    assert reviewed.rejected == 2
    mask = read_segmentation(reviewed.cases[0].rejected).array > 0
    np.testing.assert_array_equal(mask, corner | other)
    assert study.cases[0].rejected is None


def test_where_nothing_is_wrong_nothing_is_refused(tmp_path):
    study = phantom_study(tmp_path, SMALL, 0, training_scans=1, marked_nodes=1, unseen_scans=1)
    reviewed = with_rejected(study, [study.training[0].annotation], most=3)
    assert reviewed.rejected == 0 and reviewed.cases == study.cases
