"""Segmenting a CT with a model, in the CT's own geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..imaging.volume import Volume
from ..networks.model import FoundationModel
from ..networks.plan import Plan
from ..networks.preprocessing import Prepared, prepare, restore_scores
from .devices import choose_device, choose_precision
from .events import OnEvent, Reporter, ShouldStop
from .scores import Means, window_scores


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of a CT.

    Args:
        segmentation: uint8 label values in the CT's geometry.
        probability: float32, how likely a voxel is any label but background; None where it was not asked for.
        notes: sentences on what was done differently than usual.
        device, precision: what its last window was computed with.
    """

    segmentation: Volume
    probability: Volume | None
    notes: tuple[str, ...] = ()
    device: str = ""
    precision: str = ""


class Predictor:
    """Networks and a plan, ready to segment volumes on a device.

    Args:
        networks: one, or several whose scores are averaged.
        plan: their preprocessing.
        device: a name of ``training.request.DEVICES``.
        precision: a name of ``training.request.PRECISIONS``.
        reporter: hears of progress and notes.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        plan: Plan,
        device: str = "auto",
        precision: str = "auto",
        reporter: Reporter | None = None,
    ):
        self.networks, self.plan = list(networks), plan
        self.reporter = reporter or Reporter()
        self._notes: list[str] = []
        self.device = choose_device(device, self._note)
        self.means = Means.most(self.device, choose_precision(precision, self.device, self._note))

    def scores(self, prepared: Prepared) -> np.ndarray:
        """Logits float32 [c, k, j, i] in the model's grid.

        What memory or number format did not suffice for one scan is not tried with the next.
        """
        window = self.plan.patch_size_kji
        scores, self.means = window_scores(self.networks, prepared.array, window, self.means, self.reporter)
        return scores

    def segment(self, volume: Volume, probability: bool = False, name: str = "The scan") -> Prediction:
        """Segment ``volume`` (HU); the answer lies voxel for voxel on it.

        A scan with less voxels along an axis than a window is filled up for the network, and that is noted.
        """
        prepared = prepare(volume, self.plan)
        about_scan = _notes(prepared, name)
        for note in about_scan:
            self.reporter.note(note)
        logits = restore_scores(self.scores(prepared), prepared)
        return Prediction(
            volume.with_array(most_likely(logits)),
            volume.with_array(foreground(logits)) if probability else None,
            (*self._notes, *about_scan),
            self.means.device.type,
            self.means.precision,
        )

    def _note(self, message: str) -> None:
        self._notes.append(message)
        self.reporter.note(message)


def predict(
    model: FoundationModel,
    volume: Volume,
    *,
    device: str = "auto",
    probability: bool = False,
    precision: str = "auto",
    name: str = "The scan",
    on_event: OnEvent | None = None,
    should_stop: ShouldStop | None = None,
) -> Prediction:
    """Segment a CT (HU) with a model; several folds are an ensemble.

    Windows of the plan's patch, half overlapping, Gaussian weights, always: running out of memory moves the sum, the
    tile batch or the device and says so, never the window.

    Raises:
        InputError: the device is not there, or memory ran out.
        Stopped: ``should_stop`` said so.
    """
    reporter = Reporter(on_event, should_stop)
    return Predictor(model.networks(), model.plan, device, precision, reporter).segment(volume, probability, name)


def most_likely(logits: np.ndarray) -> np.ndarray:
    """uint8 label with the highest logit, [k, j, i] from [c, k, j, i]; the lower label where two are equal."""
    best, label = logits[0].copy(), np.zeros(logits.shape[1:], dtype=np.uint8)
    for value in range(1, len(logits)):
        higher = logits[value] > best
        label[higher] = value
        np.copyto(best, logits[value], where=higher)
    return label


def foreground(logits: np.ndarray) -> np.ndarray:
    """float32 probability [k, j, i] of any label but background, from logits [c, k, j, i]."""
    if len(logits) == 2:
        return torch.sigmoid(torch.from_numpy(logits[1] - logits[0])).numpy()
    return 1 - torch.softmax(torch.from_numpy(logits), 0)[0].numpy()


def _notes(prepared: Prepared, name: str) -> tuple[str, ...]:
    window = prepared.plan.patch_size_kji
    if all(size >= width for size, width in zip(prepared.shape, window, strict=True)):
        return ()
    have, want = ("x".join(str(n) for n in reversed(shape)) for shape in (prepared.shape, window))
    return (
        f"{name} is smaller ({have} voxels at the model's spacing) than one window of the model ({want}): it is filled "
        "up with empty space, and results near its ends are less certain.",
    )
