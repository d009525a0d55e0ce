"""A process that trains some steps and says how much memory they took: ``python -m speed.memory_child TASK``."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch

from DGSTSegmentLib.training.memory import is_out_of_memory

from .networks import Subject
from .training_step import DEFAULT_DGST, DefaultDGSTStep, DGSTStep, TorchStep, Training

STEPS = 3
"""The optimizer's state exists from the end of the first one; the others have all of it at their peak."""
GAMMA = 2
_SECONDS_BETWEEN_LOOKS = 0.001


def peak_of(task: dict[str, Any]) -> float:
    """MB (2^20 bytes) that the steps held at most above what network and batch take.

    Args:
        task: ``subject`` (fields of ``Subject``), ``device``, ``precision``, ``threads`` and ``contestant``.
    """
    torch.set_num_threads(task["threads"])
    device = torch.device(task["device"])
    training = Training(Subject(**task["subject"]), device, task["precision"])
    steps = {
        "DGST in backward": lambda: DGSTStep(training.network, GAMMA, in_backward=True),
        "DGST": lambda: DGSTStep(training.network, GAMMA),
        DEFAULT_DGST: lambda: DefaultDGSTStep(training.network),
        "SGD": lambda: TorchStep(training.parameters, "SGD"),
        "AdamW": lambda: TorchStep(training.parameters, "AdamW"),
    }

    def train() -> None:
        step = steps[task["contestant"]]()
        for _ in range(STEPS):
            training.forward_backward()
            step()
            training.clear_gradients()

    return highest_on_gpu(train) if device.type == "cuda" else highest_on_cpu(train)


def highest_on_gpu(work: Callable[[], None]) -> float:
    """MB by torch's own count."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def highest_on_cpu(work: Callable[[], None]) -> float:
    """MB of the process that are in memory, by the system's own record where it can be started anew (Linux), and
    otherwise by a look every millisecond."""
    before = psutil.Process().memory_info().rss
    recorded = _restart_record()
    watch = _Watch()
    with watch:
        work()
    most = max(watch.most, _recorded_peak()) if recorded else watch.most
    return (most - before) / 2**20


class _Watch:
    """Looks at the process's memory until the block ends; ``most`` is in bytes."""

    def __init__(self) -> None:
        self.most = 0
        self._process, self._ended = psutil.Process(), threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            self.most = max(self.most, self._process.memory_info().rss)


def _restart_record() -> bool:
    """Whether Linux forgot the highest mark so far."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _recorded_peak() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return 0


def main() -> int:
    try:
        answer = {"fits": True, "mb": peak_of(json.loads(sys.argv[1]))}
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        answer = {"fits": False}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
