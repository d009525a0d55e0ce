"""What a row's numbers are: by hand where a segmentation is known, and of the scans and cases that they should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from quality import work as work_module
from quality.measures import measure, quantities_of
from quality.work import work
from scipy import ndimage

from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.training.knowledge import NODE
from DGSTSegmentLib.training.predict import Prediction

SHAPE = (16, 24, 24)
GEOMETRY = Geometry.from_parts(SHAPE, (1.0, 1.0, 1.0))


def cubes(*corners) -> np.ndarray:
    """Label 1 in cubes of 4 x 4 x 4 voxels of 1 mm."""
    labels = np.zeros(SHAPE, np.uint8)
    for k, j, i in corners:
        labels[k : k + 4, j : j + 4, i : i + 4] = 1
    return labels


@dataclass(frozen=True)
class CubeScan:
    """A CT of its nodes' voxels, so that nothing but the scan says where they are."""

    name: str
    nodes: np.ndarray

    def read(self) -> tuple[Volume, Volume]:
        return Volume(self.nodes.astype(np.int16), GEOMETRY), Volume(self.nodes, GEOMETRY)


class Saying:
    """A predictor that says of each scan what it was given for it."""

    def __init__(self, **said):
        self.said = said

    def segment(self, volume, name):
        return Prediction(volume.with_array(self.said[name]), None)


TWO_NODES = CubeScan("two", cubes((4, 4, 4), (4, 14, 14)))
EMPTY = CubeScan("empty", cubes())


def test_findings_and_overlaps_are_those_counted_by_hand_and_a_scan_without_nodes_has_no_dice():
    # One node is found a voxel beside its place, the other is missed; where no node is, three are seen.
    predictor = Saying(two=cubes((4, 4, 5)), empty=cubes((2, 2, 2), (2, 2, 14), (2, 14, 2)))

    found = measure(predictor, [TWO_NODES, EMPTY])

    assert found["scans"] == ["two", "empty"]
    # 48 of its 64 voxels lie on the 128 of the nodes; all its surface and that of one node is within 2 mm.
    assert found["dice"] == [0.5, None]
    assert found["surface_dice"] == [pytest.approx(2 / 3, abs=1e-5), None]
    detection = found["detection"]
    assert (detection["scans"], detection["recall"], detection["false_positives_per_scan"]) == (2, 0.5, 1.5)
    assert {
        name: sum(of[name] for of in detection["by_short_axis_mm"].values()) for name in ("reference", "found")
    } == {"reference": 2, "found": 1}


def test_an_empty_scan_of_which_nothing_is_said_adds_to_no_mean_but_that_of_false_positives():
    measured = measure(Saying(two=cubes((4, 4, 4)), empty=cubes()), [TWO_NODES, EMPTY])

    row = {"target": measured, "source": measure(Saying(empty=cubes()), [EMPTY]), "weights_changed": 0, "seconds": {}}
    numbers = quantities_of(row)
    assert (numbers["target_dice"], numbers["source_dice"]) == (pytest.approx(128 / 192, abs=1e-5), None)
    assert (numbers["recall"], numbers["false_positives"]) == (0.5, 0.0)


def test_no_scan_is_not_measured():
    assert measure(Saying(), []) is None


def test_a_rows_target_and_source_are_the_scans_of_its_stages_domains(small_benchmark, entrant):
    benchmark = small_benchmark(entrant("full"), draws=1, many_draws=1)

    work(benchmark)

    seen = {
        (row["strategy"], row["stage"]): (row["target"]["scans"], row["source"]["scans"])
        for row in benchmark.rows.read().values()
        if "target" in row
    }
    choosing, testing = (["balls 20"], ["balls 30"]), (["balls 40"], ["balls 50"])
    assert seen == {
        ("before", "choose"): choosing,
        ("full", "choose"): choosing,
        ("before", "test"): testing,
        ("full", "test"): testing,
    }


@pytest.mark.parametrize(("completeness", "marked"), [("all", 2), ("marked", 1)])
def test_what_is_learned_from_is_annotated_as_completeness_says(
    small_benchmark, entrant, monkeypatch, completeness, marked
):
    learned_from, honest = [], work_module.tune

    def kept(entrant, configuration, model, cases, *given, **options):
        learned_from.extend(cases)
        return honest(entrant, configuration, model, cases, *given, **options)

    monkeypatch.setattr(work_module, "tune", kept)
    work(small_benchmark(entrant("full"), completeness=(completeness,), draws=0, many_draws=0))

    assert len(learned_from) == 2
    for case in learned_from:
        _, balls = ndimage.label(np.asarray(case.knowledge) == NODE)
        assert balls == marked, "each scan has two balls, and one is marked"
        assert case.leaves_open == (completeness == "marked")
