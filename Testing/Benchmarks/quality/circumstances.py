"""Where and by which code a row was made, in words."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import torch

from DGSTSegmentLib import __file__ as library

TRAINING_ROOMS = ("dgst", "imaging", "networks", "training")
"""What a fine-tuned network and its measures depend on."""
DATA_VARIABLE = "DGST_DATA"


def shared_data() -> Path:
    """Folder of real scans: beside the repository, or where ``DGST_DATA`` says."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    return Path(os.environ.get(DATA_VARIABLE) or beside)


@lru_cache(maxsize=1)
def training_code() -> str:
    """Fingerprint of the code that trains and measures: what a commit cannot tell while files differ from it."""
    return digest_of_files(files_of_rooms(TRAINING_ROOMS))


def files_of_rooms(rooms: Iterable[str]) -> list[Path]:
    """The Python files of these folders of DGSTSegmentLib."""
    return [path for room in rooms for path in (Path(library).parent / room).rglob("*.py")]


def digest_of_files(files: Iterable[Path]) -> str:
    """Of the names and bytes of files, in the order of their paths."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def digest_of_texts(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def commit_of_code() -> str | None:
    """The commit that is checked out, with ``+changes`` where files differ from it; None outside git."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}+changes" if _git("status", "--porcelain", "--untracked-files=no") else commit


@lru_cache(maxsize=2)
def processor_name(device: str) -> str:
    """The GPU's name, or the CPU's with the number of cores that this process may use and its vector instructions.

    Processors of one name differ in them, and in time by a factor of two or three.
    """
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{_cpu_name()}, {usable_cores()} cores, {torch.backends.cpu.get_cpu_capability()}"


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_name() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
