"""Values stay where they are in the world when the grid changes."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume, resample
from DGSTSegmentLib.imaging.orientation import to_lps_order
from DGSTSegmentLib.imaging.resample import continued_over, onto_grid_of, resample_to

_SLOPE = np.array([3.0, -2.0, 1.0])


def _ramp(geometry: Geometry) -> Volume:
    """A volume whose value at every point of the world is known: it rises evenly along ``_SLOPE``."""
    world = geometry.to_world(np.argwhere(np.ones(geometry.shape)))
    return Volume((world @ _SLOPE).reshape(geometry.shape), geometry)


def _around(geometry: Geometry, shape=(5, 6, 7), spacing=(1.1, 0.8, 1.3), seed=0) -> Geometry:
    """A small grid with axes of its own in the middle of ``geometry``."""
    direction = Rotation.random(random_state=seed).as_matrix()
    centred = Geometry.from_parts(shape, spacing, direction=direction)
    middle = geometry.to_world((np.array(geometry.shape) - 1) / 2) - centred.to_world((np.array(shape) - 1) / 2)
    return Geometry.from_parts(shape, spacing, middle, direction)


@pytest.fixture
def large(direction) -> Geometry:
    return Geometry.from_parts((20, 30, 26), (0.9, 0.8, 1.6), (-251.3, 87.9, -1402.7), direction)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("seed", range(3))
def test_an_even_ramp_is_the_same_ramp_on_any_grid_inside(large, interpolation, seed):
    target = _around(large, seed=seed)
    resampled = resample_to(_ramp(large), target, interpolation)
    inner = (slice(1, -1),) * 3
    tolerance = 1e-6 if interpolation == "linear" else 0.2
    np.testing.assert_allclose(resampled.array[inner], _ramp(target).array[inner], atol=tolerance)


def test_nearest_takes_the_value_of_the_voxel_in_which_a_point_lies(large):
    labels = Volume(np.random.default_rng(0).integers(0, 9, large.shape).astype(np.uint8), large)
    target = _around(large)
    index = np.rint(large.to_index(target.to_world(np.argwhere(np.ones(target.shape))))).astype(int)
    expected = labels.array[tuple(index.T)].reshape(target.shape)
    resampled = resample_to(labels, target, "nearest")
    assert resampled.array.dtype == np.uint8
    np.testing.assert_array_equal(resampled.array, expected)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_the_same_grid_in_another_axis_order_gets_the_same_voxels(volume, interpolation):
    ordered = to_lps_order(volume)
    np.testing.assert_array_equal(resample_to(volume, ordered.geometry, interpolation).array, ordered.array)


def test_outside_is_air_for_images_and_background_for_labels(volume):
    away = Geometry.from_parts((2, 2, 2), (1, 1, 1), (5000, 5000, 5000))
    ones = volume.with_array(np.ones(volume.array.shape, np.uint8))
    assert (resample_to(volume, away, "linear").array == volume.array.min()).all()
    assert (resample_to(ones, away, "nearest").array == 0).all()
    assert (resample_to(volume, away, "linear", outside=-1024).array == -1024).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_integers_are_rounded_and_never_wrap_around(dtype):
    high = np.iinfo(np.uint8).max
    step = np.zeros((4, 4, 8), dtype)
    step[..., 4:] = high
    volume = Volume(step, Geometry.from_parts(step.shape, (1, 1, 1)))
    halfway = Geometry.from_parts((4, 4, 7), (1, 1, 1), (0.65, 0, 0))
    blended = resample_to(volume, halfway, "linear").array
    between = 166  # 0.65 x 255 is 165.75
    np.testing.assert_array_equal(blended[0, 0], [0, 0, 0, between, high, high, high])
    overshooting = resample_to(volume, halfway, "cubic").array.astype(int)
    assert overshooting[..., :3].max() < 40 and overshooting[..., 4:].min() > 215


def test_a_boolean_mask_stays_boolean(volume):
    mask = volume.with_array(volume.array > 0)
    assert resample_to(mask, volume.geometry, "linear").array.dtype == bool
    assert resample_to(mask, volume.geometry, "nearest").array.dtype == bool


class TestOntoGridOf:
    @pytest.fixture
    def image(self, large) -> Volume:
        return Volume(np.zeros(large.shape, np.int16), large)

    @pytest.fixture
    def annotation(self, large) -> Volume:
        grid = _around(large, spacing=(0.4, 0.5, 0.4), shape=(12, 12, 12))
        array = np.zeros(grid.shape, np.uint8)
        array[2:10, 2:10, 2:6], array[2:10, 2:10, 6:10] = 1, 2
        return Volume(array, grid)

    def test_the_same_grid_is_kept_without_a_word(self, image):
        labels = image.with_array(np.random.default_rng(0).integers(0, 3, image.array.shape).astype(np.uint8))
        same, sentence = onto_grid_of(labels, image)
        assert same.array is labels.array and same.geometry is image.geometry
        assert sentence is None

    def test_single_precision_in_a_file_does_not_make_another_grid(self, image):
        rounded = Geometry(image.geometry.shape, image.geometry.ijk_to_world.astype(np.float32))
        assert onto_grid_of(Volume(image.array, rounded), image)[1] is None

    def test_another_grid_in_the_same_space_is_resampled_and_said(self, image, annotation):
        onto, sentence = onto_grid_of(annotation, image, "nodes.nii.gz")
        assert onto.geometry is image.geometry
        assert sentence == "nodes.nii.gz was on another grid than the image and was resampled to it."
        world = image.geometry.to_world(np.argwhere(onto.array > 0))
        index = annotation.geometry.to_index(world)
        assert ((index > 1.4) & (index < 9.6)).all()
        volume_before = (annotation.array > 0).sum() * annotation.geometry.voxel_volume_ml
        assert (onto.array > 0).sum() * image.geometry.voxel_volume_ml == pytest.approx(volume_before, rel=0.3)

    def test_what_is_lost_outside_is_said(self, image, annotation):
        edge = image.geometry.to_world([10, 15, -0.5]) - annotation.geometry.to_world([5.5, 5.5, 5.5])
        matrix = annotation.geometry.ijk_to_world.copy()
        matrix[:3, 3] += edge
        moved = Volume(annotation.array, Geometry(annotation.array.shape, matrix))
        _, sentence = onto_grid_of(moved, image)
        share = float(sentence.split("resampled to it; ")[1].split("%")[0])
        assert share == pytest.approx(50, abs=8)

    def test_a_label_too_small_for_the_image_keeps_the_voxel_it_lies_in_and_that_is_said(self, image, annotation):
        coarse = Volume(np.zeros((3, 3, 3), np.int16), _around(image.geometry, (3, 3, 3), (5, 5, 5)))
        array = np.zeros_like(annotation.array)
        array[0, 0, 0], array[6, 6, 6], array[6, 6, 7] = 7, 1, 2
        onto, sentence = onto_grid_of(annotation.with_array(array), coarse)
        place = np.rint(coarse.geometry.to_index(annotation.geometry.to_world([0, 0, 0]))).astype(int)
        assert onto.array[tuple(place)] == 7
        assert "is finer than the image's voxels and took those it lies in" in sentence

    def test_nodes_thinner_than_the_images_slices_do_not_vanish(self):
        """At 1 mm onto slices of 5 mm, of which one only holds the centre of the last node."""
        fine = Geometry.from_parts((40, 60, 60), (1, 1, 1))
        nodes = np.zeros(fine.shape, np.uint8)
        nodes[11:14, 5:9, 5:9] = nodes[21:24, 20:24, 20:24] = nodes[6:9, 40:44, 40:44] = nodes[14:17, 50:54, 5:9] = 1
        image = Volume(np.zeros((8, 60, 60), np.int16), Geometry.from_parts((8, 60, 60), (1, 1, 5)))
        onto, sentence = onto_grid_of(Volume(nodes, fine), image)
        _, count = ndimage.label(onto.array, np.ones((3, 3, 3)))
        assert count == 4
        assert sentence.endswith(
            "; what it marks in 3 places is finer than the image's voxels and took those it lies in."
        )
        for k, j, i in ((12, 7, 7), (22, 22, 22), (7, 42, 42), (15, 52, 7)):
            assert onto.array[round(k / 5), j, i] == 1

    def test_a_label_that_lies_wholly_outside_is_said(self):
        labels = np.zeros((4, 20, 40), np.uint8)
        labels[1, 5:9, 5:9], labels[1, 5:9, 35:39] = 1, 7
        image = Volume(np.zeros((4, 20, 20), np.int16), Geometry.from_parts((4, 20, 20), (1, 1, 1)))
        onto, sentence = onto_grid_of(Volume(labels, Geometry.from_parts(labels.shape, (1, 1, 1))), image)
        np.testing.assert_array_equal(onto.array, labels[:, :, :20])
        assert sentence.endswith(
            "; 50.0% of what it marks lies outside the image; nothing was left of the label values 7."
        )

    def test_what_lies_outside_is_measured_in_little_memory(self):
        """Of a large annotation that is marked throughout, a moderate part of what its voxels' indices would take."""
        marked = np.ones((100, 200, 200), np.uint8)
        annotation = Volume(marked, Geometry.from_parts(marked.shape, (1, 1, 1)))
        tracemalloc.start()
        try:
            share = resample.fraction_marked_outside(annotation, Geometry.from_parts((50, 200, 200), (1, 1, 1)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert share == pytest.approx(0.5, abs=0.01)
        assert peak < 16 * marked.nbytes

    def test_another_place_is_refused(self, image, annotation):
        matrix = annotation.geometry.ijk_to_world.copy()
        matrix[:3, 3] += 300
        away = Volume(annotation.array, Geometry(annotation.array.shape, matrix))
        with pytest.raises(InputError, match=r"^nodes\.nii\.gz does not lie where the image lies"):
            onto_grid_of(away, image, "nodes.nii.gz")
        with pytest.raises(InputError, match="does not lie where the image lies"):
            onto_grid_of(away.with_array(np.zeros_like(away.array)), image)

    def test_an_annotation_that_marks_only_what_lies_outside_is_refused(self, image):
        matrix = image.geometry.ijk_to_world.copy()
        matrix[:3, 3] += 0.9 * image.geometry.shape[2] * matrix[:3, 0]
        array = np.zeros(image.array.shape, np.uint8)
        array[:, :, 10:] = 1
        with pytest.raises(InputError, match="does not lie where the image lies"):
            onto_grid_of(Volume(array, Geometry(array.shape, matrix)), image)

    @pytest.mark.parametrize(("distance", "overlap"), [(1.3, True), (1.5, False)])
    def test_bars_that_pass_each_other_edge_by_edge_do_not_overlap(self, distance, overlap):
        """Two bars 1 mm thick, rolled by 45 degrees, cross at right angles: their edges meet at a distance of sqrt(2)
        mm. Neither holds a corner of the other, and no face of either separates them."""
        upright = Rotation.from_euler("z", 45, degrees=True).as_matrix()
        lying = Rotation.from_euler("x", 45, degrees=True).as_matrix()
        image = Volume(
            np.zeros((20, 1, 1), np.int16), Geometry.from_parts((20, 1, 1), (1, 1, 1), (0, 0, -9.5), upright)
        )
        empty = Volume(
            np.zeros((1, 1, 20), np.uint8), Geometry.from_parts((1, 1, 20), (1, 1, 1), (-9.5, distance, 0), lying)
        )
        if overlap:
            assert onto_grid_of(empty, image)[1] is not None
        else:
            with pytest.raises(InputError, match="does not lie"):
                onto_grid_of(empty, image)


class TestContinuedOver:
    def test_what_lies_within_needs_nothing(self, volume):
        labels = volume.with_array((volume.array > 0).astype(np.uint8))
        assert continued_over(labels, labels) is None
        assert continued_over(labels, labels.with_array(np.zeros_like(labels.array))) is None

    def test_a_crop_is_continued_to_the_marks_of_the_whole_in_any_axis_order(self, volume):
        whole = volume.with_array(np.zeros(volume.array.shape, np.uint8))
        whole.array[0, 1, 2], whole.array[2, 4, 7] = 1, 1
        box = (slice(1, 3), slice(2, 4), slice(3, 6))
        crop = Volume(whole.array[box] + np.uint8(3), whole.geometry.cropped(box))
        continued = continued_over(crop, to_lps_order(whole))
        expected = (slice(0, 3), slice(1, 5), slice(2, 8))
        assert continued.geometry.same_grid(whole.geometry.cropped(expected))
        assert (continued.array == 3).sum() == crop.array.size and (continued.array[1:3, 1:3, 1:4] == 3).all()
