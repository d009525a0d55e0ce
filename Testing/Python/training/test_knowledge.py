from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import read_segmentation, write_volume
from DGSTSegmentLib.training.case import Case
from DGSTSegmentLib.training.finetune import finetune
from DGSTSegmentLib.training.knowledge import (
    BACKGROUND,
    NEAR,
    NODE,
    REJECTED,
    TRUSTED,
    UNKNOWN,
    beyond_node_density,
    knowledge_of,
    ring_around,
    settled,
)

from .conftest import StopAfter, ball, scan


@pytest.fixture
def soft_tissue_case(geometry):
    """One marked ball and one that nobody marked, in tissue as dense as a node, with a block of air and one of bone."""
    hu = np.full(geometry.shape, 40, np.int16)
    hu[:5, :8, :8], hu[:5, 20:28, :8] = -900, 700
    marked = ball(geometry, (10, 16, 16), 7.0)
    case = Case("scan", Volume(hu, geometry), Volume(marked.astype(np.uint8), geometry), "marked")
    return case, marked


def nothing(geometry):
    return np.zeros(geometry.shape, bool)


def test_a_completely_marked_scan_leaves_nothing_unknown(geometry):
    image, labels = scan(geometry, (10, 16, 16))
    knowledge = knowledge_of(Case("scan", image, labels, "all"))
    assert set(np.unique(knowledge)) == {NODE, BACKGROUND}
    np.testing.assert_array_equal(knowledge == NODE, labels.array > 0)


def test_unmarked_tissue_of_a_marked_scan_is_unknown_beyond_the_ring(soft_tissue_case, geometry):
    case, marked = soft_tissue_case
    knowledge = settled(knowledge_of(case), nothing(geometry))
    distance = ndimage.distance_transform_edt(~marked, sampling=geometry.spacing_kji)
    np.testing.assert_array_equal(knowledge == BACKGROUND, (distance > 0) & (distance <= 8.0))
    far_tissue = (distance > 8.0) & (case.image.array == 40) & ~beyond_node_density(case.image)
    assert (knowledge[far_tissue] == UNKNOWN).all() and far_tissue.any()


def test_air_and_bone_of_a_marked_scan_are_trusted_background(soft_tissue_case, geometry):
    knowledge = knowledge_of(soft_tissue_case[0])
    assert knowledge[2, 3, 3] == TRUSTED and knowledge[2, 24, 3] == TRUSTED


def test_what_a_model_calls_node_near_a_marked_one_is_unknown_and_nothing_else_changes(soft_tissue_case, geometry):
    case, marked = soft_tissue_case
    called = nothing(geometry)
    called[10, 16, 12:32] = True
    knowledge = knowledge_of(case)
    decided, near = settled(knowledge, called), knowledge == NEAR
    assert (decided[near & called] == UNKNOWN).all() and (decided[near & ~called] == BACKGROUND).all()
    assert (near & called).any() and (called & ~near & ~marked).any()
    np.testing.assert_array_equal(decided[~near], knowledge[~near])


def test_air_near_a_marked_node_is_background_whatever_a_model_says(geometry):
    image, labels = scan(geometry, (10, 16, 16))
    image.array[8:13, 16, 22] = -900
    air = beyond_node_density(image) & ring_around(labels)
    knowledge = knowledge_of(Case("scan", image, labels))
    assert air.any() and (settled(knowledge, np.ones_like(air))[air] == BACKGROUND).all()


@pytest.mark.parametrize("completeness", ["marked", "region"])
def test_rejected_findings_are_background_even_where_a_model_calls_them_node_or_no_box_is(
    soft_tissue_case, geometry, completeness
):
    case, marked = soft_tissue_case
    rejected, region = ball(geometry, (15, 6, 25), 5.0), nothing(geometry)
    region[6:14, 10:22, 10:22] = True
    case = Case(
        *(case.name, case.image, case.annotation, completeness, Volume(region, geometry)), Volume(rejected, geometry)
    )
    assert not (rejected & region).any()
    assert (settled(knowledge_of(case), rejected)[rejected] == REJECTED).all()


def test_what_is_marked_is_node_though_it_was_rejected_before(soft_tissue_case, geometry):
    case, marked = soft_tissue_case
    case = Case(case.name, case.image, case.annotation, "marked", rejected=Volume(marked, geometry))
    assert (knowledge_of(case)[marked] == NODE).all()


def test_inside_a_region_all_is_known_and_outside_nothing_but_air_and_bone(soft_tissue_case, geometry):
    case, marked = soft_tissue_case
    region = nothing(geometry)
    region[6:14, 10:22, 10:22] = True
    case = Case(case.name, case.image, case.annotation, "region", region=Volume(region, geometry))
    knowledge = knowledge_of(case)
    assert (knowledge[region & ~marked] == BACKGROUND).all()
    assert set(np.unique(knowledge[~region & ~marked])) == {UNKNOWN, TRUSTED}


