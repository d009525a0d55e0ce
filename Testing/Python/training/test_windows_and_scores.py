import os
import tempfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.training.events import Reporter, Stopped
from DGSTSegmentLib.training.memory import OutOfMemory
from DGSTSegmentLib.training.predict import Predictor
from DGSTSegmentLib.training.scores import Means, _reserve, window_scores
from DGSTSegmentLib.training.windows import gaussian_weights, window_starts

from ..conftest import files_of_at_most
from .conftest import PLAN

CPU = Means.most(torch.device("cpu"), "fp32")
WINDOW = (8, 12, 12)


class Local(nn.Module):
    """Scores that depend on the voxel alone, so that windows must give exactly what one pass gives."""

    def forward(self, x):
        return torch.cat([x * 2, 1 - x], 1)


class PlaceInWindow(nn.Module):
    """Scores that depend on where a voxel lies in its window."""

    def forward(self, x):
        ramp = torch.arange(x.shape[-1], dtype=x.dtype).expand(x.shape)
        return torch.cat([ramp, -ramp], 1)


def scores_of(*arguments):
    return window_scores(*arguments)[0]


def volume(*shape):
    return np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)


class Overflowing(Local):
    """Holds no more than fp16 does where its weights are not fp32, as a network whose activations grow too large."""

    def forward(self, x):
        scores = super().forward(x)
        exact = not torch.is_autocast_enabled("cpu")
        return scores if exact else scores + torch.where(scores > 2, torch.inf, 0) * 0


class Broken(Local):
    def forward(self, x):
        return super().forward(x) * torch.nan


def test_values_that_are_no_numbers_are_computed_anew_or_refused():
    array, heard = volume(8, 12, 12), []
    half = replace(CPU, precision="bf16")
    scores = scores_of([Overflowing()], array, WINDOW, half, Reporter(heard.append))
    np.testing.assert_allclose(scores, scores_of([Local()], array, WINDOW, CPU), rtol=1e-5)
    assert [e["message"] for e in heard if e["event"] == "note"] == [
        "The network's values went beyond what its number format holds: computed anew in fp32."
    ]
    with pytest.raises(InputError, match="values that are no numbers"):
        scores_of([Broken()], array, WINDOW, half)


@pytest.mark.parametrize("size", [8, 9, 12, 13, 31])
def test_windows_cover_the_volume_half_overlapping_at_least(size):
    starts = sorted(start[0] for start in window_starts((size,), (8,)))
    assert starts[0] == 0 and starts[-1] == size - 8
    assert all(0 < b - a <= 4 for a, b in zip(starts, starts[1:], strict=False))


def test_weights_are_highest_in_the_middle_and_nowhere_zero():
    weights = gaussian_weights((9, 16, 33))
    assert weights.min() > 0 and np.unravel_index(weights.argmax(), weights.shape) == (4, 8, 16)


def test_weights_fall_as_a_gaussian_whose_sigma_is_an_eighth_of_the_window():
    weights = gaussian_weights((16, 24, 64))
    middle = (8, 12, 32)
    assert weights[middle] == pytest.approx(10)
    for axis, sigma in enumerate((2, 3, 8)):
        for sigmas in (1, 2):
            place = [n + (sigmas * sigma if axis == m else 0) for m, n in enumerate(middle)]
            assert weights[tuple(place)] == pytest.approx(10 * np.exp(-(sigmas**2) / 2), rel=1e-4)


def test_windows_of_a_local_network_give_what_one_pass_gives():
    array = volume(21, 25, 30)
    expected = np.concatenate([array * 2, 1 - array])
    np.testing.assert_allclose(scores_of([Local()], array, WINDOW, CPU), expected, atol=1e-5)


def test_overlapping_windows_are_weighted_means():
    array = volume(8, 12, 18)
    scores = scores_of([PlaceInWindow()], array, WINDOW, CPU)
    weights = gaussian_weights(WINDOW)[4, 6]
    first, last = np.zeros(18), np.zeros(18)
    first[:12], last[6:] = weights, weights
    expected = (first * np.arange(18) + last * (np.arange(18) - 6)) / (first + last)
    np.testing.assert_allclose(scores[0, 4, 6], expected, rtol=1e-5)


class Counting(nn.Module):
    """A convolution that knows how many windows it saw."""

    def __init__(self):
        super().__init__()
        self.windows = 0
        self.convolution = nn.Conv3d(1, 2, 3, padding=1)

    def forward(self, x):
        self.windows += len(x)
        return self.convolution(x)


def body_in_air(noise):
    """A textured block within air that varies by ``noise``."""
    array = np.full((1, 8, 12, 72), -2.5, np.float32) + noise * volume(8, 12, 72)
    array[..., 40:] = volume(8, 12, 32)
    return array


@pytest.mark.parametrize(("precision", "noise"), [("fp32", 0.0), ("bf16", 1e-6)])
def test_air_is_computed_once_and_gives_what_computing_it_again_gives(precision, noise):
    array, network, means = body_in_air(noise), Counting(), Means.most(torch.device("cpu"), precision)
    scores = scores_of([network], array, WINDOW, means)
    starts = [start[2] for start in window_starts(array.shape[1:], WINDOW)]
    in_air = sum(start + WINDOW[2] <= 40 for start in starts)
    assert in_air > 2 and network.windows == len(starts) - in_air + 1
    weights = torch.from_numpy(gaussian_weights(WINDOW))
    total, weight_sum = torch.zeros(scores.shape), torch.zeros(array.shape[1:])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for start in starts:
            window = (..., slice(start, start + WINDOW[2]))
            total[window] += network(torch.from_numpy(array[window])[None])[0].float() * weights
            weight_sum[window] += weights
    np.testing.assert_array_equal(scores, (total / weight_sum).numpy())


