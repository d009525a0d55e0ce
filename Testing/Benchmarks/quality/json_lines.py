"""A file of JSON, one value a line, that a killed process leaves whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class JsonLines:
    """Values in the order in which they were written.

    A line is on disk whole or not at all: what a killed process left of one is no line, and the next append cuts it
    off. Who shares the file with other processes holds a lock while appending.

    Args:
        path: of the file; made by the first append.
    """

    def __init__(self, path: Path):
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """All of them; none where there is no file yet."""
        return [json.loads(line) for line in self._content().split(b"\n")[:-1]]

    def append(self, value: dict[str, Any], sort_keys: bool = False) -> None:
        """Write one line and see it onto the disk."""
        line = (json.dumps(value, sort_keys=sort_keys, allow_nan=False) + "\n").encode()
        whole_lines = self._content().rfind(b"\n") + 1
        with open(self.path, "ab") as file:
            file.truncate(whole_lines)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _content(self) -> bytes:
        return self.path.read_bytes() if self.path.exists() else b""
