"""The rows of a benchmark on disk, with who made them and which parts are finished."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from quality.circumstances import TRAINING_ROOMS, commit_of_code, digest_of_files, files_of_rooms, processor_name
from quality.json_lines import JsonLines

from DGSTSegmentLib.errors import InputError

from .part import Context, Row

ROWS_FILE = "rows.jsonl"
_MEASURED_ROOMS = (*TRAINING_ROOMS, "engine", "cli")
_UNMEASURED_FILES = ("command.py", "report.py", "figures.py", "journal.py", "goals.py")


class Journal:
    """What was measured in a folder, one JSON line each: a part began, a row, a part is finished.

    A part that begins anew on a device replaces what it measured there before once it is finished; until then what was
    finished before counts.

    Args:
        folder: made where it is missing.

    Raises:
        InputError: the folder cannot be made.
    """

    def __init__(self, folder: Path):
        self.path = folder / ROWS_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"The folder {folder} cannot be made ({error}); choose another one by --out.") from error
        self._lines = JsonLines(self.path)

    def begin(self, part: str, made_by: dict[str, Any]) -> None:
        """A part starts to measure."""
        self._lines.append({"began": part, "made_by": made_by})

    def add(self, row: Row) -> None:
        self._lines.append({"row": row})

    def finish(self, part: str, made_by: dict[str, Any]) -> None:
        self._lines.append({"finished": part, "made_by": made_by})

    def is_finished(self, part: str, made_by: dict[str, Any]) -> bool:
        """Whether the part's rows on that device are complete and by the same code, settings and machine."""
        last = self._last(part, made_by["settings"]["device"])
        return last is not None and last["finished"] and _same(last["made_by"], made_by)

    def parts(self) -> list[dict[str, Any]]:
        """The latest finished measurement of every part on every device; where none is finished, the latest begun.

        Returns:
            ``part``, ``device``, ``made_by``, ``finished`` and ``rows`` of each, in the order of their first beginning.
        """
        found: dict[tuple[str, str], dict[str, Any]] = {}
        current: dict[str, Any] = {}
        for line in self._lines.read():
            if "began" in line:
                key = (line["began"], line["made_by"]["settings"]["device"])
                current = {"part": key[0], "device": key[1], "made_by": line["made_by"], "finished": False, "rows": []}
                if not (key in found and found[key]["finished"]):
                    found[key] = current
            elif "row" in line:
                current["rows"].append(line["row"])
            else:
                current["finished"] = True
                found[current["part"], current["device"]] = current
        return list(found.values())

    def _last(self, part: str, device: str) -> dict[str, Any] | None:
        return next((one for one in self.parts() if (one["part"], one["device"]) == (part, device)), None)


def made_by(context: Context, command: str = "") -> dict[str, Any]:
    """By which code, on what, how and by which command line a part is measured, as plain data."""
    return {
        "command": command,
        "commit": commit_of_code(),
        "code": code_fingerprint(),
        "machine": processor_name(context.device),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "settings": context.setting(rounds=context.rounds, quick=context.quick),
    }


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """Of everything that is measured or measures: what a commit cannot tell while files differ from it."""
    own = [path for path in Path(__file__).parent.rglob("*.py") if path.name not in _UNMEASURED_FILES]
    return digest_of_files([*files_of_rooms(_MEASURED_ROOMS), *own])


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Another commit or command that changes nothing of what is measured makes no difference."""
    return all(one.get(name) == other[name] for name in other if name not in ("commit", "command"))
