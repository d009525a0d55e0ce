"""Volumes on their way between client and engine: ``.npy`` files in a folder that lives as long as the client.

Standard library and numpy only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import atomic_path
from ..errors import InputError
from ..imaging.arrays import save_array
from ..imaging.geometry import Geometry
from ..imaging.volume import Volume
from ..locks import is_locked, try_lock

PREFIX = "dgst-session-"
_LOCK = "lock"
_YOUNG_SECONDS = 30.0  # a folder this fresh may belong to a session that has not taken its lock yet


class Session:
    """A private folder for volumes; it ends with ``close``, and a dead session's with the next one's start.

    A session holds a lock on a file of its folder. The system frees it when the process ends, however it ends, so that
    a folder whose lock can be taken has no owner any more.

    Args:
        parent: where the folder is made; the system's folder for temporary files by default.

    Raises:
        InputError: no folder can be made there.
    """

    def __init__(self, parent: str | os.PathLike | None = None):
        parent = Path(parent or tempfile.gettempdir())
        remove_leftovers(parent)
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        except OSError as error:
            raise InputError(
                f"{parent} takes no temporary files ({error.strerror}); free some space there or set TMPDIR to another "
                "folder."
            ) from error
        self._lock = open(self.folder / _LOCK, "wb")  # noqa: SIM115 held open as long as the session lives
        try_lock(self._lock)
        self._count = 0

    def put(self, volume: Volume) -> dict[str, Any]:
        """Store a volume; returns what a message carries in its place.

        Raises:
            InputError: the disk is full.
        """
        self._count += 1
        return write_array(volume, self.folder / f"{self._count:04}.npy")

    def path(self, name: str) -> str:
        """Where the engine may leave a volume for this session."""
        self._count += 1
        return str(self.folder / f"{self._count:04}-{name}.npy")

    def take(self, reference: dict[str, Any]) -> Volume:
        """Read a volume that the engine left here, and remove its file."""
        volume = read_array(reference)
        Path(reference["array"]).unlink()
        return volume

    def close(self) -> None:
        """Remove the folder and everything in it."""
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def write_array(volume: Volume, path: str | os.PathLike) -> dict[str, Any]:
    """Write the voxels as ``.npy``; returns the reference ``{"array": path, "ijk_to_world": 4x4}`` (LPS mm).

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_path(path) as partial:
        save_array(partial, volume.array)
    return {"array": str(path), "ijk_to_world": volume.geometry.ijk_to_world.tolist()}


def read_array(reference: dict[str, Any]) -> Volume:
    """The volume that ``write_array`` made ``reference`` for.

    Raises:
        InputError: the file is gone or is not an array of three axes.
    """
    try:
        array = np.load(reference["array"], allow_pickle=False)
        return Volume(array, Geometry(array.shape, np.asarray(reference["ijk_to_world"])))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"The volume {reference.get('array')} cannot be read ({error}); send it again.") from error


def remove_leftovers(parent: str | os.PathLike) -> list[Path]:
    """Remove the folders of sessions that ended without cleaning up; returns them."""
    removed = []
    for folder in Path(parent).glob(f"{PREFIX}*"):
        if _is_leftover(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _is_leftover(folder: Path) -> bool:
    """Whether its owner has ended, perhaps before it had a lock; another user's folder is none, nor one of which it
    cannot be told."""
    try:
        is_young = time.time() - folder.stat().st_mtime < _YOUNG_SECONDS
    except OSError:
        return False
    return not is_young and is_locked(folder / _LOCK) is False
