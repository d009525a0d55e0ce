"""Both painters put anatomy and segmentation where the patient is, whatever the grid."""

from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.views.exchange import read_painted
from DGSTSegmentLib.views.picture import BLUE
from DGSTSegmentLib.views.pictures import ask_slicer, paint_plainly, shows_the_ct

from .conftest import DIRECTIONS, NODE_CENTER, NODE_MM, centroid, colored, patient_on, picture_of, slices_of

PAINTERS = ["plain", "slicer"]


@pytest.fixture(scope="module")
def drawings():
    """Per direction: the picture without and with its segmentation."""
    patients = {name: patient_on(direction) for name, direction in DIRECTIONS.items()}
    return {
        name: (slices_of(picture_of(ct, None)), slices_of(picture_of(ct, node)))
        for name, (ct, node) in patients.items()
    }


@pytest.fixture(scope="module")
def plain(drawings):
    return {name: tuple(paint_plainly(drawing) for drawing in pair) for name, pair in drawings.items()}


@pytest.fixture(scope="module")
def slicer(drawings, slicer_can_draw, tmp_path_factory):
    """All of them drawn by one child process."""
    folder = tmp_path_factory.mktemp("slicer")
    orders = [drawing.order for pair in drawings.values() for drawing in pair]
    assert ask_slicer(folder, orders, patience_s=240) is None
    painted = [read_painted(folder, n, order) for n, order in enumerate(orders)]
    return {name: (painted[2 * n], painted[2 * n + 1]) for n, name in enumerate(drawings)}


@pytest.fixture(params=PAINTERS)
def painted(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_segmentation_lies_over_what_was_segmented(painted, drawings, direction):
    bare, marked = painted[direction]
    for panel in drawings[direction][0].order.panels:
        bright = bare[panel.name].mean(axis=-1) > 200
        drawn = colored(marked[panel.name])
        assert np.linalg.norm(centroid(bright) - centroid(drawn)) < 1.5, panel.name
        assert (bright & drawn).sum() / (bright | drawn).sum() > 0.8, panel.name


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_patient_is_shown_in_radiological_convention(painted, drawings, direction):
    """The node lies left, in front and towards the head: on the right and above, and sagittally left and above."""
    sides = {"axial": (+1, -1), "coronal": (+1, -1), "sagittal": (-1, -1)}
    for panel in drawings[direction][0].order.panels:
        bare = painted[direction][0][panel.name].mean(axis=-1)
        away_from_body = centroid(bare > 200) - centroid(bare > 60)
        assert tuple(np.sign(away_from_body)) == sides[panel.name], panel.name


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_lengths_in_the_picture_are_those_in_the_patient(painted, drawings, direction):
    for panel in drawings[direction][0].order.panels:
        bright = painted[direction][0][panel.name].mean(axis=-1) > 150
        area_mm2 = bright.sum() * panel.mm_per_pixel**2
        assert area_mm2 == pytest.approx(np.pi * NODE_MM**2, rel=0.12), panel.name
        assert np.linalg.norm(centroid(bright) - panel.to_pixel(NODE_CENTER)) * panel.mm_per_pixel < 1.5, panel.name


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_slicer_and_the_plain_painter_draw_the_same_slices(slicer, plain, drawings, direction):
    for panel in drawings[direction][0].order.panels:
        difference = slicer[direction][1][panel.name].astype(float) - plain[direction][1][panel.name]
        assert np.abs(difference).mean() < 6, panel.name


def test_what_a_broken_driver_hands_back_is_not_taken_for_the_ct(drawings, plain):
    _, drawing = drawings["oblique"]
    right = plain["oblique"][1]
    assert shows_the_ct(drawing, right)
    noise = np.random.default_rng(0).integers(0, 256, right["axial"].shape, dtype=np.uint8)
    assert not shows_the_ct(drawing, {**right, "axial": noise})
    assert not shows_the_ct(drawing, {**right, "axial": np.zeros_like(right["axial"])})
    assert not shows_the_ct(drawing, {**right, "axial": np.roll(right["axial"], 40, axis=1)})


def test_touching_objects_keep_edges_of_their_own():
    ct, node = patient_on(np.eye(3))
    i = np.arange(node.array.shape[2])
    world_x = node.geometry.to_world(np.stack([0 * i, 0 * i, i], axis=-1))[:, 0]
    halves = node.with_array(node.array * np.where(world_x < NODE_CENTER[0], 1, 2).astype(np.uint8))

    def edge_pixels(segmentation):
        axial = paint_plainly(slices_of(picture_of(ct, segmentation)))["axial"]
        return (np.abs(axial.astype(int) - BLUE).max(axis=-1) < 8).sum()

    assert edge_pixels(halves) > 1.15 * edge_pixels(node)
