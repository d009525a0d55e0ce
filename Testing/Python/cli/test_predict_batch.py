"""Several CTs of all fates: what goes on, what ends the command, what it says, and what --continue finds later."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from DGSTSegmentLib.cli import engine, several
from DGSTSegmentLib.engine.client import EngineClient
from DGSTSegmentLib.engine.transport import SubprocessTransport
from DGSTSegmentLib.locks import is_locked, try_lock

from .conftest import PressesCtrlC

WORKER = Path(__file__).parent / "batch_worker.py"


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """Commands start the engine of ``batch_worker``; a list with an entry for each that was opened."""
    clients = []

    def open_client(*_):
        clients.append(EngineClient(lambda: SubprocessTransport([sys.executable, str(WORKER)])))
        return clients[-1]

    monkeypatch.setattr(engine, "open_client", open_client)
    return clients


@pytest.fixture
def cts(tmp_path):
    """Makes CTs whose prediction meets these fates."""

    def make(*fates):
        paths = [tmp_path / "scans" / f"ct{n}.nii.gz" for n in range(len(fates))]
        paths[0].parent.mkdir(exist_ok=True)
        for path, fate in zip(paths, fates, strict=True):
            path.write_text(fate)
        return paths

    return make


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def command(images, out, *more, model="tiny"):
    return ("predict", "--model", model, "--image", *images, "--out", out, *more)


def results_in(folder):
    return sorted(path.name for path in folder.glob("*.nii.gz"))


def test_only_what_this_model_made_of_this_ct_is_left_out(dgst, refused, cts, out, tmp_path):
    one, two = cts("fine", "fine")
    assert dgst(*command([one], f"{out}{os.sep}")).code == 0
    assert dgst(*command([one, two], out, "--continue", "--json")).json["left_out"] == {
        str(one): {"out": str(out / "ct0.nii.gz"), "probability": None}
    }
    other = tmp_path / "other" / "ct0.nii.gz"
    other.parent.mkdir()
    other.write_text("fine")
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert f"ct0.nii.gz was made of {one}, not of {other}" in refused(*command([other], out, "--continue"))
    said = refused(*command([one, two], out, "--continue", model="another"))
    assert "ct0.nii.gz was made by tiny (fingerprint tiny-weights" in said
    assert "not by tiny (fingerprint another-weig" in said
    assert "orientation lps), not by tiny" in refused(*command([one], out, "--continue", "--orientation", "ras"))
    one.write_text("fine, and changed")
    assert "before that file was changed" in refused(*command([one], out, "--continue"))
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_a_dicom_folder_is_the_same_scan_as_long_as_its_files_are(dgst, refused, tmp_path, out):
    from DGSTSegmentLib.cli.record import stamp_of

    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1.dcm").write_bytes(b"one")
    before = stamp_of(str(tmp_path / "series"))
    assert before == stamp_of(str(tmp_path / "series")) and before["size"] == 3
    (tmp_path / "series" / "2.dcm").write_bytes(b"two")
    assert stamp_of(str(tmp_path / "series")) != before


def test_what_nobody_noted_is_not_taken_for_an_answer(dgst, refused, cts, out):
    images = cts("fine", "fine")
    out.mkdir()
    (out / "ct1.nii.gz").write_text("drawn by hand")
    assert "ct1.nii.gz is there, but" in refused(*command(images, out, "--continue"))
    assert results_in(out) == ["ct1.nii.gz"]
    (out / "predictions.json").write_text('{"predictions": {"ct1.nii.gz": {"model": "tiny"}}}')
    assert "is no record of predictions" in refused(*command(images, out, "--continue"))


def test_a_segmentation_without_its_probability_is_never_replaced(dgst, refused, cts, out, tmp_path):
    images = cts("fine", "fine")
    assert dgst(*command(images, out)).code == 0
    (out / "ct0.nii.gz").write_text("mended by hand")
    words = refused(*command(images, out, "--continue", "--probability", tmp_path / "p"))
    assert f"{out / 'ct0.nii.gz'} is there, but {tmp_path / 'p' / 'ct0.nii.gz'} is not" in words
    assert (out / "ct0.nii.gz").read_text() == "mended by hand" and not (tmp_path / "p").exists()
    dgst(*command(images, tmp_path / "both", "--probability", tmp_path / "q"))
    assert "was not made together with" in refused(*command(images, out, "--continue", "--probability", tmp_path / "q"))


def test_a_result_that_appears_meanwhile_is_left_as_it_is_and_the_others_are_made(dgst, cts, out):
    images = cts(f"makes {out / 'ct1.nii.gz'}", "fine", "fine")
    outcome = dgst(*command(images, out, "--json"))
    assert outcome.code == 2 and list(outcome.json["failed"]) == [str(images[1])]
    assert "appeared meanwhile" in outcome.err
    assert (out / "ct1.nii.gz").read_text() == "by another program"
    assert [done["image"] for done in outcome.json["predictions"]] == [str(images[0]), str(images[2])]


@pytest.mark.parametrize("shared", ["out", "p"])
def test_a_folder_that_another_batch_works_in_is_refused_until_that_has_ended(dgst, refused, cts, tmp_path, shared):
    images = cts("fine", "fine")
    folders = {name: tmp_path / name for name in ("out", "p")}
    folders[shared].mkdir()
    with open(folders[shared] / several.LOCK_FILE, "ab") as file:
        assert try_lock(file)
        words = refused(*command(images, folders["out"], "--continue", "--probability", folders["p"]))
        assert f"Another dgst predict is at work in {folders[shared]}" in words
    assert dgst(*command(images, folders["out"], "--probability", folders["p"])).code == 0
    assert {path.name for path in folders["out"].iterdir()} == {"ct0.nii.gz", "ct1.nii.gz", "predictions.json"}


def test_no_other_batch_works_in_a_folder_meanwhile(dgst, cts, out, monkeypatch):
    locked = []

    class Watched(several.Record):
        def add(self, *noted):
            locked.append(is_locked(out / several.LOCK_FILE))
            super().add(*noted)

    monkeypatch.setattr(several, "Record", Watched)
    assert dgst(*command(cts("fine", "fine"), out)).code == 0
    assert locked == [True, True]


@pytest.mark.parametrize("fate", ["memory", "dies"])
def test_an_engine_that_fails_of_one_ct_goes_on_with_the_next(dgst, cts, out, opened, fate):
    images = cts("fine", fate, "fine", fate, "damaged", fate)
    outcome = dgst(*command(images, out, "--json"))
    assert outcome.code == 1
    assert list(outcome.json["failed"]) == [str(images[n]) for n in (1, 3, 4, 5)]
    assert results_in(out) == ["ct0.nii.gz", "ct2.nii.gz"]
    assert f"{images[1]}: {outcome.json['failed'][str(images[1])]}" in outcome.err
    last = outcome.err.splitlines()[-1]
    assert f"{images[1]}, {images[3]}, {images[4]}, and 1 more); why was said above" in last
    assert len(opened) == 1


def test_an_engine_that_fails_twice_in_a_row_is_given_up_and_what_is_done_is_told(dgst, cts, out):
    outcome = dgst(*command(cts("fine", "dies", "dies", "fine"), out))
    assert outcome.code == 1
    assert outcome.out == f"tiny: {out / 'ct0.nii.gz'}\n"
    assert "failed at two CTs in a row" in outcome.err and f"1 of 4 are in {out}, and --continue" in outcome.err
    assert results_in(out) == ["ct0.nii.gz"]


@pytest.mark.parametrize("fate", ["disk full", "cannot be written"])
def test_a_folder_that_takes_no_more_ends_it_after_two_and_a_damaged_ct_never(dgst, cts, out, fate):
    outcome = dgst(*command(cts("damaged", "damaged", fate, "fine", fate, fate, "fine"), out, "--json"))
    assert outcome.code == 2 and len(outcome.json["failed"]) == 5
    assert "could not be written at two CTs in a row" in outcome.err
    assert results_in(out) == ["ct3.nii.gz"]


def test_a_device_that_is_not_there_is_refused_once(refused, cts, out):
    words = refused(*command(cts("fine", "fine"), out, "--device", "cuda"))
    assert "There is no CUDA GPU to compute on (none is built in)" in words
    assert not out.exists()


@pytest.mark.parametrize(
    ("fate", "before", "done"),
    [("waits", False, 2), ("fails when told to stop", False, 2), ("finishes", False, 3), ("fine", True, 2)],
)
def test_ctrl_c_counts_what_was_asked_for_and_is_continued(dgst, cts, out, monkeypatch, fate, before, done):
    images = cts("fine", "fine", fate, "fine")
    assert dgst(*command(images[:1], out, "--continue")).code == 0
    with monkeypatch.context() as patch:
        patch.setattr(several, "progress_view", lambda: nullcontext(PressesCtrlC(2, before)))
        outcome = dgst(*command(images, out, "--continue", "--json"))
    assert outcome.code == 130
    assert outcome.err == (f"dgst: Interrupted; {done} of 4 are in {out}, and --continue goes on with the others.\n")
    assert len(outcome.json["left_out"]) == 1 and len(outcome.json["predictions"]) == done - 1
    assert len(results_in(out)) == done
    recorded = json.loads((out / "predictions.json").read_text())["predictions"]
    assert sorted(recorded) == results_in(out)


@pytest.mark.parametrize("how", ["separator", "--continue", "pattern"])
def test_a_single_ct_goes_to_a_folder_where_one_is_meant(dgst, cts, out, how):
    (image,) = cts("fine")
    words = {
        "separator": command([image], f"{out}{os.sep}"),
        "--continue": command([image], out, "--continue"),
        "pattern": command([image.with_name("ct*.nii.gz")], out),
    }[how]
    assert dgst(*words).code == 0
    assert results_in(out) == ["ct0.nii.gz"]


def test_a_single_ct_and_a_files_name_stay_as_they_are(dgst, cts, tmp_path):
    assert dgst(*command(cts("fine"), tmp_path / "seg.nii.gz")).out == f"tiny: {tmp_path / 'seg.nii.gz'}\n"
    assert not (tmp_path / "predictions.json").exists()
    assert "no ending of a volume" in dgst(*command(cts("fine"), tmp_path / "answers")).err


def test_people_read_that_results_were_left_out(dgst, cts, out):
    images = cts("fine", "fine")
    dgst(*command(images, out))
    assert dgst(*command(images[:1], out, "--continue")).out == "1 left out, since its result is there already\n"
    assert dgst(*command(images, out, "--continue")).out == "2 left out, since their results are there already\n"


def test_the_time_left_is_measured_by_cts_that_were_predicted(dgst, cts, out):
    err = dgst(*command(cts("damaged", "fine", "fine"), out)).err.splitlines()
    told = [line for line in err if line.startswith("[")]
    assert told[:2] == ["[1/3] ct0.nii.gz", "[2/3] ct1.nii.gz"]
    assert told[2].startswith("[3/3] ct2.nii.gz, 0:0") and told[2].endswith(" left for all")


def test_a_record_that_cannot_be_written_is_told_and_tried_again(dgst, cts, out):
    images = cts(f"makes {out / '.partial-predictions.json' / 'x'}", "fine")
    (out / ".partial-predictions.json").mkdir(parents=True)
    outcome = dgst(*command(images, out, "--json"))
    assert outcome.code == 2 and len(outcome.json["predictions"]) == 2
    assert outcome.err.count("predictions.json could not be written") == 3
    assert f"2 of 2 are in {out}, but --continue will not know all" in outcome.err.splitlines()[-1]
