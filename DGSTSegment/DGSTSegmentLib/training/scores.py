"""Class scores of a prepared volume from overlapping windows; when memory runs out, the same answer in less of it."""

from __future__ import annotations

import errno
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from ..networks.architectures import outputs
from .devices import DTYPES, autocast, chosen_kernels
from .events import Reporter
from .memory import OutOfMemory, give_back_memory, is_out_of_memory
from .windows import gaussian_weights, window_starts


class NoNumbers(InputError):
    """Networks answer with values that are no numbers, by whatever means."""


@dataclass(frozen=True)
class Means:
    """What the sum of windows is computed with.

    Args:
        device: where the network runs.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        tile_batch: windows that pass through the network together.
        keep_sum: ``device``, ``memory`` (the machine's) or ``disk`` (a temporary file).
    """

    device: torch.device
    precision: str
    tile_batch: int
    keep_sum: str

    @classmethod
    def most(cls, device: torch.device, precision: str) -> Means:
        """The fastest means for a device."""
        if device.type == "cuda":
            return cls(device, precision, tile_batch=4, keep_sum="device")
        return cls(device, precision, tile_batch=1, keep_sum="memory")

    def less(self) -> tuple[Means, str] | None:
        """The next smaller means and a sentence saying what changed; None when there are none. Never the window."""
        if self.tile_batch > 1:  # first, since it costs the least time: a GPU is busy with one window too
            return replace(self, tile_batch=1), "GPU memory ran out: windows are computed one at a time."
        if self.device.type == "cuda" and self.keep_sum == "device":
            return replace(self, keep_sum="memory"), "GPU memory ran out: the result is put together in main memory."
        if self.device.type == "cuda":
            cpu = replace(self, device=torch.device("cpu"), precision="fp32")
            return cpu, "GPU memory ran out: the prediction goes on on the CPU, which takes longer."
        if self.keep_sum == "memory":
            return replace(self, keep_sum="disk"), "Memory ran out: the result is put together on disk."
        return None


def window_scores(
    networks: Sequence[nn.Module],
    array: np.ndarray,
    window: tuple[int, int, int],
    means: Means,
    reporter: Reporter | None = None,
) -> tuple[np.ndarray, Means]:
    """Logits of a prepared volume, averaged over networks and overlapping windows.

    Windows of ``window`` voxels, half overlapping, Gaussian weights, as nnU-Net's predictor without mirroring. A volume
    smaller than a window is filled up with 0 for the network.

    Args:
        networks: in evaluation mode; more than one is an ensemble, whose logits are averaged.
        array: float32 [1, k, j, i].
        window: voxels (k, j, i).
        means: what to begin with; less is taken when memory runs out, and said in a note.
        reporter: hears of every window.

    Returns:
        float32 [c, k, j, i], and the means that sufficed.

    Raises:
        OutOfMemory: not even the smallest means sufficed, or the disk has no room for them.
        NoNumbers: so the networks answer in fp32 too.
        Stopped: the user asked to stop.
    """
    reporter = reporter or Reporter()
    while True:
        try:
            scores = _window_scores(networks, array, window, means, reporter)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            smaller = means.less()
        else:
            if np.isfinite(scores).all():
                return scores, means
            means = _exact(means)
            reporter.note("The network's values went beyond what its number format holds: computed anew in fp32.")
            continue
        give_back_memory()
        if smaller is None:
            raise OutOfMemory(
                f"Memory ran out while predicting a volume of {' x '.join(map(str, array.shape[:0:-1]))} voxels; "
                "close other programs, or crop the scan to the body."
            )
        means, note = smaller
        reporter.note(note)


def _exact(means: Means) -> Means:
    """Means whose numbers reach far enough where those of ``means`` did not.

    Raises:
        NoNumbers: these are such already, so the weights are to blame.
    """
    if means.precision == "fp32":
        raise NoNumbers(
            "The model answers with values that are no numbers: its weights are damaged, or its training diverged; "
            "choose another."
        )
    return replace(means, precision="fp32")


def _window_scores(networks, array, window, means: Means, reporter: Reporter) -> np.ndarray:
    for network in networks:  # not in inference mode, in which their parameters could not be trained any more
        network.to(means.device).eval()
    with chosen_kernels(means.device):
        return _summed(networks, array, window, means, reporter)


