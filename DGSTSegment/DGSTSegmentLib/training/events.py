"""How long work tells of its progress and is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

OnEvent = Callable[[dict[str, Any]], None]
ShouldStop = Callable[[], bool]


class Stopped(Exception):
    """The user asked to stop; nothing was written."""


class Reporter:
    """Sends events to whoever listens and passes on the wish to stop.

    Args:
        on_event: receives ``{"event": "progress", "phase", "step", "steps", "seconds_left", ...}`` and
            ``{"event": "note", "message"}``.
        should_stop: asked between steps.
    """

    def __init__(self, on_event: OnEvent | None = None, should_stop: ShouldStop | None = None):
        self._on_event = on_event or (lambda event: None)
        self.should_stop = should_stop or (lambda: False)

    def note(self, message: str) -> None:
        """One sentence that the user should read."""
        self._on_event({"event": "note", "message": message})

    def progress(self, phase: str, step: int, steps: int | None, **values: Any) -> None:
        self._on_event({"event": "progress", "phase": phase, "step": step, "steps": steps, **values})

    def phase(self, name: str, steps: int) -> Phase:
        """A counted piece of work that says how many seconds are left."""
        return Phase(self, name, steps)

    def deaf(self) -> Reporter:
        """The same listener, but nobody is asked to stop."""
        return Reporter(self._on_event)


class Phase:
    """Counts the steps of one piece of work.

    Call ``advance`` after each step. Stops by raising ``Stopped`` when the user wished to.
    """

    def __init__(self, reporter: Reporter, name: str, steps: int):
        self._reporter, self._name, self._steps = reporter, name, steps
        self._done, self._started = 0, time.monotonic()
        reporter.progress(name, 0, steps)

    def advance(self) -> None:
        """
        Raises:
            Stopped: the user asked to stop.
        """
        self._done += 1
        pace = (time.monotonic() - self._started) / self._done
        self._reporter.progress(self._name, self._done, self._steps, seconds_left=pace * (self._steps - self._done))
        if self._reporter.should_stop():
            raise Stopped(f"Stopped during {self._name}.")
