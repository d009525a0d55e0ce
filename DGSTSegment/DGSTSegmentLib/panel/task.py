"""One piece of work that the engine is at, as a caller sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from .signal import Signal

_PHASES = {
    "opening the model": _("Opening the model ..."),
    "read": _("Reading the scans ..."),
    "prepare": _("Preparing the scans ..."),
    "predict": _("Measuring on the scans held out ..."),
    "train": _("Learning ..."),
}


def doing(event: dict[str, Any]) -> str:
    """What goes on in a fine-tuning, of a ``progress`` event, in words for people."""
    return _PHASES.get(event.get("phase", ""), _("Working ..."))


class Outcome(Signal):
    """A signal that comes once. Who connects afterwards is told as well, when Slicer has time: an engine that cannot
    even be started ends a task before its asker could connect."""

    def __init__(self):
        super().__init__()
        self._values: tuple | None = None

    def connect(self, listener: Callable) -> None:
        super().connect(listener)
        if self._values is not None:
            values = self._values
            qt.QTimer.singleShot(0, lambda: listener(*values))

    def __call__(self, *values) -> None:
        self._values = values
        super().__call__(*values)


class Task:
    """Work that goes on in the engine's process while Slicer stays usable.

    Attributes:
        progressed: signal with each ``progress`` event (phase, step, steps, seconds_left, loss, ...).
        noted: signal with each sentence for the user.
        finished: signal with the result, a dictionary.
        failed: signal with the exception (``InputError``, ``EngineError``).
        folder: of the run, for a fine-tuning.
        dropped: the user does not want the result.

    Example, in Slicer's Python console:
        >>> task = logic.findLymphNodes(volumeNode)
        >>> task.wait()
    """

    def __init__(self, title: str):
        self.title = title
        self.progressed, self.noted, self.finished, self.failed = Signal(), Signal(), Outcome(), Outcome()
        self.done = False
        self.result: Any = None
        self.error: Exception | None = None
        self.folder: Path | None = None
        self.dropped = False

    def hear(self, event: dict[str, Any]) -> None:
        """Pass on an event of the engine."""
        if event["event"] == "note":
            self.noted(event["message"])
        else:
            self.progressed(event)

    def end(self, outcome: Any) -> None:
        """Take the result, or the exception that ended the work."""
        self.done = True
        if isinstance(outcome, Exception):
            self.error = outcome
            self.failed(outcome)
        else:
            self.result = outcome
            self.finished(outcome)

    def wait(self, seconds: float = float("inf")) -> Any:
        """For scripts: let Slicer work on until this is done, and return the result. No handler calls it.

        Raises:
            InputError, EngineError: what ended the work.
            TimeoutError: it is not done within ``seconds``.
        """
        end = time.monotonic() + seconds
        while not self.done:
            slicer.app.processEvents()
            time.sleep(0.005)
            if time.monotonic() > end:
                raise TimeoutError(f"{self.title} is not done within {seconds:g} seconds.")
        if self.error is not None:
            raise self.error
        return self.result
