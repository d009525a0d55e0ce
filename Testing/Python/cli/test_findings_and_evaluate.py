from __future__ import annotations

import csv

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import read_ct, read_segmentation, write_volume


@pytest.fixture
def ct_and_nodes(tiny_study):
    return tiny_study[0]


def test_findings_measures_every_node(dgst, ct_and_nodes, tmp_path):
    ct, nodes = ct_and_nodes
    outcome = dgst("findings", "--segmentation", nodes, "--image", ct, "--out", tmp_path / "f.csv", "--json")
    assert outcome.code == 0 and outcome.err == ""
    found = outcome.json["findings"]
    segmentation = read_segmentation(nodes)
    voxels = segmentation.array > 0
    assert sum(item["volume_ml"] for item in found) == pytest.approx(voxels.sum() * 12 / 1000)
    assert [item["number"] for item in found] == [1, 2] and outcome.json["notes"] == []
    assert all(item["mean_hu"] == pytest.approx(60, abs=5) for item in found)
    with open(tmp_path / "f.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["volume_ml"]) for row in rows] == pytest.approx([i["volume_ml"] for i in found], abs=1e-3)


def test_findings_without_json_are_lines_for_people(dgst, ct_and_nodes, tmp_path):
    outcome = dgst("findings", "--segmentation", ct_and_nodes[1], "--out", tmp_path / "f.csv")
    assert len(outcome.out.splitlines()) == 3 and outcome.out.splitlines()[-1].startswith("2 findings in")
    assert "mL" in outcome.out and "HU" not in outcome.out


def test_a_ct_on_another_grid_is_resampled_and_that_is_said(dgst, ct_and_nodes, tmp_path):
    ct = read_ct(ct_and_nodes[0])
    shifted = ct.geometry.ijk_to_world.copy()
    shifted[:3, 3] -= 8 * shifted[:3, 0]
    wider = np.pad(ct.array, ((0, 0), (0, 0), (8, 0)), constant_values=-1000)
    write_volume(Volume(wider, Geometry(wider.shape, shifted)), tmp_path / "wider.nii.gz")
    command = ("findings", "--segmentation", ct_and_nodes[1], "--out", tmp_path / "f.csv", "--json")
    outcome = dgst(*command, "--image", tmp_path / "wider.nii.gz")
    assert outcome.code == 0 and "resampled" in outcome.err
    (note,) = outcome.json["notes"]
    assert f"{note}\n" == outcome.err
    there = dgst(*command, "--image", ct_and_nodes[0]).json["findings"]
    assert [item["mean_hu"] for item in outcome.json["findings"]] == [item["mean_hu"] for item in there]


@pytest.fixture
def with_probability(ct_and_nodes, tmp_path):
    """Makes the arguments for a probability of that value in the nodes and 0.1 elsewhere."""

    def arguments(inside):
        nodes = read_segmentation(ct_and_nodes[1])
        values = np.where(nodes.array > 0, inside, 0.1).astype(np.float32)
        write_volume(nodes.with_array(values), tmp_path / "p.nii.gz")
        command = ("findings", "--segmentation", ct_and_nodes[1], "--probability", tmp_path / "p.nii.gz")
        return *command, "--out", tmp_path / "f.csv", "--json"

    return arguments


def test_a_probability_of_another_prediction_is_told(dgst, with_probability, ct_and_nodes, tmp_path):
    of_this, of_another = dgst(*with_probability(0.7)), dgst(*with_probability(0.3))
    assert of_this.json["notes"] == [] and of_this.json["findings"][0]["confidence"] == pytest.approx(0.7)
    (note,) = of_another.json["notes"]
    voxels = np.count_nonzero(read_segmentation(ct_and_nodes[1]).array)
    assert f"marks {voxels} voxels, of which {tmp_path / 'p.nii.gz'} calls {voxels} unlikely" in note


def test_values_that_are_no_probabilities_are_refused(refused, with_probability, tmp_path):
    assert "from 0.1 to 40, a probability lies between 0 and 1" in refused(*with_probability(40.0))
    assert not (tmp_path / "f.csv").exists()


@pytest.fixture
def two_classes(tmp_path):
    """As a network of two classes answers: two nodes of class 1 far apart, and one of class 2."""
    array = np.zeros((20, 30, 30), np.uint8)
    array[2:6, 2:6, 2:6] = array[14:18, 24:28, 24:28] = 1
    array[2:6, 24:28, 2:6] = 2
    path = tmp_path / "classes.nii.gz"
    write_volume(Volume(array, Geometry(array.shape, np.eye(4))), path)
    return path


def test_findings_of_classes_are_their_pieces_where_asked_for_and_else_that_is_said(dgst, two_classes, tmp_path):
    command = ("findings", "--segmentation", two_classes, "--out", tmp_path / "f.csv", "--json")
    by_value, by_piece = dgst(*command), dgst(*command, "--instances", "components")
    assert len(by_value.json["findings"]) == 2 and "--instances components" in by_value.err
    assert len(by_piece.json["findings"]) == 3 and by_piece.err == ""
    assert max(item["long_axis_mm"] for item in by_piece.json["findings"]) < 8


def test_evaluate_takes_a_prediction_of_classes_apart_where_asked_for(dgst, two_classes, tmp_path):
    nodes = read_segmentation(two_classes)
    truth = np.where(nodes.array == 1, 1, 0)
    truth[14:18] *= 3
    truth[nodes.array == 2] = 2
    write_volume(nodes.with_array(truth.astype(np.uint8)), tmp_path / "truth.nii.gz")
    command = ("evaluate", "--reference", tmp_path / "truth.nii.gz", "--prediction", two_classes, "--json")
    assert dgst(*command, "--instances", "components").json["detection"]["recall"] == 1.0
    assert dgst(*command).json["detection"]["recall"] < 1.0


def test_evaluate_takes_a_reference_of_kinds_apart_where_asked_for_and_else_says_so(dgst, two_classes, tmp_path):
    nodes = read_segmentation(two_classes)
    write_volume(nodes.with_array((nodes.array > 0).astype(np.uint8)), tmp_path / "mask.nii.gz")
    command = ("evaluate", "--reference", two_classes, "--prediction", tmp_path / "mask.nii.gz", "--json")
    command += ("--labels", "1", "2")
    by_value, by_piece = dgst(*command), dgst(*command, "--reference-instances", "components")
    assert by_value.json["dice"] == by_piece.json["dice"] == by_piece.json["detection"]["recall"] == 1.0
    wrong = [one.json["detection"]["false_positives_per_scan"] for one in (by_value, by_piece)]
    assert wrong == [1.0, 0.0] and by_piece.json["notes"] == []
    (note,) = by_value.json["notes"]
    assert "2 label values in 3 pieces" in note and "--reference-instances components" in note


def test_evaluate_says_that_all_values_are_taken_as_nodes_and_takes_those_that_are_named(dgst, two_classes):
    command = ("evaluate", "--reference", two_classes, "--prediction", two_classes, "--json")
    taken, named = dgst(*command), dgst(*command, "--labels", "2")
    assert f"{two_classes}: values 1, 2 are all taken as lymph nodes" in taken.json["notes"][0]
    assert (taken.json["reference_ml"], named.json["reference_ml"]) == pytest.approx((0.192, 0.064))
    assert named.json["notes"] == []
    apart = dgst(*command, "--labels", "2", "--reference-labels", "1", "3").json
    assert (apart["reference_ml"], apart["prediction_ml"]) == pytest.approx((0.128, 0.064))
    none = dgst(*command, "--labels", "7").json
    assert none["reference_ml"] == 0 and "holds none of the values 7 of --labels" in none["notes"][0]


def test_findings_refuses_what_cannot_be_measured(refused, ct_and_nodes, tmp_path):
    ct, nodes = ct_and_nodes
    out = tmp_path / "f.csv"
    assert "does not exist" in refused("findings", "--segmentation", tmp_path / "none.nii.gz", "--out", out)
    assert "not a segmentation" in refused("findings", "--segmentation", ct, "--out", out)
    assert "input" in refused("findings", "--segmentation", nodes, "--out", nodes)
    assert "no ending of a table" in refused("findings", "--segmentation", nodes, "--out", tmp_path / "keep.nii.gz")
    far = read_ct(ct).geometry.ijk_to_world.copy()
    far[:3, 3] += 5000
    write_volume(Volume(read_ct(ct).array, Geometry(read_ct(ct).array.shape, far)), tmp_path / "far.nii.gz")
    sentence = refused("findings", "--segmentation", nodes, "--image", tmp_path / "far.nii.gz", "--out", out)
    assert f"{nodes} does not lie where {tmp_path / 'far.nii.gz'} lies" in sentence
    assert not out.exists()


def test_evaluate_refuses_what_lies_elsewhere_and_names_both(refused, ct_and_nodes, tmp_path):
    nodes, far = read_segmentation(ct_and_nodes[1]), tmp_path / "far.nii.gz"
    moved = nodes.geometry.ijk_to_world.copy()
    moved[:3, 3] += 5000
    write_volume(Volume(nodes.array, Geometry(nodes.array.shape, moved)), far)
    words = refused("evaluate", "--reference", ct_and_nodes[1], "--prediction", far)
    assert f"{far} does not lie where {ct_and_nodes[1]} lies" in words


def test_evaluate_of_a_segmentation_against_itself_is_perfect(dgst, ct_and_nodes):
    nodes = ct_and_nodes[1]
    outcome = dgst("evaluate", "--reference", nodes, "--prediction", nodes, "--image", ct_and_nodes[0], "--json")
    assert outcome.code == 0
    result = outcome.json
    assert result["dice"] == result["surface_dice"] == result["detection"]["recall"] == 1.0
    assert result["assd_mm"] == 0.0 and result["detection"]["false_positives_per_scan"] == 0.0


def test_evaluate_counts_what_is_predicted_outside_a_cropped_reference(dgst, tmp_path):
    predicted = np.zeros((20, 30, 40), np.uint8)
    predicted[4:8, 4:12, 4:12] = predicted[12:16, 20:28, 30:36] = 1
    whole = Geometry.from_parts(predicted.shape, (0.8, 0.8, 2), (5, 6, 7))
    write_volume(Volume(predicted, whole), tmp_path / "prediction.nrrd")
    cropped = Volume(predicted[2:10, 2:16, 2:20], whole.cropped((slice(2, 10), slice(2, 16), slice(2, 20))))
    write_volume(cropped, tmp_path / "reference.nrrd")
    command = ("evaluate", "--prediction", tmp_path / "prediction.nrrd", "--reference", tmp_path / "reference.nrrd")
    result = dgst(*command, "--json").json
    assert result["dice"] == pytest.approx(2 * 256 / (256 + 256 + 192))
    assert result["detection"]["false_positives_per_scan"] == 1
    assert "marks what lies outside the grid of" in result["notes"][0]


def test_evaluate_in_words_names_every_figure(dgst, ct_and_nodes):
    nodes = ct_and_nodes[1]
    outcome = dgst("evaluate", "--reference", nodes, "--prediction", nodes, "--tolerance", "1.5")
    lines = {line[:36].strip(): line[36:].strip() for line in outcome.out.splitlines()}
    assert lines["dice"] == "1.000" and lines["tolerance mm"] == "1.500" and "detection, recall" in lines


def test_evaluate_of_nothing_against_something_says_what_is_not_defined(dgst, ct_and_nodes, tmp_path):
    nodes = read_segmentation(ct_and_nodes[1])
    write_volume(nodes.with_array(np.zeros_like(nodes.array)), tmp_path / "empty.nii.gz")
    outcome = dgst("evaluate", "--reference", ct_and_nodes[1], "--prediction", tmp_path / "empty.nii.gz")
    assert "not defined here" in outcome.out and outcome.code == 0


def test_evaluate_refuses_bad_input(refused, ct_and_nodes, tmp_path):
    ct, nodes = ct_and_nodes
    assert "does not exist" in refused("evaluate", "--reference", tmp_path / "x.nii.gz", "--prediction", nodes)
    assert "not a segmentation" in refused("evaluate", "--reference", nodes, "--prediction", ct)
    assert "not '0'" in refused("evaluate", "--reference", nodes, "--prediction", nodes, "--labels", "0")
    assert "tolerance" in refused("evaluate", "--reference", nodes, "--prediction", nodes, "--tolerance", "0")
