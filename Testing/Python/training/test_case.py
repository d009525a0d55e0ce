import json

import numpy as np
import pytest

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import write_volume
from DGSTSegmentLib.imaging.orientation import in_axis_order_of
from DGSTSegmentLib.training.case import Case, boxes_mask, parse_boxes, read_case
from DGSTSegmentLib.training.case_files import CaseFiles, told_apart
from DGSTSegmentLib.training.holdout import with_twins
from DGSTSegmentLib.training.knowledge import UNKNOWN, knowledge_of

from .conftest import scan


@pytest.fixture
def files(geometry, tmp_path):
    image, labels = scan(geometry, (6, 9, 10), (13, 22, 20))
    write_volume(image, tmp_path / "ct.nii.gz")
    write_volume(labels, tmp_path / "nodes.nii.gz")
    return {"image": str(tmp_path / "ct.nii.gz"), "annotation": str(tmp_path / "nodes.nii.gz")}


def world_box(geometry, low_kji, high_kji):
    corners = np.concatenate([geometry.to_world(np.array(low_kji)), geometry.to_world(np.array(high_kji))])
    return " ".join(str(x) for x in corners)


def test_nothing_is_assumed_beyond_what_is_marked(files):
    case = read_case(CaseFiles(**files))
    assert case.completeness == "marked" and case.region is None and case.rejected is None
    assert sorted(np.unique(case.annotation.array)) == [0, 1, 2]


def test_what_the_models_data_set_calls_ignore_is_unknown_and_that_is_said(files, geometry):
    case = read_case(CaseFiles(**files, completeness="all"), ignore=2)
    nodes = scan(geometry, (6, 9, 10), (13, 22, 20))[1].array
    np.testing.assert_array_equal(case.annotation.array, nodes * (nodes == 1))
    np.testing.assert_array_equal(knowledge_of(case) == UNKNOWN, nodes == 2)
    assert "nodes.nii.gz: value 2 is left unknown" in case.notes[0] and len(case.notes) == 1
    assert case.fingerprint != read_case(CaseFiles(**files, completeness="all")).fingerprint


@pytest.mark.parametrize(("ignore", "labels"), [(1, None), (3, None), (2, (1, 2))])
def test_nodes_that_are_numbered_or_chosen_are_not_taken_for_the_ignore_label(files, ignore, labels):
    case = read_case(CaseFiles(**files, labels=labels), ignore=ignore)
    assert case.unknown is None and set(np.unique(case.annotation.array)) == {0, 1, 2} and not case.notes


def test_a_segment_that_the_file_names_is_no_ignore_label(files, geometry, tmp_path):
    labels = scan(geometry, (6, 9, 10), (13, 22, 20))[1]
    write_volume(labels, tmp_path / "n.seg.nrrd", {1: "Lymph node 1", 2: "Lymph node 2"})
    case = read_case(CaseFiles(files["image"], str(tmp_path / "n.seg.nrrd")), ignore=2)
    assert case.unknown is None and not case.notes


def test_values_that_may_be_something_else_are_named_and_those_that_are_chosen_are_nodes(files, geometry, tmp_path):
    labels = scan(geometry, (6, 9, 10), (13, 22, 20))[1]
    labels.array[labels.array == 2] = 7
    write_volume(labels, tmp_path / "nodes.nii.gz")
    (note,) = read_case(CaseFiles(**files)).notes
    assert "nodes.nii.gz: values 1, 7 are all taken as lymph nodes" in note
    chosen = read_case(CaseFiles(**files, labels=(7,)))
    assert set(np.unique(chosen.annotation.array)) == {0, 7} and not chosen.notes
    with pytest.raises(InputError, match=r"nodes.nii.gz marks no voxel of the labels 2 3; mark"):
        read_case(CaseFiles(**files, labels=(2, 3)))


def test_labels_come_back_from_plain_values_as_they_were(files):
    case = CaseFiles(**files, labels=(1, 2))
    assert CaseFiles.from_json(json.loads(json.dumps(case.to_json()))) == case
    assert CaseFiles.from_json({**files, "labels": "2, 1"}) == case
    with pytest.raises(InputError, match="whole numbers above 0"):
        CaseFiles.from_json({**files, "labels": [0]})


def test_an_empty_annotation_is_refused(files, geometry, tmp_path):
    write_volume(Volume(np.zeros(geometry.shape, np.uint8), geometry), tmp_path / "nodes.nii.gz")
    with pytest.raises(InputError, match=r"nodes.nii.gz marks no voxel; mark at least one lymph node"):
        read_case(CaseFiles(**files))


