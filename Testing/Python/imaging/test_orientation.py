"""Volumes are brought to LPS order and back without touching a voxel."""

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.orientation import axis_letters, in_axis_order_of, lps_order, to_lps_order


def _value_at(volume: Volume, world: np.ndarray) -> np.ndarray:
    index = volume.geometry.to_index(world)
    np.testing.assert_allclose(index, np.rint(index), atol=1e-6)
    return volume.array[tuple(np.rint(index).astype(int).T)]


def test_every_voxel_stays_where_it_is_in_the_world(volume):
    world = volume.geometry.to_world(np.argwhere(np.ones(volume.array.shape)))
    ordered = to_lps_order(volume)
    np.testing.assert_array_equal(_value_at(ordered, world), volume.array.ravel())


def test_axes_run_most_nearly_to_left_posterior_and_superior(volume):
    direction = to_lps_order(volume).geometry.direction
    assert (np.diag(direction) > 0).all()
    others = np.abs(direction[~np.eye(3, dtype=bool)])
    assert np.diag(direction).max() >= others.max()


def test_the_geometry_alone_is_ordered_as_the_volume_is(volume):
    assert lps_order(volume.geometry).same_grid(to_lps_order(volume).geometry, tolerance_mm=1e-9)


@pytest.mark.parametrize("letters", ["LPS", "RAS", "LAI", "SRP", "PIR"])
def test_axes_are_named_by_where_they_run_to(letters):
    direction = np.zeros((3, 3))
    for axis, letter in enumerate(letters):
        direction["LPSRAI".index(letter) % 3, axis] = 1 if letter in "LPS" else -1
    geometry = Geometry.from_parts((4, 5, 6), (1, 2, 3), direction=direction)
    assert axis_letters(geometry) == letters


def test_a_volume_in_lps_order_stays_as_it_is(volume):
    ordered = to_lps_order(volume)
    again = to_lps_order(ordered)
    np.testing.assert_array_equal(again.array, ordered.array)
    assert again.geometry.same_grid(ordered.geometry, tolerance_mm=1e-9)


def test_the_way_back_restores_array_and_geometry_exactly(volume):
    back = in_axis_order_of(to_lps_order(volume), volume.geometry)
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.geometry is volume.geometry
    assert back.array.flags["C_CONTIGUOUS"]


def test_a_cubes_flips_are_not_confused():
    """A cube's corners are the same set however its axes run, so only the voxels' places tell the orders apart."""
    cube = Volume(np.arange(27).reshape(3, 3, 3), Geometry.from_parts((3, 3, 3), (1, 1, 1)))
    flipped = Geometry.from_parts((3, 3, 3), (1, 1, 1), (2, 0, 0), np.diag([-1, 1, 1]))
    np.testing.assert_array_equal(in_axis_order_of(cube, flipped).array, cube.array[:, :, ::-1])


@pytest.mark.parametrize("change", ["shifted by a voxel", "turned", "finer", "smaller"])
def test_another_grid_is_refused(volume, change):
    matrix = volume.geometry.ijk_to_world.copy()
    shape = volume.geometry.shape
    if change == "shifted by a voxel":
        matrix[:3, 3] += matrix[:3, 0]
    elif change == "turned":
        angle = 0.05
        turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
        matrix[:3, :3] = np.array(turn) @ matrix[:3, :3]
    elif change == "finer":
        matrix[:3, :3] *= 0.98
    else:
        shape = (4, 6, 8)
    with pytest.raises(ValueError, match="permuted and flipped"):
        in_axis_order_of(volume, Geometry(shape, matrix))
