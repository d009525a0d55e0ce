"""The plain files of a run: what it was begun with, and what came of it. No torch here.

::

    runs/0001/
      request.json     a ``RunRecord``, written before anything else
      result.json      a ``FinetuneResult``, once it was stopped or is finished
      lock             what the process at work there has locked
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic import write_text
from ..errors import InputError
from ..networks.description import CARD_FILE
from .inputs import Fixed, Inputs, Plain, whole
from .request import FinetuneRequest

REQUEST_FILE, RESULT_FILE, LOCK_FILE = "request.json", "result.json", "lock"


@dataclass(frozen=True)
class RunRecord:
    """What a run was begun with.

    Args:
        request: what was asked for.
        fixed: what every resume uses again.
        inputs: the model and the cases as they were.
        begun: when, before anything was read; seconds since 1970.
    """

    request: FinetuneRequest
    fixed: Fixed
    inputs: Inputs
    begun: float

    def to_json(self) -> dict[str, Any]:
        parts = {"request": self.request.to_json(), "fixed": self.fixed.to_json(), "inputs": self.inputs.to_json()}
        return {**parts, "begun": self.begun}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunRecord:
        """Raises:
        ValueError, TypeError: something is missing, or is nothing of the kind.
        """
        kept = whole(cls, data)
        request, inputs = FinetuneRequest.from_json(kept["request"]), Inputs.from_json(kept["inputs"])
        if len(inputs.cases) != len(request.cases):
            raise ValueError(f"it asks for {len(request.cases)} cases and was begun with {len(inputs.cases)}")
        return cls(request, Fixed.from_json(kept["fixed"]), inputs, float(kept["begun"]))


@dataclass(frozen=True)
class FinetuneResult(Plain):
    """What a fine-tuning came to.

    Args:
        model: the run's folder, itself a model.
        steps: steps done.
        stopped: the user stopped it early; it can be resumed.
        held_out: what was measured before and after; None where nothing could be held out.
        weights_changed: fraction of the network's weights that differ from the base.
        seconds: per phase.
        notes: sentences for the user.
    """

    model: str
    steps: int
    stopped: bool
    held_out: dict[str, Any] | None
    weights_changed: float
    seconds: dict[str, float]
    notes: list[str]


def read_record(folder: str | os.PathLike) -> RunRecord:
    """What the run in a folder was begun with.

    Raises:
        InputError: no run was begun there, or its file is damaged.
    """
    path = Path(folder) / REQUEST_FILE
    try:
        return RunRecord.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no run to go on with; leave out --resume to begin one.") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}); move {folder} away, and begin a new run.") from error


def write_record(folder: Path, record: RunRecord) -> None:
    """Raises:
    InputError: the disk is full; what was there before stands.
    """
    write_text(folder / REQUEST_FILE, json.dumps(record.to_json(), indent=2))


def refuse_unfinished(model: str) -> None:
    """
    Raises:
        InputError: what is named as a model is the folder of a run that has not made one yet.
    """
    folder = Path(model).expanduser()
    if (folder / REQUEST_FILE).is_file() and not (folder / CARD_FILE).is_file():
        raise InputError(f"{folder} is an unfinished run, which is no model yet; go on with it first (--resume).")


def read_result(folder: str | os.PathLike) -> FinetuneResult | None:
    """What the run in a folder came to; None while it was neither stopped nor finished.

    Raises:
        InputError: its file is damaged.
    """
    path = Path(folder) / RESULT_FILE
    try:
        return FinetuneResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); move it away, and go on with the run.") from error


def write_result(folder: Path, result: FinetuneResult) -> None:
    """Raises:
    InputError: the disk is full; what was there before stands.
    """
    write_text(folder / RESULT_FILE, json.dumps(result.to_json(), indent=2))
