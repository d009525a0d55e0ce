"""Writing files so that none is ever seen half-written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` only when the block ends well.

    The stand-in keeps the file's endings (``.nii.gz``), since many writers choose the format by them, and has a fixed
    name, so that what a killed process left is overwritten by the next write instead of gathering.

    Raises:
        InputError: the system refused the write (disk full, folder missing or read-only); ``path`` is as it was.
    """
    path = Path(path)
    partial = path.with_name(f".partial-{path.name}")
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


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def flush_to_disk(path: Path) -> None:
    """Return once the disk has the whole file.

    Raises:
        OSError: it does not take it.
    """
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
