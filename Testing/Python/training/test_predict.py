import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from DGSTSegmentLib.imaging import Geometry
from DGSTSegmentLib.imaging.orientation import in_axis_order_of, to_lps_order
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.training.predict import foreground, most_likely, predict

from .conftest import scan


@pytest.fixture(scope="module")
def model(model_folder):
    return open_model(model_folder)


def stored_otherwise(volume, axes, flips):
    """The same voxels in the same place of the world, stored with its axes (i, j, k) permuted and flipped."""
    geometry = volume.geometry
    columns = geometry.ijk_to_world[:3, :3][:, axes] * np.where(flips, -1, 1)
    first = np.array([geometry.shape[2 - a] - 1 if f else 0 for a, f in zip(axes, flips, strict=True)], float)
    matrix, start = np.eye(4), np.zeros(3)
    start[list(axes)] = first
    matrix[:3, :3], matrix[:3, 3] = columns, geometry.to_world(start[::-1])
    shape = tuple(geometry.shape[2 - axes[2 - n]] for n in range(3))
    return in_axis_order_of(volume, Geometry(shape, matrix))


OBLIQUE = Rotation.from_euler("xyz", [12, -8, 20], degrees=True).as_matrix()
GEOMETRIES = {
    "upright": Geometry.from_parts((20, 32, 32), (2.0, 2.0, 3.0)),
    "oblique": Geometry.from_parts((20, 32, 30), (2.0, 2.2, 3.0), (5, -7, 11), OBLIQUE),
    "anisotropic": Geometry.from_parts((9, 40, 40), (1.5, 1.5, 6.0)),
    "left-handed": Geometry.from_parts((20, 32, 32), (2.0, 2.0, 3.0), direction=np.diag([1, 1, -1])),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_answer_lies_voxel_for_voxel_on_the_ct(model, name):
    geometry = GEOMETRIES[name]
    image, _ = scan(geometry, tuple(n // 2 for n in geometry.shape))
    prediction = predict(model, image, device="cpu", probability=True)
    for volume in (prediction.segmentation, prediction.probability):
        assert volume.geometry.shape == geometry.shape
        np.testing.assert_array_equal(volume.geometry.ijk_to_world, geometry.ijk_to_world)
    assert prediction.segmentation.array.dtype == np.uint8
    np.testing.assert_array_equal(prediction.probability.array > 0.5, prediction.segmentation.array == 1)


@pytest.mark.parametrize("name", ["upright", "oblique"])
@pytest.mark.parametrize(("axes", "flips"), [((2, 0, 1), (0, 0, 0)), ((0, 1, 2), (1, 1, 0)), ((1, 2, 0), (1, 0, 1))])
def test_how_a_volume_is_stored_does_not_change_the_answer_in_the_world(model, name, axes, flips):
    image, _ = scan(GEOMETRIES[name], (8, 12, 12))
    image = to_lps_order(image)
    expected = predict(model, image, device="cpu", precision="fp32", probability=True).probability
    other = predict(model, stored_otherwise(image, axes, flips), device="cpu", precision="fp32", probability=True)
    back = in_axis_order_of(other.probability, image.geometry)
    np.testing.assert_allclose(back.array, expected.array, atol=1e-5)


def test_half_precision_hardly_moves_the_probability(model):
    image, _ = scan(GEOMETRIES["upright"], (8, 12, 12))
    full, half = (
        predict(model, image, device="cpu", precision=p, probability=True).probability.array for p in ("fp32", "bf16")
    )
    assert 0 < np.abs(full - half).max() < 0.05


def test_a_scan_smaller_than_a_window_is_segmented_and_that_is_noted(model):
    image, _ = scan(Geometry.from_parts((4, 32, 32), (2.0, 2.0, 3.0)), (2, 16, 16))
    heard = []
    prediction = predict(model, image, device="cpu", on_event=heard.append, name="slab.nii.gz")
    assert prediction.segmentation.array.shape == (4, 32, 32)
    assert "slab.nii.gz is smaller" in prediction.notes[0]
    assert prediction.notes[0] in [event.get("message") for event in heard]


def test_progress_counts_the_windows(model):
    heard = []
    predict(model, scan(GEOMETRIES["upright"], (8, 12, 12))[0], device="cpu", on_event=heard.append)
    steps = [(event["step"], event["steps"]) for event in heard if event["event"] == "progress"]
    assert steps[0][0] == 0 and steps[-1][0] == steps[-1][1] > 1


def test_the_label_of_the_highest_score_wins_and_probabilities_add_up():
    logits = np.array([[0.0, 2.0, 1.0], [1.0, 0.0, 1.0], [0.5, 3.0, 0.0]], np.float32).reshape(3, 1, 1, 3)
    np.testing.assert_array_equal(most_likely(logits).ravel(), [1, 2, 0])
    exponentials = np.exp(logits)
    np.testing.assert_allclose(foreground(logits), 1 - (exponentials / exponentials.sum(0))[0], atol=1e-6)
    np.testing.assert_allclose(foreground(logits[:2]), 1 / (1 + np.exp(logits[0] - logits[1])), atol=1e-6)
