"""Measurements agree with what geometry says of ellipsoids and simple outlines."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from DGSTSegmentLib.imaging import Geometry, Volume, measure
from DGSTSegmentLib.imaging.axial import AxialSlices, Part


class Ellipsoid:
    """All points x with (x - centre)' form (x - centre) <= 1, in the world."""

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        self.semi_axes = rng.uniform(4, 12, 3)
        turn = Rotation.random(random_state=seed).as_matrix()
        self.form = turn @ np.diag(self.semi_axes**-2) @ turn.T
        self.centre = rng.uniform(-100, 100, 3)

    @property
    def axial_axes(self) -> tuple[float, float]:
        """Of the slice through the centre, the largest of all axial ones."""
        shortest, longest = 2 / np.sqrt(np.linalg.eigvalsh(self.form[:2, :2])[::-1])
        return longest, shortest

    @property
    def extent(self) -> np.ndarray:
        return 2 * np.sqrt(np.diag(np.linalg.inv(self.form)))

    def on_a_grid(self, direction: np.ndarray, spacing: tuple[float, float, float]) -> Volume:
        shape = tuple(int(np.ceil(28 / s)) for s in spacing[::-1])
        middle = Geometry.from_parts(shape, spacing, direction=direction).to_world((np.array(shape) - 1) / 2)
        grid = Geometry.from_parts(shape, spacing, self.centre - middle, direction)
        offset = grid.to_world(np.argwhere(np.ones(shape))) - self.centre
        inside = np.einsum("na,ab,nb->n", offset, self.form, offset) <= 1
        return Volume(inside.reshape(shape), grid)


def _flat(mask: np.ndarray, spacing=(1.0, 1.0, 3.0)) -> Volume:
    """One axial slice."""
    return Volume(mask[None], Geometry.from_parts((1, *mask.shape), spacing))


def _disc(radius: float, size: int = 61) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    return x**2 + y**2 <= radius**2


@pytest.mark.parametrize("seed", range(4))
class TestEllipsoid:
    SPACING = (0.7, 0.8, 0.9)

    def test_long_and_short_axis(self, seed, direction):
        ellipsoid = Ellipsoid(seed)
        axes = measure.axes_mm(ellipsoid.on_a_grid(direction, self.SPACING))
        np.testing.assert_allclose(axes, ellipsoid.axial_axes, atol=max(self.SPACING))

    def test_extent_along_the_patients_axes(self, seed, direction):
        ellipsoid = Ellipsoid(seed)
        extent = measure.extent_mm(ellipsoid.on_a_grid(direction, self.SPACING))
        np.testing.assert_allclose(extent, ellipsoid.extent, atol=max(self.SPACING))

    def test_centroid_in_the_world(self, seed, direction):
        ellipsoid = Ellipsoid(seed)
        centroid = measure.centroid(ellipsoid.on_a_grid(direction, self.SPACING))
        np.testing.assert_allclose(centroid, ellipsoid.centre, atol=0.1)

    def test_thick_slices_cost_a_pixel_at_most(self, seed):
        """The slice through the centre is always one of them here; only the pixels limit."""
        ellipsoid = Ellipsoid(seed)
        axes = measure.axes_mm(ellipsoid.on_a_grid(np.eye(3), (0.8, 0.8, 28 / 9)))
        np.testing.assert_allclose(axes, ellipsoid.axial_axes, atol=0.8)


def test_the_axes_of_round_nodes_are_hardly_biased():
    """By less than a voxel for the long axis, the largest of many distances, and half a voxel for the short one."""
    errors = []
    for seed in range(30):
        ellipsoid = Ellipsoid(seed)
        axes = measure.axes_mm(ellipsoid.on_a_grid(np.eye(3), (0.8, 0.8, 0.8)))
        errors.append(np.subtract(axes, ellipsoid.axial_axes) / 0.8)
    bias = np.abs(np.mean(errors, axis=0))
    assert bias[0] < 0.75 and bias[1] < 0.5


def test_a_single_voxel_is_as_wide_as_its_spacing(direction):
    """As wide, that is, where it lies along the axes; as a voxel turned in space otherwise."""
    voxel = Volume(np.ones((1, 1, 1), bool), Geometry.from_parts((1, 1, 1), (1.0, 1.0, 1.0), direction=direction))
    long_axis, short_axis = measure.axes_mm(voxel)
    assert 0.5 <= short_axis <= long_axis <= np.sqrt(3)
    np.testing.assert_allclose(measure.centroid(voxel), (0, 0, 0), atol=1e-12)
    along_the_axes = np.isin(np.abs(direction), (0, 1)).all()
    if along_the_axes:
        np.testing.assert_allclose((long_axis, short_axis), (1, 1), atol=1e-5)
        np.testing.assert_allclose(measure.extent_mm(voxel), (1, 1, 1))


def test_a_row_of_voxels_is_as_long_as_its_voxels_together():
    row = np.zeros((5, 12), bool)
    row[2, 1:11] = True
    np.testing.assert_allclose(measure.axes_mm(_flat(row, (0.5, 0.8, 3))), (5.0, 0.8), atol=1e-4)


def test_the_slice_with_the_longest_axis_counts():
    """Not the one with the largest area, and not a mix of both."""
    mask = np.zeros((2, 61, 61), bool)
    mask[0] = _disc(8)
    mask[1, 29:32, 20:41] = True
    axes = measure.axes_mm(Volume(mask, Geometry.from_parts(mask.shape, (1, 1, 3))))
    np.testing.assert_allclose(axes, (21, 3), atol=0.5)


def test_length_through_the_slices_is_no_axis_but_extent():
    column = Volume(np.ones((20, 3, 3), bool), Geometry.from_parts((20, 3, 3), (1, 1, 1)))
    assert max(measure.axes_mm(column)) < 4.5
    np.testing.assert_allclose(measure.extent_mm(column), (3, 3, 20))


