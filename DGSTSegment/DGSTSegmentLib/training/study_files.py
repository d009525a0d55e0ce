"""The plain files of a study: descriptions and folders. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Set
from itertools import count
from pathlib import Path
from typing import Any

from ..atomic import write_text
from ..errors import InputError


def entries(folder: Path) -> list[Path]:
    """What lies in a folder of the study, by name; nothing where there is no folder.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); choose another training folder.") from error


def subfolders(folder: Path, holding: str) -> list[Path]:
    """The folders in ``folder`` that hold a file of that name; hidden ones are half-written."""
    return [p for p in entries(folder) if not p.name.startswith(".") and (p / holding).is_file()]


def read_json(path: Path, otherwise: Any = ...) -> Any:
    """The description in a file.

    Args:
        otherwise: what there is where the file is missing; without it that is an error.

    Raises:
        InputError: it is missing, cannot be read, or is no description.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if otherwise is ...:
            raise InputError(f"{path} is gone; choose the training folder again.") from None
        return otherwise
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); move it away, or choose another training folder."
        ) from error
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no description; move it away, or choose another training folder.")
    return data


def numbered(name: str, taken: Set[str]) -> str:
    """The name, with the first free number behind it where it is taken: ``Thorax``, ``Thorax (2)``, ..."""
    names = (name if n == 1 else f"{name} ({n})" for n in count(1))
    return next(one for one in names if one not in taken)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a description, atomically."""
    write_text(path, json.dumps(data, indent=2) + "\n")
