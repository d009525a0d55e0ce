"""Where results may go, and under which name: asked before minutes of work, not after."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..atomic import holds_nothing
from ..errors import InputError

VOLUME_ENDINGS = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha")
TABLE_ENDINGS = (".csv", ".tsv", ".txt")


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, allow_nan=False))


def told(notes: Iterable[str]) -> list[str]:
    """The notes, each once, after they were shown on stderr."""
    once = list(dict.fromkeys(notes))
    for note in once:
        print(note, file=sys.stderr)
    return once


def volume_path(path: str, *inputs: str | None) -> str:
    """The absolute path of a volume to write.

    Args:
        inputs: paths of what is read, which is never overwritten, and of what else is written.

    Raises:
        InputError: its ending is not a volume's, its folder does not exist, or it is a folder or an input.
    """
    if not path.lower().endswith(VOLUME_ENDINGS):
        raise InputError(f"{path} has no ending of a volume; name it {', '.join(VOLUME_ENDINGS[:-1])} or .mha.")
    target = file_path(path, *inputs)
    if not target.lower().endswith(VOLUME_ENDINGS):
        raise InputError(f"{path} is a link to {target}, which has no ending of a volume; give another name.")
    return target


def table_path(path: str, *inputs: str | None) -> str:
    """As ``volume_path``, for a table.

    Raises:
        InputError: its ending is not a table's, or as ``file_path``.
    """
    target = file_path(path, *inputs)
    for name in (path, target):
        if not name.lower().endswith(TABLE_ENDINGS):
            raise InputError(f"{name} has no ending of a table; name it {', '.join(TABLE_ENDINGS[:-1])} or .txt.")
    return target


def file_path(path: str, *inputs: str | None) -> str:
    """The absolute path of a file to write, a link followed; as ``volume_path``, with any ending.

    Raises:
        InputError: its folder does not exist or cannot be written to, or it is a folder, a device or an input.
    """
    target = Path(path).absolute()
    if target.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file in it.")
    if target.exists() and not target.is_file():
        raise InputError(f"{path} is a device or a pipe, which would be replaced by a file; give a file's name.")
    if target.is_symlink():
        target = Path(os.path.realpath(target))
    if not target.parent.is_dir():
        raise InputError(f"{path} cannot be written, there is no folder {target.parent}; make it or choose another.")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{path} cannot be written, the folder {target.parent} is read-only; choose another.")
    if any(given is not None and _same_file(target, Path(given)) for given in inputs):
        raise InputError(f"{path} would be overwritten, it is an input or another result too; choose another name.")
    return str(target)


def results_folder(path: str) -> str:
    """The absolute path of a folder for volumes, which may be there.

    Raises:
        InputError: it is a file or is called like one, or it cannot be made.
    """
    folder = Path(path).absolute()
    if folder.is_dir():
        return str(folder)
    if folder.exists() or path.lower().endswith(VOLUME_ENDINGS):
        raise InputError(f"{path} is a file's name; for several CTs give a folder, in which each has a file.")
    if not folder.parent.is_dir() or not os.access(folder.parent, os.W_OK):
        raise InputError(f"{path} cannot be made in {folder.parent}; make that folder, or choose another.")
    return str(folder)


def new_folder(path: str, holds: str = "a run") -> str:
    """The absolute path of a folder for results that holds nothing yet.

    Raises:
        InputError: it holds files already, is a file, or cannot be made.
    """
    folder = Path(path).absolute()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{path} is a file; give a folder for {holds}.")
    if folder.is_dir() and not holds_nothing(folder):
        raise InputError(f"{path} holds other files already; give a new folder for {holds}.")
    nearest = _nearest_existing(folder)
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise InputError(f"{path} cannot be written to; give another folder for {holds}.")
    return str(folder)


def _nearest_existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _same_file(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()
