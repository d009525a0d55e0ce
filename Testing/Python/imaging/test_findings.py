"""A segmentation falls into findings, each with its own measurements."""

import csv
import json
import re

import numpy as np
import pytest

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume, finding, findings


def _labels(**boxes) -> np.ndarray:
    """A segmentation of 20 x 30 x 40 voxels: ``label_5=(k, j, i, size)`` is a cube of that label value."""
    array = np.zeros((20, 30, 40), np.uint8)
    for name, (k, j, i, size) in boxes.items():
        array[k : k + size, j : j + size, i : i + size] = int(name.split("_")[1])
    return array


@pytest.fixture
def grid(direction) -> Geometry:
    return Geometry.from_parts((20, 30, 40), (0.8, 0.8, 0.8), (10, -20, 30), direction)


def test_one_label_value_falls_into_its_components_from_large_to_small(grid):
    array = _labels(label_1=(2, 2, 2, 3)) + _labels(label_1=(10, 10, 10, 6)) + _labels(label_1=(2, 20, 30, 1))
    found = findings.find(Volume(array, grid))
    assert [item.number for item in found.items] == [1, 2, 3]
    assert [item.label for item in found.items] == [1, 1, 1]
    np.testing.assert_allclose([item.volume_ml for item in found.items], np.array([216, 27, 1]) * 0.8**3 / 1000)
    assert found.items[0].box == ((10, 16), (10, 16), (10, 16))
    np.testing.assert_allclose(found.items[0].centroid, grid.to_world([12.5, 12.5, 12.5]))
    np.testing.assert_array_equal(found.instances.array > 0, array > 0)
    assert [int((found.instances.array == n).sum()) for n in (1, 2, 3)] == [216, 27, 1]
    assert found.instances.array.dtype == np.int32 and found.instances.geometry is grid


def test_touching_nodes_with_their_own_values_stay_two(grid):
    array = _labels(label_3=(5, 5, 5, 4), label_8=(5, 5, 9, 4))
    found = findings.find(Volume(array, grid))
    assert [(item.number, item.label) for item in found.items] == [(1, 3), (2, 8)]
    assert [item.box[2] for item in found.items] == [(5, 9), (9, 13)]
    np.testing.assert_array_equal(found.instances.array == 2, array == 8)


def test_a_value_of_its_own_is_one_finding_though_it_lies_in_two_pieces(grid):
    array = _labels(label_3=(5, 5, 5, 2), label_8=(5, 5, 9, 2)) + _labels(label_3=(15, 5, 5, 2))
    assert len(findings.find(Volume(array, grid)).items) == 2
    assert len(findings.find(Volume(array, grid), instances="components").items) == 3


def test_components_never_join_different_values(grid):
    array = _labels(label_3=(5, 5, 5, 4), label_8=(5, 5, 9, 4))
    assert [item.label for item in findings.find(Volume(array, grid), instances="components").items] == [3, 8]


def test_one_value_can_be_taken_as_one_finding(grid):
    array = _labels(label_1=(2, 2, 2, 3)) + _labels(label_1=(10, 10, 10, 6))
    (only,) = findings.find(Volume(array, grid), instances="values").items
    assert only.box == ((2, 16), (2, 16), (2, 16))


def test_voxels_that_touch_by_a_corner_are_one_finding(grid):
    array = np.zeros(grid.shape, np.uint8)
    array[np.arange(5), np.arange(5), np.arange(5)] = 1
    assert len(findings.find(Volume(array, grid)).items) == 1


@pytest.mark.parametrize("corner", [(0, 0, 0), (19, 29, 39)])
def test_a_single_voxel_in_the_corner_of_the_scan_is_a_finding(grid, corner):
    array = np.zeros(grid.shape, bool)
    array[corner] = True
    (only,) = findings.find(Volume(array, grid)).items
    assert 0 < only.short_axis_mm <= only.long_axis_mm < 0.8 * np.sqrt(3)
    np.testing.assert_allclose(only.centroid, grid.to_world(corner))


@pytest.mark.parametrize("instances", ["auto", "values", "components"])
def test_an_empty_segmentation_has_no_findings(grid, instances):
    found = findings.find(Volume(np.zeros(grid.shape, np.uint8), grid), instances=instances)
    assert found.items == [] and not found.instances.array.any()


def test_large_label_values_are_no_trouble(grid):
    array = _labels(label_1=(2, 2, 2, 3), label_2=(10, 10, 10, 4)).astype(np.int64) * 1_000_000_000
    assert [item.label for item in findings.find(Volume(array, grid)).items] == [1_000_000_000, 2_000_000_000]


def test_hu_and_confidence_are_means_over_the_finding_alone(grid):
    array = _labels(label_3=(5, 5, 5, 4), label_8=(5, 5, 9, 4))
    ct = Volume(np.where(array == 3, 40, np.where(array == 8, 120, -1000)).astype(np.int16), grid)
    probability = Volume(np.where(array == 3, 0.9, 0.6).astype(np.float32), grid)
    one, other = findings.find(Volume(array, grid), ct, probability).items
    assert (one.mean_hu, other.mean_hu) == (40, 120)
    assert (one.confidence, other.confidence) == pytest.approx((0.9, 0.6))
    (unknown, _) = findings.find(Volume(array, grid)).items
    assert unknown.mean_hu is None and unknown.confidence is None


