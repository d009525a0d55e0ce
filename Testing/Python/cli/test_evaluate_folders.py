from __future__ import annotations

import csv
import re
from contextlib import nullcontext

import numpy as np
import pytest

from DGSTSegmentLib.cli import evaluate, evaluations
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import read_segmentation, write_volume


@pytest.fixture
def folders(tiny_study, tmp_path):
    """References of three scans, and predictions: one alike, one of nothing, and one more than there are references."""
    references, predictions = tmp_path / "references", tmp_path / "predictions"
    references.mkdir()
    predictions.mkdir()
    for n, (_, annotation) in enumerate(tiny_study):
        nodes = read_segmentation(annotation)
        write_volume(nodes, references / f"scan{n}.nii.gz")
        if n < 2:
            write_volume(nodes.with_array(nodes.array * (n == 0)), predictions / f"scan{n}.nrrd")
    write_volume(nodes, predictions / "other.nii.gz")
    return references, predictions


@pytest.fixture
def unequal(tmp_path):
    """Five scans, with (nodes of the reference, nodes of the prediction): its first nodes, shifted by a voxel."""
    counts = {"many": (3, 1), "one": (1, 1), "missed": (1, 0), "none": (0, 0), "wrong": (0, 1)}
    folders = tmp_path / "truth", tmp_path / "answers"
    for folder, shift, own in zip(folders, (0, 1), zip(*counts.values(), strict=True), strict=True):
        folder.mkdir()
        for name, nodes in zip(counts, own, strict=True):
            array = np.zeros((12, 12, 40), np.uint8)
            for n in range(nodes):
                array[3:9, 3:9, 12 * n + 2 + shift : 12 * n + 8 + shift] = 1
            write_volume(Volume(array, Geometry.from_parts(array.shape, (1, 1, 1))), folder / f"{name}.nii.gz")
    return folders


def command_of(folders, *more):
    return ("evaluate", "--reference", folders[0], "--prediction", folders[1], *more)


def test_each_prediction_is_measured_by_the_reference_of_its_name_and_all_scans_together(dgst, folders, tmp_path):
    outcome = dgst(*command_of(folders, "--json", "--out", tmp_path / "table.csv"))
    assert outcome.code == 0, outcome.err
    scans, over = outcome.json["scans"], outcome.json["over_scans"]
    assert list(scans) == ["scan0", "scan1"]
    for name, prediction in (("scan0", "scan0.nrrd"), ("scan1", "scan1.nrrd")):
        alone = ("evaluate", "--reference", folders[0] / f"{name}.nii.gz", "--prediction", folders[1] / prediction)
        single = dgst(*alone, "--json").json
        assert scans[name] == {key: value for key, value in single.items() if key != "notes"}
    assert over["mean_dice"] == {"mean": 0.5, "scans": 2}
    assert over["mean_assd_mm"] == {"mean": 0.0, "scans": 1}, "no distance is defined where nothing is marked"
    assert over["detection"]["pooled_recall"] == 0.5 and over["scans"] == 2
    assert outcome.json["without_reference"] == ["other"] and outcome.json["without_prediction"] == ["scan2"]
    told = " ".join(outcome.json["notes"])
    assert "are left out: other." in told and "are left out: scan2." in told
    assert all(outcome.err.count(note) == 1 for note in outcome.json["notes"])
    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["scan"], float(row["dice"]), row["assd_mm"]) for row in rows] == [
        ("scan0", 1.0, "0.0"),
        ("scan1", 0.0, ""),
    ]
    assert [float(row["detection_recall"]) for row in rows] == [1.0, 0.0]
    sizes = ("below_5_mm", "5_to_10_mm", "from_10_mm")
    for what, counts in (("reference", [2, 2]), ("found", [2, 0]), ("false_positives", [0, 0])):
        assert [sum(int(row[f"{what}_{size}"]) for size in sizes) for row in rows] == counts
    assert all(re.fullmatch("[a-z0-9_]+", column) for column in rows[0]) and "detection_scans" not in rows[0]
    assert [row["failed"] for row in rows] == ["", ""]


