from __future__ import annotations

import csv

import numpy as np
import pytest

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
    assert over["mean_dice"] == 0.5 and over["mean_assd_mm"] == 0.0, "no distance is defined where nothing is marked"
    assert over["detection"]["recall"] == 0.5 and over["detection"]["scans"] == 2
    told = " ".join(outcome.json["notes"])
    assert "are left out: other." in told and "are left out: scan2." in told
    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["scan"], float(row["dice"]), row["assd_mm"]) for row in rows] == [
        ("scan0", 1.0, "0.0"),
        ("scan1", 0.0, ""),
    ]
    assert [float(row["detection_recall"]) for row in rows] == [1.0, 0.0]


def test_people_read_a_line_a_scan_and_what_all_come_to(dgst, folders):
    lines = dgst(*command_of(folders)).out.splitlines()
    assert lines[0].split(maxsplit=1) == ["scan0", "dice 1.000, surface dice 1.000, found 2 of 2, false positives 0"]
    assert lines[1].split(maxsplit=1) == ["scan1", "dice 0.000, surface dice 0.000, found 0 of 2, false positives 0"]
    assert lines[2].split() == ["mean", "dice", "0.500"]


def test_a_scan_that_cannot_be_measured_ends_none_of_the_others(dgst, folders, tmp_path):
    (folders[1] / "scan1.nrrd").write_text("no volume")
    outcome = dgst(*command_of(folders, "--json"))
    assert outcome.code == 2
    assert list(outcome.json["scans"]) == ["scan0"] and list(outcome.json["failed"]) == ["scan1"]
    assert outcome.json["failed"]["scan1"] in outcome.err
    assert outcome.err.splitlines()[-1].startswith("dgst: 1 of 2 scans could not be measured (scan1)")


def test_cts_of_a_folder_are_found_by_the_name_that_nnunet_gives_them(dgst, refused, folders, tiny_study, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for n, (image, _) in enumerate(tiny_study):
        (images / f"scan{n}_0000.nii.gz").write_bytes(image.read_bytes())
    assert dgst(*command_of(folders, "--image", images, "--json")).json["over_scans"]["mean_dice"] == 0.5
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
    assert "leave one of them" in refused(*command_of(folders))