@torch.inference_mode()
def _summed(networks, array, window, means: Means, reporter: Reporter) -> np.ndarray:
    padded, inside = _filled_up(array, window)
    starts = window_starts(padded.shape[1:], window)
    phase = reporter.phase("predict", len(starts) * len(networks))
    home = means.device if means.keep_sum == "device" else torch.device("cpu")
    weights = torch.from_numpy(gaussian_weights(window)).to(home)
    weight_sum = torch.zeros(padded.shape[1:], device=home)
    for start in starts:
        weight_sum[_box(start, window)] += weights
    total = None
    for network in networks:
        answers = _Answers(network, means)
        for first in range(0, len(starts), means.tile_batch):
            batch = starts[first : first + means.tile_batch]
            tiles = torch.stack([padded[(slice(None), *_box(start, window))] for start in batch])
            scores = answers.of(tiles).to(home)
            if total is None:
                total = _zeros((scores.shape[1], *padded.shape[1:]), home, means.keep_sum)
            for start, score in zip(batch, scores, strict=True):
                total[(slice(None), *_box(start, window))] += score * weights
                phase.advance()
    total /= weight_sum.mul_(len(networks))
    return total[(slice(None), *inside)].cpu().numpy()


class _Answers:
    """What a network says of windows.

    Where nothing varies in them to the precision it computes with, as in the air around the body once it is clipped,
    one answer is kept for all that are alike: it is what the network would say again.
    """

    def __init__(self, network: nn.Module, means: Means):
        self._network, self._means = network, means
        self._kept: dict[tuple[int, float], torch.Tensor] = {}

    def of(self, tiles: torch.Tensor) -> torch.Tensor:
        """Scores float32 [n, c, k, j, i] of tiles [n, 1, k, j, i]."""
        value = self._only_value(tiles)
        if value is None:
            return self._computed(tiles)
        key = (len(tiles), value)
        if key not in self._kept:
            self._kept[key] = self._computed(tiles)
        return self._kept[key]

    def _computed(self, tiles: torch.Tensor) -> torch.Tensor:
        with autocast(self._means.device, self._means.precision):
            return outputs(self._network(tiles.to(self._means.device)))[0].float()

    def _only_value(self, tiles: torch.Tensor) -> float | None:
        lowest, highest = (value.to(DTYPES[self._means.precision]).item() for value in tiles.aminmax())
        return lowest if lowest == highest else None


def _filled_up(array: np.ndarray, window: tuple[int, ...]) -> tuple[torch.Tensor, tuple[slice, ...]]:
    """The array with 0 around it up to a window's size, and where it lies in there."""
    missing = [max(0, width - size) for size, width in zip(array.shape[1:], window, strict=True)]
    before = [n // 2 for n in missing]
    inside = tuple(slice(b, b + size) for b, size in zip(before, array.shape[1:], strict=True))
    if any(missing):
        array = np.pad(array, [(0, 0), *((b, n - b) for b, n in zip(before, missing, strict=True))])
    return torch.from_numpy(np.ascontiguousarray(array)), inside


def _zeros(shape: tuple[int, ...], home: torch.device, keep_sum: str) -> torch.Tensor:
    if keep_sum != "disk":
        return torch.zeros(shape, device=home)
    size = 4 * math.prod(shape)
    try:
        with tempfile.TemporaryFile() as file:
            _reserve(file, size)
            return torch.from_numpy(np.memmap(file, dtype=np.float32, mode="w+", shape=shape))
    except OSError as error:
        place = tempfile.tempdir or "the folder of temporary files"  # none is set where none takes a file
        raise OutOfMemory(
            f"Memory ran out while predicting, and {place} has no room for the {size / 1e6:.0f} MB of the result "
            f"({error.strerror or error}); free some space there, close other programs, or crop the scan to the body."
        ) from error


def _reserve(file: IO[bytes], size: int) -> None:
    """Take the disk's space for ``size`` bytes now: where it ends only when a mapped file is written to, the process is
    killed. Left out where a system has no call for it; Windows takes the space at once anyhow.

    Raises:
        OSError: the disk has no such space.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # which a file system says that cannot reserve
            raise


def _box(start: tuple[int, ...], window: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(first, first + width) for first, width in zip(start, window, strict=True))
