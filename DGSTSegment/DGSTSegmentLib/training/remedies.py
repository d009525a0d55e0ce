"""What a training that cannot go on as it was begun may try instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .run import Run
from .trainer import NothingMoved


@dataclass(frozen=True)
class Remedy:
    """Fixed settings to begin anew with, and a sentence for the user."""

    settings: dict[str, Any]
    note: str


def remedy_for(error: Exception, run: Run) -> Remedy:
    """What may help a run whose training failed.

    Raises:
        Exception: the error itself, or a sentence in its place; nothing would help.
    """
    if isinstance(error, NothingMoved) and run.fixed["precision"] == "fp16":
        note = "The gradients never were finite in fp16, so the training began anew in fp32, which takes longer."
        return Remedy({"precision": "fp32"}, note)
    raise error
