"""Findings are paired one to one, and the counts add up over scans."""

import numpy as np
import pytest

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume, findings
from DGSTSegmentLib.imaging.matching import DetectionCounts, match, match_numbers, size_class

_GRID = Geometry.from_parts((3, 40, 60), (1, 1, 3))


def _found(*bars: tuple[int, int, int], value_each: bool = True, geometry: Geometry = _GRID) -> findings.Findings:
    """Findings that are bars of voxels along i, 1 wide: (row, first, after the last)."""
    array = np.zeros(geometry.shape, np.uint8)
    for value, (row, start, stop) in enumerate(bars, start=1):
        array[1, row, start:stop] = value if value_each else 1
    return findings.find(Volume(array, geometry), instances="values" if value_each else "components")


def _pairs(matching) -> list[tuple[int, int]]:
    return [(pair.reference.number, pair.prediction.number) for pair in matching.pairs]


def test_equal_findings_are_paired_with_an_iou_of_one():
    nodes = _found((5, 0, 10), (10, 20, 24))
    matching = match(nodes, nodes)
    assert _pairs(matching) == [(1, 1), (2, 2)]
    assert [pair.iou for pair in matching.pairs] == [1, 1]
    assert matching.missed == [] and matching.false_positives == []


def test_what_has_no_partner_is_missed_or_a_false_positive():
    matching = match(_found((5, 0, 10), (10, 20, 24)), _found((5, 0, 10), (30, 20, 24)))
    assert _pairs(matching) == [(1, 1)]
    assert [item.number for item in matching.missed] == [2]
    assert [item.number for item in matching.false_positives] == [2]


@pytest.mark.parametrize(("overlap", "paired"), [(1, False), (2, True)])
def test_a_pair_needs_an_iou_above_a_tenth(overlap, paired):
    """Bars of 1 + 10 - 1 = 10 voxels together share exactly a tenth, which is not above it."""
    reference, prediction = _found((5, 0, 1 if overlap == 1 else 2)), _found((5, 0, 10))
    assert bool(match(reference, prediction).pairs) == paired


def test_the_largest_overlap_is_paired_first():
    """The first prediction overlaps most with the first node too, but the second fits that better still."""
    reference = _found((5, 0, 10), (5, 10, 20))
    prediction = _found((5, 5, 14), (5, 0, 5))
    matching = match(reference, prediction)
    assert _pairs(matching) == [(1, 2), (2, 1)]
    assert [pair.iou for pair in matching.pairs] == pytest.approx([5 / 10, 4 / 15])


def test_one_prediction_over_two_nodes_finds_one_of_them():
    matching = match(_found((5, 0, 10), (5, 10, 16)), _found((5, 0, 16)))
    assert _pairs(matching) == [(1, 1)]
    assert [item.number for item in matching.missed] == [2]


def test_two_predictions_in_one_node_are_one_hit_and_one_false_positive():
    matching = match(_found((5, 0, 16)), _found((5, 0, 6), (5, 6, 16)))
    assert _pairs(matching) == [(1, 2)]
    assert [item.number for item in matching.false_positives] == [1]


def test_nothing_against_nothing_and_against_something():
    nothing, nodes = _found(), _found((5, 0, 10))
    assert match(nothing, nothing).counts() == DetectionCounts(1, *[{"<5": 0, "5-10": 0, ">=10": 0}] * 3)
    assert [item.number for item in match(nodes, nothing).missed] == [1]
    assert [item.number for item in match(nothing, nodes).false_positives] == [1]


def test_findings_of_another_grid_are_refused():
    shifted = Geometry.from_parts(_GRID.shape, _GRID.spacing, (1, 0, 0))
    with pytest.raises(InputError, match="different grids"):
        match(_found((5, 0, 10)), _found((5, 0, 10), geometry=shifted))


@pytest.mark.parametrize(
    ("short_axis_mm", "size"),
    [(0.1, "<5"), (4.99, "<5"), (5, "5-10"), (9.99, "5-10"), (10, ">=10"), (40, ">=10")],
)
def test_size_classes(short_axis_mm, size):
    assert size_class(short_axis_mm) == size


def _discs(*radii: int) -> findings.Findings:
    """Discs of these radii in a row, a value each; radius 0 leaves its place empty."""
    grid = Geometry.from_parts((1, 40, 160), (1, 1, 1))
    y, x = np.mgrid[:40, :160]
    array = np.zeros(grid.shape, np.uint8)
    for n, radius in enumerate(radii):
        if radius:
            array[0][(y - 20) ** 2 + (x - 20 - 40 * n) ** 2 <= radius**2] = n + 1
    return findings.find(Volume(array, grid), instances="values")


def test_recall_and_false_positives_are_counted_by_size():
    counts = match(_discs(1, 4, 9, 0), _discs(0, 4, 9, 12)).counts()
    assert dict(counts.reference) == {"<5": 1, "5-10": 1, ">=10": 1}
    assert dict(counts.found) == {"<5": 0, "5-10": 1, ">=10": 1}
    assert dict(counts.false_positives) == {"<5": 0, "5-10": 0, ">=10": 1}
    assert counts.recall() == pytest.approx(2 / 3)
    assert (counts.recall("<5"), counts.recall("5-10")) == (0, 1)


def test_counts_add_up_over_scans_with_and_without_nodes():
    with_nodes = match(_discs(1, 4, 9), _discs(0, 4, 9)).counts()
    without = match(_discs(), _discs(4)).counts()
    both = with_nodes + without + DetectionCounts()
    assert both.scans == 2
    assert both.recall() == pytest.approx(2 / 3)
    assert both.false_positives_per_scan() == pytest.approx(1 / 2)
    assert both.false_positives_per_scan(">=10") == 0
    assert without.recall() is None
    assert DetectionCounts().false_positives_per_scan() is None
    assert sum([with_nodes, without], DetectionCounts()) == both


@pytest.mark.parametrize("instances", ["auto", "values", "components"])
def test_findings_that_are_not_measured_have_the_same_numbers_and_partners(instances):
    reference, prediction = np.zeros((2, *_GRID.shape), np.uint8)
    for value, (row, start, stop) in enumerate([(5, 0, 10), (5, 10, 16), (20, 0, 6), (20, 8, 20)], start=1):
        reference[1, row, start:stop] = value  # the first two touch
    prediction[1, 5, 4:16] = prediction[1, 20, 0:9] = prediction[1, 20, 12:30:3] = prediction[1, 30, 0:4] = 1
    reference[0, 30, 50] = 2  # of a value that lies in two pieces
    volumes = Volume(reference, _GRID), Volume(prediction, _GRID)
    measured = [findings.find(volume, instances=instances) for volume in volumes]
    numbers = [findings.tell_apart(volume, instances) for volume in volumes]
    for ours, theirs in zip(numbers, measured, strict=True):
        assert np.array_equal(ours.array, theirs.instances.array) and ours.array.max() == len(theirs.items)
    pairs = match(*measured).pairs
    assert {pair.reference.number: (pair.prediction.number, pair.iou) for pair in pairs} == match_numbers(*numbers)
    assert len(pairs) > 0
