"""Finished pieces of work, one JSON line each; several processes share them without doing anything twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .json_lines import JsonLines

Row = dict[str, Any]

ROWS_FILE, SCRATCH_FOLDER = "rows.jsonl", "scratch"


class Rows:
    """The rows of one benchmark, by key.

    A row is on disk whole or not at all. Locks are the system's own, which lets go of them when their process ends,
    however it ends.

    Args:
        folder: of the benchmark; made where it is missing. ``scratch`` in it can be deleted at any time between runs.
    """

    def __init__(self, folder: Path):
        self.path = folder / ROWS_FILE
        self._lines = JsonLines(self.path)
        self.scratch = folder / SCRATCH_FOLDER
        self._claims = self.scratch / "claims"
        self._claims.mkdir(parents=True, exist_ok=True)
        (self.scratch / ".gitignore").write_text("*\n", encoding="utf-8")

    def lock(self) -> FileLock:
        """Held while something that all processes share is read and written."""
        return FileLock(self.scratch / "rows.lock")

    def read(self) -> dict[str, Row]:
        """All rows by key, in the order in which they were written."""
        return {row["key"]: row for row in self._lines.read()}

    def get(self, key: str) -> Row | None:
        return self.read().get(key)

    def append(self, row: Row) -> bool:
        """Write a row; False, with nothing written, where its key has one already."""
        with self.lock():
            if row["key"] in self.read():
                return False
            self._lines.append(row, sort_keys=True)
        return True

    @contextmanager
    def claimed(self, key: str) -> Iterator[bool]:
        """Whether this process alone may do ``key`` now: nobody else is at it, and it has no row yet."""
        lock = FileLock(self._claims / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield key not in self.read()
        finally:
            lock.release()