@pytest.mark.parametrize("name", ["ct", "probability"])
def test_an_image_on_another_grid_is_refused(grid, name):
    other = Volume(np.zeros((20, 30, 41), np.float32), Geometry((20, 30, 41), grid.ijk_to_world))
    with pytest.raises(InputError, match="another grid"):
        findings.find(Volume(_labels(label_1=(2, 2, 2, 3)), grid), **{name: other})


def test_what_is_no_segmentation_is_a_fault_of_the_caller(grid):
    with pytest.raises(ValueError, match="integers"):
        findings.find(Volume(np.zeros(grid.shape, np.float32), grid))
    with pytest.raises(ValueError, match="auto, values or components"):
        findings.find(Volume(np.zeros(grid.shape, np.uint8), grid), instances="some")


def test_the_table_names_its_units_and_reads_back(grid, tmp_path):
    array = _labels(label_3=(5, 5, 5, 4), label_8=(5, 5, 9, 2))
    ct = Volume(np.full(array.shape, 55, np.int16), grid)
    found = findings.find(Volume(array, grid), ct)
    finding.write_csv(found.items, tmp_path / "findings.csv")
    with open(tmp_path / "findings.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == finding.CSV_COLUMNS
    assert [(row["number"], row["label"]) for row in rows] == [("1", "3"), ("2", "8")]
    world = [float(rows[1][f"centroid_{axis}_lps_mm"]) for axis in "xyz"]
    np.testing.assert_allclose(world, grid.to_world([5.5, 5.5, 9.5]), atol=1e-3)
    assert float(rows[0]["short_axis_mm"]) == pytest.approx(found.items[0].short_axis_mm, abs=1e-3)
    assert (rows[0]["mean_hu"], rows[0]["confidence"]) == ("55.000", "")


def test_a_finding_survives_its_way_through_json(grid):
    found = findings.find(Volume(_labels(label_3=(5, 5, 5, 4), label_8=(5, 5, 9, 2)), grid)).items
    assert [finding.Finding.from_json(json.loads(json.dumps(item.to_json()))) for item in found] == found


def test_a_finding_that_is_described_wrongly_is_refused_in_a_sentence(grid):
    described = findings.find(Volume(_labels(label_3=(5, 5, 5, 4)), grid)).items[0].to_json()
    for broken in ({**described, "volume_ml": "much"}, {k: v for k, v in described.items() if k != "box_kji"}):
        with pytest.raises(InputError, match="described wrongly"):
            finding.Finding.from_json(broken)


def test_no_findings_make_a_table_of_its_header(grid, tmp_path):
    finding.write_csv([], tmp_path / "findings.csv")
    assert (tmp_path / "findings.csv").read_text().splitlines() == [",".join(finding.CSV_COLUMNS)]


def test_a_table_of_that_name_is_separated_by_tabs(tmp_path):
    finding.write_csv([], tmp_path / "findings.tsv")
    assert (tmp_path / "findings.tsv").read_text() == "\t".join(finding.CSV_COLUMNS) + "\n"


def test_a_table_that_cannot_be_written_is_said(grid, tmp_path):
    found = findings.find(Volume(_labels(label_3=(5, 5, 5, 4)), grid))
    with pytest.raises(InputError, match="could not be written"):
        finding.write_csv(found.items, tmp_path / "nowhere" / "findings.csv")


def test_every_finding_of_a_crowded_large_scan_is_told_apart():
    array = np.zeros((150, 512, 512), np.uint8)
    ball = (np.mgrid[-5:6, -6:7, -6:7] ** 2).sum(axis=0) <= 30
    rows = [(k, j, i) for k in (20, 60, 100, 130) for j in range(40, 490, 64) for i in range(40, 490, 64)][:200]
    for k, j, i in rows:
        array[k : k + 11, j : j + 13, i : i + 13] |= ball
    ct = np.zeros(array.shape, np.int16)
    grid = Geometry.from_parts(array.shape, (0.8, 0.8, 1.0))
    found = findings.find(Volume(array, grid), Volume(ct, grid))
    assert len(found.items) == 200
    assert len({item.volume_ml for item in found.items}) == 1


@pytest.mark.parametrize(
    ("values", "names", "said"),
    [
        ((1, 1, 1), {}, None),
        ((1, 2, 3), {}, None),
        ((1, 2, 7), {}, "values 1, 2, 7 are"),
        ((1, 2, 1), {}, "values 1, 2 are"),
        ((1, 2, 7), {1: "a", 2: "b", 7: "c"}, None),
        ((1, 2, 1), {1: "nodes", 2: "liver"}, r"values 1 \(nodes\), 2 \(liver\) are"),
        ((1, 2, 1), {1: "Node 1", 2: "Node 2"}, None),
    ],
)
def test_values_that_may_not_all_be_nodes_are_named(values, names, said):
    array = np.zeros((5, 5, 15), np.uint8)
    array[2, 2, 2], array[2, 2, 7], array[2, 2, 12] = values
    note = findings.note_on_values(Volume(array, Geometry(array.shape, np.eye(4))), names)
    assert note is None if said is None else re.match(said, note)


def test_of_many_values_a_few_are_named():
    array = np.arange(0, 40, 2, dtype=np.uint8).reshape(1, 1, 20)
    note = findings.note_on_values(Volume(array, Geometry(array.shape, np.eye(4))))
    assert note == "values 2, 4, 6, 8, 10, 12, 14, 16 and 11 more are all taken as lymph nodes"
