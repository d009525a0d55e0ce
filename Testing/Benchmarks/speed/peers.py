"""Environments of their own for the programs that the speed benchmark compares with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from DGSTSegmentLib.atomic import write_text
from DGSTSegmentLib.errors import InputError

_STAMP = "installed.json"


@dataclass(frozen=True)
class Peer:
    """A program to compare with.

    Args:
        name: of its environment's folder.
        requirements: what pip installs.
    """

    name: str
    requirements: tuple[str, ...]


def _same(package: str) -> str:
    """The version of a package that this project runs with, so that both sides compute with the same."""
    return f"{package}=={version(package).split('+')[0]}"


NNUNET = Peer("nnunet", (_same("torch"), "nnunetv2==2.6.0", "dynamic-network-architectures<0.5"))
MONAI = Peer(
    "monai",
    tuple(_same(package) for package in ("torch", "monai", "scipy", "dynamic-network-architectures")) + ("nibabel>=5",),
)
_ENVIRONMENTS = "environments"


def python_of(peer: Peer, work: Path) -> Path | None:
    """The interpreter of the peer's finished environment; None where it is not there."""
    folder = work / _ENVIRONMENTS / peer.name
    return _program(folder, "python") if _stamp(folder) == list(peer.requirements) else None


def install(peer: Peer, work: Path, say: Callable[[str], None]) -> Path:
    """The interpreter of an environment with the peer, made on first use.

    Args:
        work: where environments are kept.
        say: is told when this takes minutes.

    Raises:
        InputError: pip failed, for the reason at the end of the log that is named.
    """
    standing = python_of(peer, work)
    if standing is not None:
        return standing
    folder = work / _ENVIRONMENTS / peer.name
    say(f"installing {', '.join(peer.requirements)} into an environment of its own; this happens once")
    venv.create(folder, with_pip=True, clear=True, symlinks=os.name != "nt")
    python, log = _program(folder, "python"), folder / "pip.log"
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *peer.requirements]
    with open(log, "w", encoding="utf-8") as output:
        code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        raise InputError(f"{peer.name} could not be installed; the end of {log} says why.")
    write_text(folder / _STAMP, json.dumps(peer.requirements))
    return python


def program_of(python: Path, name: str) -> Path:
    """A console program beside an environment's interpreter."""
    return python.with_name(f"{name}.exe" if os.name == "nt" else name)


def threads_environment(threads: int, device: str) -> dict[str, str]:
    """Environment variables that hold a process, and all that it starts, to so many cores, and to the CPU if it is one.

    nnU-Net's own numbers of processes are among them.
    """
    libraries = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
    numbers = {f"{library}_NUM_THREADS": str(threads) for library in libraries}
    numbers |= {
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads),
        "nnUNet_def_n_proc": str(threads),
        "nnUNet_n_proc_DA": str(threads),
        "nnUNet_compile": "f",
    }
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    return {**os.environ, **numbers, **hidden}


def _program(folder: Path, name: str) -> Path:
    return folder / "Scripts" / f"{name}.exe" if os.name == "nt" else folder / "bin" / name


def _stamp(folder: Path) -> list[str] | None:
    try:
        return json.loads((folder / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


if __name__ == "__main__":  # makes all environments: python -m speed.peers FOLDER
    for known in (NNUNET, MONAI):
        print(install(known, Path(sys.argv[1]), print))
