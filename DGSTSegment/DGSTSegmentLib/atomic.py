"""Writing files and folders so that none is ever seen half-written."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import InputError

PARTIAL = ".partial-"
"""How the names of stand-ins begin, of which a killed process may leave one."""


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` only when the block ends well.

    The stand-in keeps the file's endings (``.nii.gz``), since many writers choose the format by them, and has a fixed
    name, so that what a killed process left is overwritten by the next write instead of gathering.

    Raises:
        InputError: the system refused the write (disk full, folder missing or read-only); ``path`` is as it was.
    """
    path = Path(path)
    partial = _stand_in(path)
    try:
        yield partial
        flush_to_disk(partial)
        os.replace(partial, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path} could not be written ({reason}); free some space or choose another folder, nothing was changed."
        ) from error
    finally:
        with suppress(OSError):  # no such folder, a name too long: what the block failed of already
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder beside ``path``, parents included, that becomes ``path`` only when the block ends well.

    Raises:
        OSError: the system refused it, or ``path`` is a folder that holds something; no stand-in is left.
    """
    partial = _stand_in(path)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def holds_nothing(folder: Path) -> bool:
    """Whether a folder is empty, but for what a killed process left half-written."""
    return all(entry.name.startswith(PARTIAL) for entry in folder.iterdir())


def _stand_in(path: Path) -> Path:
    return path.with_name(f"{PARTIAL}{path.name}")


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_table(path: str | os.PathLike, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows of cells as a table, atomically; None is an empty cell.

    Cells are separated by commas, in a ``.tsv`` by tabs.

    Raises:
        InputError: the file could not be written.
    """
    text = io.StringIO()
    separator = "\t" if os.fspath(path).lower().endswith(".tsv") else ","
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def flush_to_disk(path: Path) -> None:
    """Return once the disk has the whole file.

    Raises:
        OSError: it does not take it.
    """
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