def test_an_empty_annotation_of_a_completely_marked_scan_is_a_scan_without_nodes(files, geometry, tmp_path):
    write_volume(Volume(np.zeros(geometry.shape, np.uint8), geometry), tmp_path / "nodes.nii.gz")
    case = read_case(CaseFiles(**files, completeness="all"))
    assert not case.annotation.array.any() and "without lymph nodes" in case.notes[0]


def test_an_annotation_on_another_grid_of_the_same_space_is_resampled_and_that_is_said(files, geometry, tmp_path):
    finer = Geometry.from_parts((40, 64, 64), (1.0, 1.0, 1.5), geometry.to_world(np.array([-0.25, -0.25, -0.25])))
    _, labels = scan(finer, (12, 18, 20))
    write_volume(labels, tmp_path / "nodes.nii.gz")
    case = read_case(CaseFiles(**files))
    assert case.annotation.geometry.same_grid(case.image.geometry)
    center = np.argwhere(case.annotation.array > 0).mean(0)
    np.testing.assert_allclose(geometry.to_world(center), finer.to_world(np.array([12, 18, 20])), atol=1.0)
    assert "another grid" in case.notes[0]


def test_an_annotation_somewhere_else_is_refused(files, geometry, tmp_path):
    far = Geometry.from_parts(geometry.shape, geometry.spacing, (900.0, 900.0, 900.0))
    write_volume(scan(far, (6, 9, 10))[1], tmp_path / "nodes.nii.gz")
    with pytest.raises(InputError, match="does not lie where the image lies"):
        read_case(CaseFiles(**files))


def test_a_region_holds_the_voxels_inside_its_boxes(files, geometry):
    boxes = f"{world_box(geometry, (4, 5, 6), (8, 14, 15))}; {world_box(geometry, (12, 20, 18), (14, 24, 22))}"
    case = read_case(CaseFiles(**files, completeness="region", region=boxes))
    expected = np.zeros(geometry.shape, bool)
    expected[4:9, 5:15, 6:16], expected[12:15, 20:25, 18:23] = True, True
    np.testing.assert_array_equal(case.region.array, expected)


def test_a_region_may_be_a_mask_file(files, geometry, tmp_path):
    mask = np.zeros(geometry.shape, np.uint8)
    mask[3:9, 4:16, 4:16] = 7
    write_volume(Volume(mask, geometry), tmp_path / "region.nii.gz")
    case = read_case(CaseFiles(**files, completeness="region", region=str(tmp_path / "region.nii.gz")))
    np.testing.assert_array_equal(case.region.array, mask > 0)


def test_a_region_without_any_annotation_in_it_is_refused(files, geometry):
    with pytest.raises(InputError, match="contains no annotation; move it over the marked nodes"):
        read_case(CaseFiles(**files, completeness="region", region=world_box(geometry, (0, 0, 25), (2, 3, 30))))


def test_a_region_without_lymph_nodes_is_a_case_of_its_own(files, geometry, tmp_path):
    write_volume(Volume(np.zeros(geometry.shape, np.uint8), geometry), tmp_path / "nodes.nii.gz")
    box = world_box(geometry, (0, 0, 25), (2, 3, 30))
    case = read_case(CaseFiles(**files, completeness="region", region=box))
    assert case.region.array.any() and any("a region without lymph nodes" in note for note in case.notes)


def test_a_region_beside_the_scan_is_refused(files):
    with pytest.raises(InputError, match="contains no voxel of the scan"):
        read_case(CaseFiles(**files, completeness="region", region="900 900 900 990 990 990"))


def test_region_needs_a_region(files):
    with pytest.raises(InputError, match="marked within a region, but none is given"):
        read_case(CaseFiles(**files, completeness="region"))


def test_cases_of_one_file_name_are_told_apart_by_their_folders_and_else_by_a_number():
    images = ["a/p0/ct.nii", "a/p1/ct.nii", "b/p1/ct.nii", "b/p1/ct.nii", "c/other.nii"]
    cases = [CaseFiles(image, "nodes.nii") for image in images]
    titles = [case.title for case in told_apart([*cases, CaseFiles("d/ct.nii", "nodes.nii", name="mine")])]
    assert titles == ["p0/ct.nii", "a/p1/ct.nii", "b/p1/ct.nii", "b/p1/ct.nii (2)", "other.nii", "mine"]
    assert told_apart(cases[:1]) == cases[:1]


@pytest.mark.parametrize("text", ["1 2 3 4 5 6;", "1 2 3 4 5 6 ; "])
def test_boxes_may_end_with_what_separates_them(text):
    np.testing.assert_array_equal(parse_boxes(text), [[[1, 2, 3], [4, 5, 6]]])


