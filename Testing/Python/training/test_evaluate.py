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
