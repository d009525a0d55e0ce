"""Peak memory of a block of work."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading

import psutil
import torch

_SECONDS_BETWEEN_LOOKS = 0.01


class PeakMemory:
    """Looks every 10 ms at how much memory the process holds; on a GPU torch's own count is used.

    Attributes:
        mb: how many MB (2^20 bytes) more than before the block were held at most; known once the block ended.
    """

    def __init__(self, device: torch.device):
        self._device, self.mb = device, 0.0
        self._ended = threading.Event()

    def __enter__(self) -> PeakMemory:
        _give_back_freed_memory()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
        else:
            self._process = psutil.Process()
            self._before = self._most = self._process.memory_info().rss
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._looking.join()
        if self._device.type == "cuda":
            self._most = torch.cuda.max_memory_allocated(self._device)
        self.mb = (self._most - self._before) / 2**20

    def _look(self) -> None:
        while self._device.type != "cuda" and not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            self._most = max(self._most, self._process.memory_info().rss)


def _give_back_freed_memory() -> None:
    """Where the C library keeps freed memory for itself, let it go, so that earlier work does not hide a peak."""
    gc.collect()
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
