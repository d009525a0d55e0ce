from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from DGSTSegmentLib.imaging.geometry import Geometry
from DGSTSegmentLib.imaging.orientation import in_axis_order_of, to_lps_order
from DGSTSegmentLib.imaging.volume import Volume
from DGSTSegmentLib.networks.plan import Plan
from DGSTSegmentLib.networks.preprocessing import prepare, prepare_every_label, prepare_labels, restore_scores

PLAN = Plan((2.0, 1.5, 1.5), (8, 8, 8), lower=-100.0, upper=300.0, mean=40.0, std=80.0)
OBLIQUE = np.linalg.qr(np.array([[1.0, 0.2, -0.1], [-0.2, 1.0, 0.15], [0.1, -0.1, 1.0]]))[0]
OBLIQUE *= np.sign(np.diag(OBLIQUE))


def smooth_ct(shape=(14, 20, 18), spacing=(1.0, 1.2, 2.5), direction=None, seed=0) -> Volume:
    noise = np.random.default_rng(seed).normal(size=shape)
    hu = ndimage.gaussian_filter(noise, 2) * 1500 + 50
    return Volume(hu.round().astype(np.int16), Geometry.from_parts(shape, spacing, (-30.0, 20.0, 700.0), direction))


def stored_as(volume: Volume, order: tuple[int, ...], signs: tuple[int, ...]) -> Volume:
    """The same scan with index axes (i, j, k) reordered and reversed."""
    change = np.zeros((4, 4))
    change[3, 3] = 1
    sizes = np.array(volume.array.shape[::-1])
    for new, (old, sign) in enumerate(zip(order, signs, strict=True)):
        change[old, new] = sign
        change[old, 3] = 0 if sign > 0 else sizes[old] - 1
    shape = tuple(int(sizes[old]) for old in order)[::-1]
    return in_axis_order_of(volume, Geometry(shape, volume.geometry.ijk_to_world @ change))


def by_hand(volume: Volume, plan: Plan) -> np.ndarray:
    """nnU-Net's steps written down plainly for a CT in LPS order: crop, clip, scale, zoom by scipy in 3D."""
    hu = volume.array.astype(np.float64)
    nonzero = np.argwhere(hu != 0)
    hu = hu[tuple(slice(low, high + 1) for low, high in zip(nonzero.min(0), nonzero.max(0), strict=True))]
    scaled = (np.clip(hu, plan.lower, plan.upper) - plan.mean) / plan.std
    shape = [round(a / b * n) for a, b, n in zip(volume.geometry.spacing_kji, plan.spacing_kji, hu.shape, strict=True)]
    zoomed = ndimage.zoom(scaled, np.array(shape) / hu.shape, order=3, mode="nearest", grid_mode=True)
    return np.clip(zoomed, scaled.min(), scaled.max())


def test_a_ct_comes_out_as_nnunets_steps_by_hand():
    volume = smooth_ct()
    prepared = prepare(volume, PLAN)
    assert prepared.array.dtype == np.float32 and prepared.array.shape[0] == 1
    np.testing.assert_allclose(prepared.array[0], by_hand(volume, PLAN), atol=2e-5)


def test_a_border_of_zeros_is_left_out_and_comes_back_as_certain_background():
    volume = smooth_ct()
    array = volume.array.copy()
    array[:3], array[:, -2:], array[..., :4] = 0, 0, 0
    volume = volume.with_array(array)
    prepared = prepare(volume, PLAN)
    np.testing.assert_allclose(prepared.array[0], by_hand(volume, PLAN), atol=2e-5)
    scores = np.stack([np.full(prepared.shape, -5.0), np.full(prepared.shape, 5.0)]).astype(np.float32)
    restored = restore_scores(scores, prepared)
    inside = np.zeros(array.shape, bool)
    inside[3:, :-2, 4:] = True
    np.testing.assert_array_equal(restored.argmax(0), inside)


def test_a_volume_of_zeros_alone_is_prepared_whole():
    volume = smooth_ct().with_array(np.zeros((14, 20, 18), np.int16))
    prepared = prepare(volume, PLAN)
    assert prepared.box_shape == (14, 20, 18)
    assert np.isfinite(prepared.array).all()


