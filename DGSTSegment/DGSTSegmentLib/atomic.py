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
    with _stand_ins_of(path) as (partial,):
        yield partial
        flush_to_disk(partial)
        os.replace(partial, path)


@contextmanager
def atomic_pair(first: Path, second: Path) -> Iterator[tuple[Path, Path]]:
    """Paths beside two files that belong together, to write to; both take their places only when the block ends well.

    A process that is killed in the moment between the two leaves the new ``first`` beside the old ``second``, and what
    ``first`` was under another name: ``is_cut_off`` tells.

    Raises:
        InputError: the system refused the write; both files are as they were.
    """
    with _stand_ins_of(first, second) as partials:
        yield partials
        for partial in partials:  # what the disk does not take it says here, while nothing is changed
            flush_to_disk(partial)
        with _put_back_on_failure(first):
            os.replace(partials[0], first)
            os.replace(partials[1], second)


def is_cut_off(first: Path) -> bool:
    """Whether a process may have been killed while it put a pair in place, of which ``first`` is the first."""
    return _set_aside(first).exists()


@contextmanager
def _stand_ins_of(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Their stand-ins, of which none is left afterwards; what the system refuses in the block becomes a sentence."""
    partials = tuple(_stand_in(path) for path in paths)
    try:
        yield partials
    except OSError as error:
        reason, names = error.strerror or str(error), " and ".join([str(paths[0]), *(path.name for path in paths[1:])])
        raise InputError(
            f"{names} could not be written ({reason}); free some space or choose another folder, nothing was changed."
        ) from error
    finally:
        for partial in partials:
            with suppress(OSError):  # no such folder, a name too long: what the block failed of already
                partial.unlink(missing_ok=True)


@contextmanager
def _put_back_on_failure(path: Path) -> Iterator[None]:
    """Whatever the block fails of, ``path`` is what it was before, there or not."""
    before, existed, was_cut_off = _set_aside(path), path.exists(), is_cut_off(path)
    if existed:
        os.replace(path, before)
    try:
        yield
    except BaseException:
        if existed:
            os.replace(before, path)
        else:
            path.unlink(missing_ok=True)
        if was_cut_off:  # and still is
            before.touch()
        raise
    before.unlink(missing_ok=True)


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


def _set_aside(path: Path) -> Path:
    return path.with_name(f"{PARTIAL}before-{path.name}")


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
