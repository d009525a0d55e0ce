"""A process with everything that it started."""

from __future__ import annotations

import contextlib
import subprocess

import psutil

_SECONDS_TO_END = 10.0


def tree(pid: int) -> list[psutil.Process]:
    """The process and its descendants; empty where it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def resident_bytes(pid: int) -> int:
    """Resident memory of the process and its descendants; memory that they share counts once for each."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_info().rss
    return total


def end(process: subprocess.Popen) -> None:
    """End the process and its descendants, by force where asking does not help, and close its pipes."""
    members = tree(process.pid) if process.poll() is None else []
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.terminate()
    _, alive = psutil.wait_procs(members[1:], _SECONDS_TO_END)
    for member in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):  # what was not sent yet is lost with its reader
                stream.close()
