from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from DGSTSegmentLib.networks.grid_zoom import coarse_axis, zoom, zoom_nearest, zoomed_shape


def volume(shape=(11, 17, 14), seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def scipy_zoom(array, shape, order):
    """What nnU-Net's resampling comes down to: zoom over the same extent in float64, clipped to the input's range."""
    factors = np.array(shape) / array.shape
    scaled = ndimage.zoom(array.astype(np.float64), factors, order=order, mode="nearest", grid_mode=True)
    return np.clip(scaled, array.min(), array.max())


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("shape", [(11, 17, 15), (23, 40, 31), (5, 8, 7), (20, 9, 14), (1, 17, 14)])
def test_it_gives_scipys_numbers_in_three_dimensions(shape, order):
    array = volume()
    np.testing.assert_allclose(zoom(array, shape, order), scipy_zoom(array, shape, order), atol=5e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_along_the_coarse_axis_the_nearest_slice_is_taken_and_each_slice_scaled_in_its_own_range(axis):
    array = volume()
    shape = [21, 25, 9]
    in_plane = tuple(n for other, n in enumerate(shape) if other != axis)
    slices = [scipy_zoom(np.take(array, n, axis), in_plane, 3) for n in range(array.shape[axis])]
    centers = (np.arange(shape[axis]) + 0.5) * array.shape[axis] / shape[axis] - 0.5
    nearest = ndimage.map_coordinates(np.arange(len(slices)), [centers], order=0, mode="nearest")
    expected = np.stack([slices[n] for n in nearest], axis)
    np.testing.assert_allclose(zoom(array, shape, 3, nearest_axis=axis), expected, atol=5e-6)


def test_an_array_that_has_the_shape_already_comes_back_to_the_bit():
    array = volume()
    np.testing.assert_array_equal(zoom(array, array.shape, 3), array)


def test_a_sharp_edge_does_not_overshoot_the_input():
    array = np.zeros((4, 20, 20), np.float32)
    array[:, 10:] = 1
    scaled = zoom(array, (4, 33, 33), 3)
    assert scaled.min() >= 0 and scaled.max() <= 1


def test_nearest_keeps_labels_and_their_type():
    labels = np.random.default_rng(1).integers(0, 5, (9, 12, 10)).astype(np.uint8)
    scaled = zoom_nearest(labels, (13, 6, 20))
    assert scaled.dtype == np.uint8 and scaled.shape == (13, 6, 20)
    np.testing.assert_array_equal(zoom_nearest(labels, (27, 36, 30))[1::3, 1::3, 1::3], labels)


def test_shapes_follow_the_spacing_and_never_vanish():
    assert zoomed_shape((10, 100, 100), (5.0, 0.8, 0.8), (2.5, 1.0, 1.0)) == (20, 80, 80)
    assert zoomed_shape((1, 4, 4), (1.0, 1.0, 1.0), (5.0, 1.0, 1.0)) == (1, 4, 4)


@pytest.mark.parametrize(
    ("spacing", "new_spacing", "separate_z", "axis"),
    [
        ((5.0, 0.8, 0.8), (1.0, 1.0, 1.0), None, 0),
        ((1.0, 0.8, 4.0), (1.0, 1.0, 1.0), None, 2),
        ((1.0, 1.0, 1.0), (1.0, 6.0, 1.0), None, 1),
        ((3.0, 1.0, 1.0), (2.0, 1.0, 1.0), None, None),
        ((1.0, 4.0, 4.0), (1.0, 1.0, 1.0), None, None),
        ((5.0, 0.8, 0.8), (5.0, 0.8, 0.8), False, None),
        ((2.0, 1.0, 1.0), (1.0, 1.0, 1.0), True, 0),
    ],
)
def test_the_coarse_axis_is_scaled_apart_only_beyond_three_times_the_finest(spacing, new_spacing, separate_z, axis):
    assert coarse_axis(spacing, new_spacing, separate_z) == axis
