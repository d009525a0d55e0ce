from __future__ import annotations

import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from DGSTSegmentLib.cli import names, several
from DGSTSegmentLib.imaging.files import read_volume

from .conftest import PressesCtrlC


@pytest.fixture
def scans(tiny_study, tmp_path):
    """Two patients' scans of one file name, and another."""
    paths = [tmp_path / "scans" / name for name in ("one/ct.nii.gz", "two/ct.nii.gz", "case.nii.gz")]
    for (image, _), path in zip(tiny_study, paths, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, path)
    return paths


@pytest.fixture
def several_of(tiny_model, tmp_path):
    def words(images, *more, out=tmp_path / "out"):
        computing = ("--device", "cpu", "--precision", "fp32")
        return ["predict", "--model", tiny_model, "--image", *images, "--out", out, *computing, *more]

    return words


def results_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "predictions.json")


def test_each_ct_gets_the_answer_that_it_gets_alone_under_a_name_of_its_own(
    dgst, one_engine, several_of, scans, tmp_path
):
    outcome = dgst(*several_of(scans, "--probability", tmp_path / "p"))
    assert outcome.code == 0, outcome.err
    assert len(one_engine) == 1
    names = ["one_ct.nii.gz", "two_ct.nii.gz", "case.nii.gz"]
    assert results_in(tmp_path / "out") == results_in(tmp_path / "p") == sorted(names)
    assert [line.count(str(tmp_path / "out")) for line in outcome.out.splitlines()] == [1, 1, 1]
    for image, name in zip(scans, names, strict=True):
        assert dgst(*several_of([image], out=tmp_path / "alone.nii.gz")).code == 0
        alone, among = (read_volume(path) for path in (tmp_path / "alone.nii.gz", tmp_path / "out" / name))
        assert among.geometry.same_grid(alone.geometry)
        np.testing.assert_array_equal(among.array, alone.array)


def test_a_ct_that_cannot_be_read_ends_none_of_the_others_and_is_done_when_it_is_mended(
    dgst, one_engine, several_of, scans, tmp_path
):
    whole = scans[1].read_bytes()
    scans[1].write_text("no volume")
    outcome = dgst(*several_of(scans, "--json"))
    assert outcome.code == 2
    assert results_in(tmp_path / "out") == ["case.nii.gz", "one_ct.nii.gz"]
    assert list(outcome.json["failed"]) == [str(scans[1])]
    assert outcome.err.splitlines()[-1].startswith(f"dgst: 1 of 3 CTs could not be segmented ({scans[1]})")
    assert outcome.json["failed"][str(scans[1])] in outcome.err
    scans[1].write_bytes(whole)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.nii.gz")}
    again = dgst(*several_of(scans, "--json", "--continue")).json
    assert again["failed"] == {}
    assert again["left_out"] == {
        str(image): {"out": str(tmp_path / "out" / name), "probability": None}
        for image, name in ((scans[0], "one_ct.nii.gz"), (scans[2], "case.nii.gz"))
    }
    assert [(done["image"], Path(done["out"]).name) for done in again["predictions"]] == [
        (str(scans[1]), "two_ct.nii.gz")
    ]
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was there stays as it was"


def test_what_is_there_is_not_replaced_unasked(refused, no_engine, several_of, scans, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "case.nii.gz").write_text("corrected by hand")
    assert "case.nii.gz is there already" in refused(*several_of(scans))
    assert (tmp_path / "out" / "case.nii.gz").read_text() == "corrected by hand"
    assert results_in(tmp_path / "out") == ["case.nii.gz"]


def test_a_model_that_cannot_be_used_is_refused_once_and_leaves_no_folder(
    refused, one_engine, several_of, scans, tmp_path
):
    assert "fold" in refused(*several_of(scans, "--fold", "7"))
    assert not (tmp_path / "out").exists()


def test_what_can_be_seen_beforehand_is_refused_before_an_engine_starts(
    refused, no_engine, several_of, scans, tmp_path
):
    before = sorted(tmp_path.rglob("*"))
    for words, *more, out in (
        ("is a file's name", *scans, tmp_path / "seg.nii.gz"),
        ("is a file's name", *scans, scans[0]),
        ("make that folder", *scans, tmp_path / "none" / "out"),
        ("missing.nii.gz does not exist", *scans, tmp_path / "missing.nii.gz", tmp_path / "out"),
        ("is named twice", *scans, scans[0], tmp_path / "out"),
        ("is an input or another result too", *scans, "--probability", tmp_path / "out", tmp_path / "out"),
        ("is an input or another result too", scans[0], scans[0].parent),
        ("is a file's name", scans[0], "--continue", tmp_path / "seg.nii.gz"),
    ):
        assert words in refused(*several_of(more, out=out))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_pattern_that_the_shell_left_alone_means_the_files_that_it_fits(scans, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert names.images_of(["scans/*/ct.nii.gz"]) == [str(path) for path in scans[:2]]


def test_ctrl_c_tells_how_many_are_there(dgst, one_engine, several_of, scans, tmp_path, monkeypatch):
    monkeypatch.setattr(several, "progress_view", lambda: nullcontext(PressesCtrlC(2)))
    outcome = dgst(*several_of(scans))
    assert outcome.code == 130
    done = int(re.search(r"Interrupted; (\d) of 3 are in", outcome.err)[1])
    assert done == len(results_in(tmp_path / "out")) < 3