def test_air_that_varies_is_computed_window_by_window():
    network, array = Counting(), body_in_air(1e-3)
    scores_of([network], array, WINDOW, CPU)
    assert network.windows == len(window_starts(array.shape[1:], WINDOW))


def test_an_ensemble_averages_its_networks():
    array = volume(8, 12, 12)
    both = scores_of([Local(), PlaceInWindow()], array, WINDOW, CPU)
    single = [scores_of([network], array, WINDOW, CPU) for network in (Local(), PlaceInWindow())]
    np.testing.assert_allclose(both, sum(single) / 2, atol=1e-5)


def test_a_volume_smaller_than_a_window_keeps_its_size():
    array = volume(3, 12, 5)
    np.testing.assert_allclose(scores_of([Local()], array, WINDOW, CPU)[0], array[0] * 2, atol=1e-5)


def test_every_way_of_saving_memory_gives_the_same_answer():
    torch.manual_seed(0)
    network, array = nn.Conv3d(1, 2, 3, padding=1), volume(20, 20, 20)
    expected = scores_of([network], array, WINDOW, CPU)
    for tile_batch, keep_sum in ((3, "memory"), (1, "disk"), (2, "device")):
        means = Means(torch.device("cpu"), "fp32", tile_batch, keep_sum)
        np.testing.assert_allclose(scores_of([network], array, WINDOW, means), expected, atol=1e-5)


class Greedy(nn.Module):
    """Asks for as much memory as no machine has, until it has failed ``failures`` times."""

    def __init__(self, failures):
        super().__init__()
        self.failures = failures

    def forward(self, x):
        if self.failures:
            self.failures -= 1
            torch.empty(2**60, dtype=torch.uint8)
        return Local()(x)


def test_running_out_of_memory_takes_less_and_says_so():
    heard = []
    array = volume(10, 12, 12)
    scores = scores_of([Greedy(1)], array, WINDOW, CPU, Reporter(heard.append))
    np.testing.assert_allclose(scores[0], array[0] * 2, atol=1e-5)
    assert ["on disk" in event["message"] for event in heard if event["event"] == "note"] == [True]


def test_the_next_scan_begins_with_the_means_that_sufficed():
    heard, network = [], Greedy(1)
    predictor = Predictor([network], PLAN, "cpu", "fp32", Reporter(heard.append))
    geometry = Geometry.from_parts((16, 24, 24), (2.0, 2.0, 3.0))
    for failures in (1, 0):
        network.failures = failures
        predictor.segment(Volume(np.zeros(geometry.shape, np.int16), geometry))
    assert predictor.means.keep_sum == "disk"
    assert len([event for event in heard if "on disk" in event.get("message", "")]) == 1


class Elsewhere(nn.Conv3d):
    """A network whose parameters are new tensors once it was moved, as on another device."""

    def to(self, device):
        for parameter in self.parameters():
            parameter.data = parameter.data.clone()
        return self


def test_a_network_that_was_moved_to_predict_can_be_trained_afterwards():
    network = Elsewhere(1, 2, 3, padding=1)
    scores_of([network], volume(8, 12, 12), WINDOW, CPU)
    assert not any(parameter.is_inference() for parameter in network.parameters())
    network(torch.zeros(1, 1, 4, 4, 4, requires_grad=True)).sum().backward()


def test_when_nothing_smaller_is_left_one_sentence_says_what_to_do():
    with pytest.raises(OutOfMemory, match="Memory ran out while predicting a volume of 12 x 12 x 10 voxels; close"):
        scores_of([Greedy(99)], volume(10, 12, 12), WINDOW, CPU)


def test_a_disk_without_room_for_the_result_is_said_with_its_folder(tmp_path, monkeypatch):
    """Two classes of 75 x 50 x 50 voxels take 1.5 MB."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    means = Means(torch.device("cpu"), "fp32", 1, "disk")
    with (
        files_of_at_most(1_000_000),
        pytest.raises(OutOfMemory, match=rf"{tmp_path} has no room for the 2 MB of .*\("),
    ):
        scores_of([Local()], volume(75, 50, 50), WINDOW, means)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no space, or always does")
def test_the_result_has_its_space_on_disk_before_it_is_written_to(tmp_path):
    """Else the process is killed where a full disk has no more for a file that is mapped."""
    with open(tmp_path / "sum", "w+b") as file:
        _reserve(file, 1_000_000)
        assert os.fstat(file.fileno()).st_blocks * 512 >= 1_000_000


def test_other_errors_are_not_taken_for_lack_of_memory():
    with pytest.raises(RuntimeError, match="channels"):
        scores_of([nn.Conv3d(3, 2, 1)], volume(8, 12, 12), WINDOW, CPU)


def test_less_memory_never_means_another_window_and_ends():
    means, kinds = Means.most(torch.device("cuda"), "bf16"), []
    while smaller := means.less():
        means, note = smaller
        kinds.append((means.device.type, means.tile_batch, means.keep_sum))
        assert note.endswith(".")
    assert kinds == [("cuda", 1, "device"), ("cuda", 1, "memory"), ("cpu", 1, "memory"), ("cpu", 1, "disk")]


def test_prediction_stops_between_windows():
    asked = iter([False, False, True])
    with pytest.raises(Stopped):
        scores_of([Local()], volume(30, 30, 30), WINDOW, CPU, Reporter(should_stop=lambda: next(asked)))