def test_axial_means_the_patients_not_the_arrays():
    """A sagittally stored column along the patient's z stays narrow in axial slices."""
    sagittal = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], float)
    column = Volume(np.ones((3, 20, 3), bool), Geometry.from_parts((3, 20, 3), (1, 1, 1), direction=sagittal))
    assert max(measure.axes_mm(column)) < 4.5
    np.testing.assert_allclose(measure.extent_mm(column), (3, 3, 20))


def test_the_short_axis_stays_inside_a_bent_node():
    """Half a ring of radii 12 and 20: the chord at 12 from its middle reaches from its tip 16 high, the hull's 20."""
    size, middle = 61, 30
    y, x = np.mgrid[:size, :size] - middle
    distance = np.hypot(x, y)
    half_ring = (distance <= 20) & (distance >= 12) & (y >= 0)
    np.testing.assert_allclose(measure.axes_mm(_flat(half_ring)), (40, 16), atol=1.5)


def test_a_dark_core_does_not_cut_the_short_axis():
    ring = _disc(10) & ~_disc(5)
    np.testing.assert_allclose(measure.axes_mm(_flat(ring)), measure.axes_mm(_flat(_disc(10))))


def test_voxels_that_touch_by_a_corner_are_one_outline():
    np.testing.assert_allclose(measure.axes_mm(_flat(np.eye(10, dtype=bool)))[0], np.hypot(9.5, 9.5), atol=0.6)


@pytest.mark.parametrize("share", [0.5, 0.5000001])
def test_a_point_that_is_barely_half_inside_still_has_an_outline(share):
    """As resampling an oblique scan can leave it in the region's last slice."""
    points = np.zeros((1, 5, 5), np.float32)
    points[0, 2, 2] = share
    _, diameter = measure._longest_diameter(AxialSlices(np.ones(2), [Part(np.zeros(3, int), points)]))
    assert np.linalg.norm(diameter) > 0


def _tilted(degrees: float, seed: int) -> np.ndarray:
    axis = np.random.default_rng(seed).normal(size=3)
    return Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis)).as_matrix()


def _axes(mask: np.ndarray, spacing: tuple[float, float, float], direction: np.ndarray | None = None):
    return measure.axes_mm(Volume(mask, Geometry.from_parts(mask.shape, spacing, direction=direction)))


def _disc_in_one_slice(radius: int, size: int) -> np.ndarray:
    return _disc(radius, size)[None]


_SMALL = {
    "one voxel": (np.ones((1, 1, 1), bool), (0.8, 0.8, 0.8)),
    "two voxels that touch by an edge": (np.eye(2, dtype=bool)[None], (0.8, 0.8, 0.8)),
    "two voxels that touch by an edge over two slices": (np.eye(2, dtype=bool)[:, :, None], (0.8, 0.8, 0.8)),
    "two voxels that touch by a corner": (np.eye(2, dtype=bool)[:, None] & np.eye(2, dtype=bool), (0.8, 0.8, 0.8)),
    "a disc in one thick slice": (_disc_in_one_slice(2, 7), (0.8, 0.8, 5)),
    "a disc in one slice": (_disc_in_one_slice(3, 9), (0.8, 0.8, 3)),
}


@pytest.mark.parametrize("degrees", [2, 5, 10])
@pytest.mark.parametrize("name", _SMALL)
def test_what_is_small_measures_the_same_in_a_scan_that_is_tilted(name, degrees):
    mask, spacing = _SMALL[name]
    straight = _axes(mask, spacing)
    for seed in range(20):
        np.testing.assert_allclose(_axes(mask, spacing, _tilted(degrees, seed)), straight, atol=0.8)


def test_pieces_that_lie_far_apart_measure_the_same_in_a_scan_that_is_tilted():
    disc, spacing = _disc_in_one_slice(3, 9), (0.8, 0.8, 3)
    mask = np.zeros((60, 110, 110), bool)
    mask[0, :9, :9] = mask[-1, -9:, -9:] = disc
    for seed in range(3):
        np.testing.assert_allclose(_axes(mask, spacing, _tilted(3, seed)), _axes(disc, spacing), atol=0.4)


def test_pieces_beside_each_other_in_a_slice_are_measured_across_in_a_tilted_scan_too():
    """Tilted about the line from disc to disc, so that they stay in one axial slice; a speck lies far from both."""
    mask = np.zeros((60, 110, 110), bool)
    mask[30, :9, :9] = mask[30, :9, -9:] = _disc(3, 9)
    mask[-1, -1, -1] = True
    spacing, tilted = (0.8, 0.8, 3), Rotation.from_euler("x", 3, degrees=True).as_matrix()
    np.testing.assert_allclose(_axes(mask, spacing, tilted), _axes(mask, spacing), atol=0.4)


@pytest.mark.parametrize("seed", range(5))
def test_any_scribble_can_be_measured(seed):
    """Ragged masks: the axes exist, are ordered, and no larger than the mask's box allows."""
    rng = np.random.default_rng(seed)
    mask = rng.random((4, 9, 11)) < 0.3
    geometry = Geometry.from_parts(mask.shape, (0.7, 0.9, 2), direction=Rotation.random(random_state=seed).as_matrix())
    for volume in (Volume(mask, geometry), Volume(mask, Geometry.from_parts(mask.shape, (0.7, 0.9, 2)))):
        long_axis, short_axis = measure.axes_mm(volume)
        box = np.linalg.norm(np.ptp(volume.geometry.corners(), axis=0)[:2])
        assert 0 < short_axis <= long_axis + 1e-9 <= box
