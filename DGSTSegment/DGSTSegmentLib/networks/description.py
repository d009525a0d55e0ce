"""The file that makes a folder a model package: ``card.json``. No torch here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .card import ModelCard
from .plan import Plan

CARD_FILE = "card.json"
WEIGHTS_FILE = "weights.safetensors"
DELTA_FILE = "delta.safetensors"
FORMAT = 1


@dataclass(frozen=True)
class Description:
    """All that a package says beside its weights.

    Args:
        card: for people.
        plan: its preprocessing.
        architecture: its network, as ``architectures.build`` takes it.
        deep_supervision: whether its lower score maps were trained.
    """

    card: ModelCard
    plan: Plan
    architecture: dict[str, Any]
    deep_supervision: bool = True

    def to_text(self) -> str:
        """What stands in ``card.json``."""
        data = {
            "format": FORMAT,
            "card": self.card.to_json(),
            "plan": self.plan.to_json(),
            "architecture": self.architecture,
            "deep_supervision": self.deep_supervision,
        }
        return json.dumps(data, indent=2) + "\n"


def read_description(directory: Path) -> Description:
    """Read a package's ``card.json``.

    Raises:
        InputError: it is missing, not JSON, of a newer format, or lacks a part.
    """
    path = directory / CARD_FILE
    data = read_json(path)
    if data.get("format", 0) > FORMAT:
        raise InputError(
            f"{path} was written by a newer version of DGSTSegment; update DGSTSegment to open this model."
        )
    missing = [part for part in ("card", "plan", "architecture") if not isinstance(data.get(part), dict)]
    if missing:
        raise InputError(
            f"{path} has no {' and no '.join(missing)}; the model was not written completely, make it again."
        )
    return Description(
        ModelCard.from_json(data["card"]),
        Plan.from_json(data["plan"]),
        data["architecture"],
        bool(data.get("deep_supervision", True)),
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        InputError: the file is missing, unreadable or holds anything else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); check the model folder.") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: it is not JSON ({error}); copy the model again.") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} is damaged: it holds no JSON object; copy the model again.")
    return data