def test_the_contour_of_a_marked_node_is_the_users_whatever_a_model_calls_node(soft_tissue_case, geometry):
    case, marked = soft_tissue_case
    knowledge = settled(knowledge_of(case), ~marked)
    distance = ndimage.distance_transform_edt(~marked, sampling=geometry.spacing_kji)
    rim, beyond = (distance > 0) & (distance <= 2.0), (distance > 2.0) & (distance <= 8.0)
    assert rim.any() and (knowledge[rim] == BACKGROUND).all()
    assert beyond.any() and (knowledge[beyond] == UNKNOWN).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slice_mm", [1.0, 3.0, 5.0])
def test_an_unmarked_small_node_in_fat_is_not_called_background_and_noise_in_fat_is(slice_mm, axis):
    geometry = Geometry.from_parts((16, 40, 40), (0.8, 0.8, slice_mm))
    node = ball(geometry, (8, 20, 20), 3.5)
    hu = np.where(node, 40, -100) + np.random.default_rng(0).normal(0, 25, node.shape)
    turned = np.moveaxis(hu, 0, axis)
    spacing_ijk = np.insert([0.8, 0.8], 2 - axis, slice_mm)
    image = Volume(turned.astype(np.int16), Geometry.from_parts(turned.shape, tuple(spacing_ijk)))
    trusted = np.moveaxis(beyond_node_density(image), axis, 0)
    assert trusted[node].mean() < 0.1
    assert trusted[~ndimage.binary_dilation(node, iterations=3)].mean() > 0.99


def test_density_is_judged_by_the_median_of_27_neighbours_but_for_squares_of_node_density():
    rng = np.random.default_rng(1)
    hu = rng.choice([-900, -60, -40, 50, 290, 310, 900], (12, 13, 14)).astype(np.int16)
    hu[:4] = rng.choice([-900, 50], (4, 13, 14), p=[0.5, 0.5])
    image = Volume(hu, Geometry.from_parts(hu.shape, (1.0, 1.0, 3.0)))
    median = ndimage.median_filter(hu, size=3, mode="nearest")

    def in_square(mask):
        square = np.ones((1, 3, 3))
        return ndimage.binary_dilation(ndimage.binary_erosion(mask, square, border_value=1), square)

    dark, bright = (median < -50) & ~in_square(hu >= -50), (median > 300) & ~in_square(hu <= 300)
    np.testing.assert_array_equal(beyond_node_density(image), dark | bright)
    assert (dark != (median < -50)).any()


def test_rings_of_neighbouring_nodes_do_not_cover_either(geometry):
    labels = np.zeros(geometry.shape, np.uint8)
    labels[10, 10:13, 10:13], labels[10, 10:13, 15:18] = 1, 2
    ring = ring_around(Volume(labels, geometry))
    assert not (ring & (labels > 0)).any() and ring[10, 11, 13:15].all()


@pytest.mark.parametrize("completeness", ["marked", "region", "all"])
def test_a_run_learns_from_marks_and_rejected_findings(request_for, open_cases, geometry, tmp_path, completeness):
    """The small model's voxels are the scan's, and no part of the scan has a density that no node has."""
    labels = read_segmentation(open_cases[0].annotation)
    nodes, rejected, region = labels.array > 0, ball(geometry, (6, 26, 26), 5.0), nothing(geometry)
    region[:12, :18, :20] = True
    for name, mask in (("rejected", rejected), ("region", region)):
        write_volume(labels.with_array(mask.astype(np.uint8)), tmp_path / f"{name}.nii.gz")
    files = replace(
        open_cases[0],
        completeness=completeness,
        rejected=str(tmp_path / "rejected.nii.gz"),
        region=str(tmp_path / "region.nii.gz") if completeness == "region" else None,
    )
    stop = StopAfter(1)
    finetune(request_for(cases=[files]), on_event=stop.on_event, should_stop=stop.should_stop)
    (path,) = (tmp_path / "run" / "cache").rglob("knowledge.npy")
    knowledge, rest = np.load(path), ~nodes & ~rejected
    assert (knowledge[nodes] == NODE).all() and (knowledge[rejected] == REJECTED).all()
    far = ~ball(geometry, (6, 9, 10), 20.0) & ~ball(geometry, (13, 22, 20), 20.0)
    unknown = {"marked": far, "region": ~region, "all": nothing(geometry)}[completeness]
    assert (rest & region).any() and (rest & ~region).any() and (rest & far).any()
    assert (knowledge[rest & unknown] == UNKNOWN).all()
    assert completeness == "marked" or (knowledge[rest & ~unknown] == BACKGROUND).all()
