"""What engine and client say to each other: one JSON object a line, requests one way, replies the other.

A request is ``{"id": "3", "request": "predict", ...fields}``. Its replies carry the same id and an ``event``: any
number of ``progress`` and ``note``, then exactly one ``result`` or ``error``. An ``error`` with ``ending`` true is the
engine's last word: it answers none of the requests that it still has, which are for the next one. Without an id, once
and first, comes ``{"event": "ready", "protocol": 1, ...}``. Standard library only.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError

PROTOCOL_VERSION = 1
REQUESTS = ("describe", "export", "predict", "finetune", "resume", "stop", "shutdown")
FINAL_EVENTS = ("result", "error")


class MalformedMessage(ValueError):
    """A line that is not a message of this protocol."""


class EngineError(RuntimeError):
    """The engine could not do what was asked, through no fault of the input.

    The message is a sentence for the user.

    Args:
        message: what happened and what to do.
        kind: ``memory`` (it ran out), ``internal`` (a fault of the program), ``died`` (the process ended).
    """

    def __init__(self, message: str, kind: str = "internal"):
        super().__init__(message)
        self.kind = kind


def error_of(fields: Mapping[str, Any]) -> Exception:
    """The exception that an ``error`` reply stands for: ``InputError`` for bad input, else ``EngineError``."""
    kind, message = fields.get("kind", "internal"), str(fields.get("message", "The engine gave no reason."))
    return InputError(message) if kind == "input" else EngineError(message, kind)


@dataclass(frozen=True)
class Request:
    """One thing asked of the engine.

    Args:
        id: chosen by the client; replies carry it.
        name: one of ``REQUESTS``.
        fields: plain JSON values, as the request wants them.
    """

    id: str
    name: str
    fields: dict[str, Any] = field(default_factory=dict)

    def to_line(self) -> str:
        return _to_line({"id": self.id, "request": self.name, **self.fields})

    @classmethod
    def from_line(cls, line: str) -> Request:
        """Raises:
        MalformedMessage: the line is not a JSON object with an id and a known request.
        """
        message = _from_line(line)
        id_, name = message.pop("id", None), message.pop("request", None)
        if not isinstance(id_, str) or name not in REQUESTS:
            raise MalformedMessage(
                f"A request has an id and is one of {', '.join(REQUESTS)}; got {line.strip()[:200]!r}."
            )
        return cls(id_, name, message)


@dataclass(frozen=True)
class Reply:
    """One thing that the engine says.

    Args:
        id: of the request it belongs to; None for what belongs to none.
        event: ``ready``, ``progress``, ``note``, ``result`` or ``error``.
        fields: plain JSON values.
    """

    id: str | None
    event: str
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        return self.event in FINAL_EVENTS

    def to_line(self) -> str:
        return _to_line({"id": self.id, "event": self.event, **self.fields})

    @classmethod
    def from_line(cls, line: str) -> Reply:
        """Raises:
        MalformedMessage: the line is not a JSON object with an event.
        """
        message = _from_line(line)
        id_, event = message.pop("id", None), message.pop("event", None)
        if not isinstance(event, str) or not (id_ is None or isinstance(id_, str)):
            raise MalformedMessage(f"A reply has an id and an event; got {line.strip()[:200]!r}.")
        return cls(id_, event, message)


def _to_line(message: dict[str, Any]) -> str:
    """ASCII, so that no pipe's encoding can spoil it; numbers that JSON does not have (NaN, infinity) become null."""
    return json.dumps(_plain(message), allow_nan=False, ensure_ascii=True) + "\n"


def _from_line(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError as error:
        raise MalformedMessage(f"Not a JSON message: {line.strip()[:200]!r}.") from error
    if not isinstance(message, dict):
        raise MalformedMessage(f"A message is a JSON object, not {line.strip()[:200]!r}.")
    return message


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    raise TypeError(f"A message cannot carry a {type(value).__name__}.")
