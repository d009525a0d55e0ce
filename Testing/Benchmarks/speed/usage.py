"""How long a whole command takes, and how much memory it and everything it starts hold at most."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from DGSTSegmentLib.errors import InputError

from . import processes

_SECONDS_BETWEEN_LOOKS = 0.02


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Args:
        seconds: from its start to its end.
        peak_mb: resident memory (2^20 bytes) of its whole process tree at most, by looking every 20 ms.
    """

    seconds: float
    peak_mb: float


def run_whole(command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> Usage:
    """Run a command to its end.

    Raises:
        InputError: it failed; the end of its log says why.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    with open(log, "w", encoding="utf-8") as output:
        began = time.perf_counter()
        process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, env=dict(environment))
        peak = _peak_until_end(process)
        seconds = time.perf_counter() - began
    if process.returncode:
        raise InputError(f"a command of a contestant failed with code {process.returncode}; the end of {log} says why.")
    return Usage(seconds, peak / 2**20)


def seconds_to_line(command: Sequence[str | Path], environment: Mapping[str, str], pattern: str, log: Path) -> float:
    """Seconds from a command's start to the first line it prints in which ``pattern`` is found; it is ended then.

    Raises:
        InputError: it ended without such a line; its log shows what it printed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        encoding="utf-8",
        errors="replace",
    )
    try:
        with open(log, "w", encoding="utf-8") as output:
            for line in process.stdout:
                if re.search(pattern, line):
                    return time.perf_counter() - began
                output.write(line)
    finally:
        processes.end(process)
    raise InputError(f"a command ended before it printed what was waited for ({pattern}); {log} shows what it did.")


def _peak_until_end(process: subprocess.Popen) -> int:
    """Most bytes that the process tree held at one look; returns when the process has ended."""
    ended, peak = threading.Event(), 0

    def look() -> None:
        nonlocal peak
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            peak = max(peak, processes.resident_bytes(process.pid))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        process.wait()
    finally:
        ended.set()
        looking.join()
        processes.end(process)
    return peak