@pytest.mark.parametrize("missing", ["image", "annotation"])
@pytest.mark.parametrize("how", ["left out", "null"])
def test_a_case_that_names_no_image_or_annotation_is_refused(files, missing, how):
    fields = {name: path for name, path in files.items() if name != missing} | (
        {} if how == "left out" else {missing: None}
    )
    with pytest.raises(InputError, match=f"names no {missing}; a case is a CT and its annotation"):
        CaseFiles.from_json(fields)


@pytest.mark.parametrize("text", ["1 2 3", "1 2 3 4 5 6 7", "1 2 3 4 5 nan", ";", "1 2 3 4 5 6;;1 2 3 4 5 6"])
def test_boxes_are_six_numbers(text):
    with pytest.raises(InputError, match="six numbers x0 y0 z0 x1 y1 z1"):
        parse_boxes(text)


def test_corners_of_a_box_may_come_in_any_order_and_on_any_grid():
    oblique = Geometry.from_parts((6, 7, 8), (1, 2, 3), direction=[[0, 0, -1], [1, 0, 0], [0, 1, 0]])
    volume = Volume(np.zeros((6, 7, 8), np.int16), oblique)
    corners = oblique.to_world(np.array([[4, 5, 6], [1, 2, 3]]))
    boxes = parse_boxes(" ".join(str(x) for x in corners.ravel()))
    expected = np.zeros((6, 7, 8), bool)
    expected[1:5, 2:6, 3:7] = True
    np.testing.assert_array_equal(boxes_mask(boxes + [[[-1e-6], [1e-6]]], volume).array, expected)


def test_boxes_on_an_oblique_grid_hold_the_voxels_whose_centres_lie_in_them():
    turn = np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, -1]])
    oblique = Geometry.from_parts((9, 14, 15), (1, 2, 3), (5.0, -3.0, 8.0), turn)
    rng = np.random.default_rng(0)
    world = oblique.to_world(np.stack(np.mgrid[:9, :14, :15], axis=-1))
    for _ in range(20):
        boxes = np.sort(rng.uniform(world.min((0, 1, 2)) - 5, world.max((0, 1, 2)) + 5, (2, 2, 3)), axis=1)
        expected = np.logical_or.reduce([((world >= a) & (world <= b)).all(axis=-1) for a, b in boxes])
        found = boxes_mask(boxes, Volume(np.zeros((9, 14, 15), np.int16), oblique)).array
        np.testing.assert_array_equal(found, expected)


def test_one_scan_is_known_again_in_another_file_format(files, geometry, tmp_path):
    image, _ = scan(geometry, (6, 9, 10), (13, 22, 20))
    write_volume(image.with_array(image.array.astype(np.float32)), tmp_path / "ct.nrrd")
    one, other = read_case(CaseFiles(**files)), read_case(CaseFiles(**{**files, "image": str(tmp_path / "ct.nrrd")}))
    assert one.image_fingerprints == other.image_fingerprints
    changed = image.array.copy()
    changed[3, 4, 5] += 1
    write_volume(image.with_array(changed), tmp_path / "ct.nrrd")
    other = read_case(CaseFiles(**{**files, "image": str(tmp_path / "ct.nrrd")}))
    assert not one.image_fingerprints & other.image_fingerprints


@pytest.mark.parametrize("directions_are_kept", [True, False])
def test_a_scan_in_another_axis_order_or_without_its_directions_is_a_twin(geometry, directions_are_kept):
    image, labels = scan(geometry, (6, 9, 10), (13, 22, 20))
    turned = Geometry(
        tuple(geometry.shape[axis] for axis in (2, 0, 1)),
        geometry.ijk_to_world @ np.array([[0, 0, -1, geometry.shape[2] - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]),
    )
    stored = in_axis_order_of(image, turned)
    placed = stored if directions_are_kept else Volume(stored.array, Geometry.from_parts(turned.shape, turned.spacing))
    original = image if directions_are_kept else stored
    one, other = (Case(name, volume, labels) for name, volume in (("one", original), ("other", placed)))
    held = with_twins([0], [one.image_fingerprints, other.image_fingerprints])
    assert held == [0, 1]


def test_a_picture_like_image_is_noted_not_refused(files, geometry, tmp_path):
    write_volume(
        Volume(np.full(geometry.shape, 100, np.uint8) + (np.arange(32) % 2).astype(np.uint8), geometry),
        tmp_path / "ct.nii.gz",
    )
    assert any("not as HU" in note for note in read_case(CaseFiles(**files)).notes)


def test_an_unknown_completeness_is_refused(files):
    with pytest.raises(InputError, match="completeness must be one of marked, region, all, not 'most'"):
        read_case(CaseFiles(**files, completeness="most"))