def test_people_read_a_line_a_scan_and_what_all_come_to(dgst, folders):
    outcome = dgst(*command_of(folders))
    lines = outcome.out.splitlines()
    assert "have no counterpart" in outcome.err and "have no counterpart" not in outcome.out
    assert lines[0].split(maxsplit=1) == ["scan0", "dice 1.000, surface dice 1.000, found 2 of 2, false positives 0"]
    assert lines[1].split(maxsplit=1) == ["scan1", "dice 0.000, surface dice 0.000, found 0 of 2, false positives 0"]
    told = [" ".join(line.split()) for line in lines]
    assert told[2] == "mean dice 0.500 over 2 of 2 scans, whose references mark nodes"
    assert told[4] == "mean assd mm 0.000 over 1 of 2 scans"
    assert "scans where both are empty 0" in told
    assert "recall, all nodes of all scans together 0.500 (2 of 4)" in told


def test_a_scan_that_cannot_be_measured_ends_none_of_the_others(dgst, folders, tmp_path):
    (folders[1] / "scan1.nrrd").write_text("no volume")
    outcome = dgst(*command_of(folders, "--json", "--out", tmp_path / "table.tsv"))
    assert outcome.code == 2
    assert list(outcome.json["scans"]) == ["scan0"] and list(outcome.json["failed"]) == ["scan1"]
    assert outcome.json["failed"]["scan1"] in outcome.err
    assert outcome.err.splitlines()[-1].startswith("dgst: 1 of 2 scans could not be measured (scan1)")
    with open(tmp_path / "table.tsv", newline="") as file:
        measured, failed = csv.DictReader(file, delimiter="\t")
    assert measured["scan"] == "scan0" and measured["failed"] == ""
    assert {column: cell for column, cell in failed.items() if cell} == {
        "scan": "scan1",
        "failed": outcome.json["failed"]["scan1"],
    }


def test_no_table_is_written_where_nothing_was_measured(dgst, folders, tmp_path):
    for name in ("scan0.nrrd", "scan1.nrrd"):
        (folders[1] / name).write_text("no volume")
    (tmp_path / "table.csv").write_text("of last week")
    outcome = dgst(*command_of(folders, "--out", tmp_path / "table.csv"))
    assert outcome.code == 2 and outcome.out == ""
    assert f"nothing was measured, and {tmp_path / 'table.csv'} was not written" in outcome.err
    assert (tmp_path / "table.csv").read_text() == "of last week"


def test_what_was_measured_is_told_even_where_the_table_cannot_be_written(dgst, folders, tmp_path, monkeypatch):
    def refuse(result, path):
        raise InputError(f"{path} could not be written; free some space.")

    monkeypatch.setattr(evaluate, "write_table", refuse)
    outcome = dgst(*command_of(folders, "--json", "--out", tmp_path / "table.csv"))
    assert outcome.code == 2 and list(outcome.json["scans"]) == ["scan0", "scan1"]
    assert "could not be written" in outcome.err


class PressesCtrlC:
    """A view in front of which Ctrl-C is pressed after that many scans."""

    def __init__(self, scans):
        self._scans = scans

    def on_event(self, event):
        if event["step"] == self._scans:
            raise KeyboardInterrupt

    def say(self, message):
        pass


def test_ctrl_c_keeps_what_was_measured(dgst, folders, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluations, "progress_view", lambda: nullcontext(PressesCtrlC(1)))
    outcome = dgst(*command_of(folders, "--json", "--out", tmp_path / "table.csv"))
    assert outcome.code == 130 and list(outcome.json["scans"]) == ["scan0"]
    assert "Interrupted after 1 of 2 scans; what was measured is told above and in" in outcome.err
    with open(tmp_path / "table.csv", newline="") as file:
        assert [row["scan"] for row in csv.DictReader(file)] == ["scan0"]


def test_running_out_of_memory_is_the_failure_of_that_scan_and_a_bug_is_none(capsys):
    scans = {name: evaluations.Scan(f"r/{name}.nii", f"p/{name}.nii") for name in ("one", "two")}

    def measure(scan):
        if "one" in scan.reference:
            raise MemoryError
        raise InputError(f"{scan.prediction} is damaged.")

    result = evaluations.evaluate_each(scans, measure)
    assert list(result.failed) == ["one", "two"] and "memory ran out" in result.failed["one"]
    said = capsys.readouterr().err
    assert f"one: {result.failed['one']}" in said and "two: " not in said

    def fault(scan):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluations.evaluate_each(scans, fault)


