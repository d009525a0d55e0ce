"""A grid knows where its voxels lie."""

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Geometry, Volume


def test_origin_is_the_centre_of_the_first_voxel(geometry):
    np.testing.assert_allclose(geometry.to_world([0, 0, 0]), (-251.3, 87.9, -1402.7))


def test_a_step_along_an_index_axis_is_its_spacing_along_its_direction(geometry, direction):
    start = geometry.to_world([1, 2, 3])
    np.testing.assert_allclose(geometry.to_world([1, 2, 4]) - start, 0.7 * direction[:, 0], atol=1e-9)
    np.testing.assert_allclose(geometry.to_world([1, 3, 3]) - start, 0.9 * direction[:, 1], atol=1e-9)
    np.testing.assert_allclose(geometry.to_world([2, 2, 3]) - start, 3.1 * direction[:, 2], atol=1e-9)


def test_world_and_index_undo_each_other(geometry):
    points = np.random.default_rng(0).uniform(-20, 20, (50, 3))
    np.testing.assert_allclose(geometry.to_index(geometry.to_world(points)), points, atol=1e-9)


def test_parts_come_back_from_the_matrix(geometry, direction):
    np.testing.assert_allclose(geometry.spacing, (0.7, 0.9, 3.1))
    np.testing.assert_allclose(geometry.spacing_kji, (3.1, 0.9, 0.7))
    np.testing.assert_allclose(geometry.direction, direction, atol=1e-12)
    assert geometry.voxel_volume_ml == pytest.approx(0.7 * 0.9 * 3.1 / 1000)


def test_corners_span_the_whole_box_to_the_voxels_edges(geometry):
    corners = geometry.corners()
    np.testing.assert_allclose(corners.mean(axis=0), geometry.to_world((np.array(geometry.shape) - 1) / 2))
    diagonal = np.linalg.norm([9 * 0.7, 6 * 0.9, 4 * 3.1])
    assert np.linalg.norm(corners[:, None] - corners, axis=-1).max() == pytest.approx(diagonal)


def test_same_grid_sees_a_shift_a_flip_and_another_shape(geometry, direction):
    origin = np.array(geometry.origin)
    same = Geometry.from_parts(geometry.shape, geometry.spacing, origin + 5e-4, direction)
    shifted = Geometry.from_parts(geometry.shape, geometry.spacing, origin + 0.1, direction)
    flipped = Geometry.from_parts(geometry.shape, geometry.spacing, origin, direction @ np.diag([-1, 1, 1]))
    longer = Geometry(np.add(geometry.shape, (0, 0, 1)), geometry.ijk_to_world)
    assert geometry.same_grid(same)
    assert not any(geometry.same_grid(other) for other in (shifted, flipped, longer))


def test_the_matrix_cannot_be_changed_behind_the_geometrys_back(geometry):
    with pytest.raises(ValueError, match="read-only"):
        geometry.ijk_to_world[0, 0] = 5.0


@pytest.mark.parametrize(
    ("shape", "matrix"),
    [
        ((4, 5), np.eye(4)),
        ((4, 5, 0), np.eye(4)),
        ((4, 5, 6), np.eye(3)),
        ((4, 5, 6), np.diag([1.0, 0.0, 1.0, 1.0])),
        ((4, 5, 6), np.diag([1.0, np.nan, 1.0, 1.0])),
    ],
    ids=["two sizes", "empty", "3x3 matrix", "flat", "not a number"],
)
def test_what_is_no_grid_is_refused(shape, matrix):
    with pytest.raises(ValueError, match="A grid"):
        Geometry(shape, matrix)


def test_array_and_geometry_must_fit(geometry):
    with pytest.raises(ValueError, match="does not fit"):
        Volume(np.zeros(geometry.shape[::-1]), geometry)