@pytest.mark.parametrize("direction", [None, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize(
    ("order", "signs"), list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
)
def test_however_a_scan_is_stored_the_network_sees_the_same_and_the_answer_lies_on_it(order, signs, direction):
    volume = smooth_ct(direction=direction)
    other = stored_as(volume, order, signs)
    prepared, prepared_other = prepare(volume, PLAN), prepare(other, PLAN)
    np.testing.assert_array_equal(prepared_other.array, prepared.array)
    scores = np.stack([-prepared.array[0], prepared.array[0]])
    restored = restore_scores(scores, prepared)[1]
    restored_other = restore_scores(scores, prepared_other)[1]
    assert restored_other.shape == other.array.shape
    back = to_lps_order(other.with_array(restored_other))
    np.testing.assert_array_equal(back.array, to_lps_order(volume.with_array(restored)).array)
    assert back.geometry.same_grid(to_lps_order(volume).geometry)


def test_as_stored_shows_the_network_the_axes_of_the_file():
    volume = smooth_ct()
    other = stored_as(volume, (1, 0, 2), (1, 1, 1))
    plan = replace(PLAN, orientation="as-stored", spacing_kji=(2.5, 1.2, 1.0))
    np.testing.assert_allclose(prepare(other, plan).array[0], by_hand(other, plan), atol=2e-5)


def test_ras_turns_both_in_plane_axes_around():
    volume = smooth_ct()
    lps = prepare(volume, PLAN).array
    np.testing.assert_allclose(
        prepare(volume, replace(PLAN, orientation="ras")).array, lps[..., ::-1, ::-1], rtol=0, atol=2e-6
    )


@pytest.mark.parametrize("transpose", list(itertools.permutations(range(3))))
def test_transposed_axes_come_back_to_their_places(transpose):
    volume = smooth_ct(shape=(9, 14, 12), spacing=(1.0, 1.0, 1.0))
    plan = Plan((1.0, 1.0, 1.0), (8, 8, 8), transpose=transpose, normalization="none")
    prepared = prepare(volume, plan)
    np.testing.assert_array_equal(prepared.array[0], volume.array.transpose(transpose))
    restored = restore_scores(np.repeat(prepared.array, 2, axis=0), prepared)
    np.testing.assert_array_equal(restored[1], volume.array)


def test_spacing_is_that_of_the_transposed_axes():
    volume = smooth_ct(shape=(10, 20, 30), spacing=(1.0, 2.0, 4.0))
    plan = Plan((1.0, 2.0, 4.0), (8, 8, 8), transpose=(2, 1, 0))
    assert prepare(volume, plan).shape == (30, 20, 10)


@pytest.mark.parametrize("spacing", [(0.7, 0.9, 4.0), (1.0, 1.3, 2.9), (2.2, 2.1, 1.1)])
def test_scores_that_vary_linearly_come_back_where_they_were(spacing):
    volume = smooth_ct(shape=(14, 20, 18), spacing=spacing, direction=OBLIQUE)
    plan = replace(PLAN, spacing_kji=(2.0, 1.5, 1.6), crop_to_nonzero=False)
    prepared = prepare(volume, plan)
    step_mm = [
        s * n / m for s, n, m in zip(volume.geometry.spacing_kji, volume.array.shape, prepared.shape, strict=True)
    ]
    along = np.meshgrid(
        *[(np.arange(m) + 0.5) * s for m, s in zip(prepared.shape, step_mm, strict=True)], indexing="ij"
    )
    own = np.meshgrid(
        *[(np.arange(n) + 0.5) * s for n, s in zip(volume.array.shape, volume.geometry.spacing_kji, strict=True)],
        indexing="ij",
    )
    ramp, expected = (3 * g[1] - 2 * g[2] for g in (along, own))
    restored = restore_scores([ramp, -ramp], prepared)
    inner = (slice(None), slice(3, -3), slice(3, -3))
    np.testing.assert_allclose(restored[0][inner], expected[inner], atol=1e-3)
    np.testing.assert_allclose(restored[1], -restored[0], atol=1e-4)


def test_labels_lie_on_the_voxels_that_they_mark():
    volume = smooth_ct(shape=(20, 30, 28), direction=OBLIQUE)
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[6:14, 10:20, 8:18] = 3
    hu = np.where(labels > 0, 250, -50).astype(np.int16)
    stored = stored_as(volume.with_array(hu), (2, 0, 1), (-1, 1, -1))
    stored_labels = stored_as(volume.with_array(labels), (2, 0, 1), (-1, 1, -1))
    prepared = prepare(stored, PLAN)
    prepared_labels = prepare_labels(stored_labels, prepared)
    assert prepared_labels.dtype == np.uint8 and prepared_labels.shape == prepared.shape
    bright = prepared.array[0] > (100 - PLAN.mean) / PLAN.std
    overlap = 2 * (bright & (prepared_labels == 3)).sum() / (bright.sum() + (prepared_labels == 3).sum())
    assert overlap > 0.95


def test_no_label_is_lost_however_thin_it_is():
    volume = smooth_ct(shape=(20, 30, 28), direction=OBLIQUE)
    labels = np.zeros(volume.array.shape, np.uint8)
    thin = range(2, 18, 3)
    for n in thin:
        labels[n, 10:20, n : n + 2] = n
    coarse = replace(PLAN, spacing_kji=tuple(3 * mm for mm in volume.geometry.spacing_kji), crop_to_nonzero=False)
    prepared = prepare(volume, coarse)
    assert len(np.unique(prepare_labels(volume.with_array(labels), prepared))) < 1 + len(thin), "else this says nothing"
    kept = prepare_every_label(volume.with_array(labels), prepared)
    assert set(np.unique(kept)) == {0, *thin}
    oriented = to_lps_order(volume.with_array(labels)).array
    for n in thin:
        found = (np.argwhere(kept == n) + 0.5).mean(0) * (np.array(oriented.shape) / kept.shape) - 0.5
        assert np.abs(found - np.argwhere(oriented == n).mean(0)).max() <= 2


def test_labels_on_another_grid_are_refused():
    volume = smooth_ct()
    moved = Geometry(volume.geometry.shape, np.diag([1.0, 1.2, 2.5, 1.0]))
    with pytest.raises(ValueError, match="another grid"):
        prepare_labels(Volume(np.zeros(volume.array.shape, np.uint8), moved), prepare(volume, PLAN))


def test_zscore_takes_mean_and_deviation_from_the_volume_itself():
    volume = smooth_ct(shape=(8, 9, 10), spacing=(1.5, 1.5, 2.0))
    array = prepare(volume, replace(PLAN, normalization="zscore")).array
    assert abs(array.mean()) < 1e-4 and abs(array.std() - 1) < 1e-4


def test_zscore_within_nonzero_leaves_the_outside_at_zero_and_counts_holes_as_inside():
    hu = np.zeros((10, 12, 12), np.int16)
    hu[0, 0, 0] = hu[-1, -1, -1] = 500
    hu[2:8, 2:10, 2:10] = np.random.default_rng(0).integers(100, 200, (6, 8, 8))
    hu[4, 5, 5] = 0
    volume = Volume(hu, Geometry.from_parts(hu.shape, (1.5, 1.5, 2.0)))
    array = prepare(volume, replace(PLAN, normalization="zscore", within_nonzero=True)).array[0]
    inside = ndimage.binary_fill_holes(hu != 0)
    assert array[~inside].max() == array[~inside].min() == 0
    assert array[4, 5, 5] < -1
    assert abs(array[inside].mean()) < 1e-4


def test_the_volume_given_is_not_changed():
    volume = smooth_ct()
    volume = volume.with_array(volume.array.astype(np.float32))
    before = volume.array.copy()
    prepare(volume, replace(PLAN, spacing_kji=volume.geometry.spacing_kji))
    np.testing.assert_array_equal(volume.array, before)
