import numpy as np
import pytest

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.training.evaluate import evaluate

GEOMETRY = Geometry.from_parts((30, 60, 70), (1.0, 1.0, 2.0))


def block(*boxes):
    array = np.zeros(GEOMETRY.shape, np.uint8)
    for value, (k, j, i) in enumerate(boxes, start=1):
        array[slice(*k), slice(*j), slice(*i)] = value
    return Volume(array, GEOMETRY)


CUBE = ((5, 15), (10, 30), (10, 30))


def test_a_perfect_prediction_is_perfect():
    result = evaluate(block(CUBE), block(CUBE))
    assert (result.dice, result.surface_dice, result.assd_mm) == (1.0, 1.0, 0.0)
    assert result.detection.recall() == 1 and result.detection.false_positives_per_scan() == 0
    assert result.reference_ml == result.prediction_ml == pytest.approx(10 * 20 * 20 * 2 / 1000)


def test_a_shifted_block_has_the_overlap_and_surface_distance_of_geometry():
    shifted = block(((5, 15), (10, 30), (14, 34)))
    result = evaluate(block(CUBE), shifted)
    assert result.dice == pytest.approx(16 / 20)
    assert 0 < result.assd_mm < 4.0 and 0 < result.surface_dice < 1


def _points_on(low: np.ndarray, high: np.ndarray, step: float = 0.5) -> np.ndarray:
    """Points (n, 3) evenly spread over the six faces of a box (mm)."""
    faces = []
    for axis in range(3):
        sides = [np.arange(low[a] + step / 2, high[a], step) for a in range(3) if a != axis]
        inside = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
        faces += [np.insert(inside, axis, end[axis], axis=1) for end in (low, high)]
    return np.concatenate(faces)


def _distances(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """From each point to the surface of a box (mm)."""
    beyond = np.maximum(low - points, points - high)
    outside = np.linalg.norm(np.maximum(beyond, 0), axis=1)
    return np.where((beyond > 0).any(axis=1), outside, -beyond.max(axis=1))


def _moved(spacing_kji, low, high, move):
    """What is measured of a box of voxels that was moved, and the distances between both surfaces by geometry."""
    grid = Geometry.from_parts(tuple(np.add(high, move) + 2), spacing_kji[::-1])
    boxes = [np.array([low, high]), np.array([low, high]) + move]
    masks = [np.zeros(grid.shape, np.uint8) for _ in boxes]
    for mask, (first, end) in zip(masks, boxes, strict=True):
        mask[tuple(map(slice, first, end))] = 1
    one, other = (box * np.asarray(spacing_kji) for box in boxes)
    between = np.concatenate([_distances(_points_on(*one), *other), _distances(_points_on(*other), *one)])
    return evaluate(*(Volume(mask, grid) for mask in masks), tolerance_mm=2.0), between


@pytest.mark.parametrize("move", [(1, 0, 0), (2, 0, 0), (0, 1, 0), (0, 0, 4), (0, 4, 4), (1, 2, 0)])
@pytest.mark.parametrize("slices", [3, 12])
def test_the_surface_dice_of_a_moved_block_is_the_share_of_area_within_the_tolerance(move, slices):
    """In slices of 5 mm with pixels of 0.7 mm, where a slice is further away than the tolerance and a pixel is not."""
    result, between = _moved((5.0, 0.7, 0.7), (2, 5, 5), (2 + slices, 45, 45), move)
    assert result.surface_dice == pytest.approx((between <= 2).mean(), abs=0.02)
    assert (result.surface_dice == 1) == (move == (0, 1, 0))


@pytest.mark.parametrize("move", [(1, 0, 0), (4, 0, 0), (0, 4, 0), (0, 6, 6), (3, 3, 3)])
def test_the_surface_distance_of_a_moved_block_is_the_mean_over_both_surfaces(move):
    result, between = _moved((1.0, 1.0, 1.0), (2, 5, 5), (22, 35, 35), move)
    assert result.assd_mm == pytest.approx(between.mean(), rel=0.03)


def test_a_thin_shell_within_the_tolerance_costs_no_surface_dice():
    larger = block(((5, 15), (9, 31), (9, 31)))
    assert evaluate(block(CUBE), larger, tolerance_mm=2.0).surface_dice == pytest.approx(1.0)
    assert evaluate(block(CUBE), larger, tolerance_mm=0.5).surface_dice < 0.7


def test_spacing_counts_in_surface_distances():
    """One voxel along k is 2 mm here, one along i is 1 mm."""
    along_k = evaluate(block(CUBE), block(((6, 16), (10, 30), (10, 30)))).assd_mm
    along_i = evaluate(block(CUBE), block(((5, 15), (10, 30), (11, 31)))).assd_mm
    assert along_k > along_i


def test_an_empty_scan_rightly_found_empty_is_perfect_and_has_no_distance():
    result = evaluate(block(), block())
    assert (result.dice, result.surface_dice, result.assd_mm) == (1.0, 1.0, None)
    assert result.detection.recall() is None


@pytest.mark.parametrize(("reference", "prediction"), [((CUBE,), ()), ((), (CUBE,))])
def test_one_empty_side_scores_nothing(reference, prediction):
    result = evaluate(block(*reference), block(*prediction))
    assert (result.dice, result.surface_dice, result.assd_mm) == (0.0, 0.0, None)


def test_findings_are_counted_by_size():
    small, far = ((20, 22), (40, 43), (50, 53)), ((20, 22), (5, 8), (60, 63))
    counts = evaluate(block(CUBE, small), block(CUBE, far)).to_json()["detection"]
    assert counts["by_short_axis_mm"][">=10"] == {"reference": 1, "found": 1, "false_positives": 0}
    assert counts["by_short_axis_mm"]["<5"] == {"reference": 1, "found": 0, "false_positives": 1}
    assert counts["recall"] == 0.5


def test_other_grids_are_refused():
    other = Volume(np.zeros((30, 60, 70), np.uint8), Geometry.from_parts((30, 60, 70), (1, 1, 3)))
    with pytest.raises(InputError, match="different grids"):
        evaluate(block(CUBE), other)