def test_cts_of_a_folder_are_found_by_the_name_that_nnunet_gives_them(dgst, refused, folders, tiny_study, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for n, (image, _) in enumerate(tiny_study):
        (images / f"scan{n}_0000.nii.gz").write_bytes(image.read_bytes())
    assert dgst(*command_of(folders, "--image", images, "--json")).json["over_scans"]["mean_dice"]["mean"] == 0.5
    (images / "scan1_0000.nii.gz").unlink()
    assert "holds no CT called scan1" in refused(*command_of(folders, "--image", images))


def test_what_does_not_belong_together_is_refused(refused, folders, tmp_path):
    references, predictions = folders
    file = references / "scan0.nii.gz"
    assert "is no folder" in refused(*command_of((file, predictions)))
    assert "is no folder" in refused(*command_of((references, file)))
    assert "leave out --out" in refused(*command_of((file, file), "--out", tmp_path / "t.csv"))
    (tmp_path / "empty").mkdir()
    assert "the segmentations of a scan need one name" in refused(*command_of((references, tmp_path / "empty")))
    nodes = read_segmentation(file)
    write_volume(nodes.with_array(np.zeros_like(nodes.array)), references / "scan0.nrrd")
    assert "keep only one of them" in refused(*command_of(folders))


def test_a_node_counts_alike_in_whatever_scan_it_lies_and_means_say_over_which_scans(dgst, unequal):
    outcome = dgst(*command_of(unequal, "--json"))
    scans, over = outcome.json["scans"], outcome.json["over_scans"]
    recalls = [one["detection"]["recall"] for one in scans.values() if one["detection"]["recall"] is not None]
    assert sum(recalls) / len(recalls) == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert over["detection"]["pooled_recall"] == pytest.approx(2 / 5)
    assert over["detection"]["by_short_axis_mm"]["5-10"]["pooled_recall"] == pytest.approx(2 / 5)
    assert over["detection"]["by_short_axis_mm"]["<5"]["pooled_recall"] is None
    assert over["detection"]["false_positives_per_scan"] == pytest.approx(1 / 5)
    assert (over["scans"], over["both_empty"]) == (5, 1)
    dice = [scans[name]["dice"] for name in ("many", "one", "missed")]
    assert 0 < dice[0] < dice[1] == pytest.approx(5 / 6)
    assert over["mean_dice"] == {"mean": pytest.approx(sum(dice) / 3), "scans": 3}
    assert over["mean_surface_dice"]["scans"] == 3 and over["mean_assd_mm"]["scans"] == 2
    told = [" ".join(line.split()) for line in dgst(*command_of(unequal)).out.splitlines()]
    assert f"mean assd mm {over['mean_assd_mm']['mean']:.3f} over 2 of 5 scans" in told
    assert "scans where both are empty 1" in told
    assert "recall, all nodes of all scans together 0.400 (2 of 5)" in told
    assert "recall, all nodes 5 to 10 mm together 0.400 (2 of 5)" in told
    assert "recall, all nodes below 5 mm together not defined here (0 of 0)" in told


def test_whatever_can_be_read_is_found_and_so_are_folders_of_dicom_series(folders, tmp_path):
    references, predictions = tmp_path / "r", tmp_path / "p"
    images = tmp_path / "i"
    for place in (references / "a.mhd", predictions / "a.nhdr", references / "b.mha", predictions / "b.seg.nrrd"):
        place.parent.mkdir(exist_ok=True)
        place.touch()
    for series in (images / "a", images / "b", images / ".cache", references / "c", predictions / "c"):
        series.mkdir(parents=True)
    paired = evaluations.scans_of(str(references), str(predictions), str(images))
    assert {name: scan.image for name, scan in paired.scans.items()} == {
        "a": str(images / "a"),
        "b": str(images / "b"),
    }
    (images / "a.nii.gz").touch()
    with pytest.raises(InputError, match="keep only one of them"):
        evaluations.scans_of(str(references), str(predictions), str(images))
