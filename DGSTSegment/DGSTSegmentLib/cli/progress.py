"""Progress on stderr: bars in a terminal, plain lines elsewhere; stdout is left to results."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

_SECONDS_BETWEEN_LINES = 10.0


class ProgressView(Protocol):
    """Shows what the engine tells while it works. Called from the engine client's threads."""

    def on_event(self, event: dict[str, Any]) -> None:
        """Show a ``progress`` or ``note`` event."""

    def say(self, message: str) -> None:
        """Show a sentence, and keep it."""

    def on_each(self, count: int, done: int, title: str = "", seconds_left: float | None = None) -> None:
        """Show that of ``count`` CTs so many are done, and the next one's title; none where there is no next one.

        Args:
            seconds_left: for all that are left, where it is known.
        """


@contextmanager
def progress_view() -> Iterator[ProgressView]:
    """Bars where stderr is a terminal, else plain lines."""
    if not sys.stderr.isatty():
        yield PlainLines()
        return
    from rich.console import Console

    with bars(Console(stderr=True)) as view:
        yield view


class PlainLines:
    """One line where a counted phase begins and ends, and every ten seconds between."""

    def __init__(self):
        self._phase, self._line, self._told = "", "", 0.0

    def on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "note":
            self.say(event["message"])
            return
        if event.get("step") is None:
            return
        ends = event["step"] == event.get("steps")
        if event["phase"] == self._phase and not ends and time.monotonic() - self._told < _SECONDS_BETWEEN_LINES:
            return
        line = ", ".join(filter(None, [event["phase"], _count(event), _values(event), "" if ends else _left(event)]))
        if line != self._line:
            self.say(line)
        self._phase, self._line, self._told = event["phase"], line, time.monotonic()

    def on_each(self, count: int, done: int, title: str = "", seconds_left: float | None = None) -> None:
        if title:
            self._phase = self._line = ""  # the next CT's phases are others, though they be told in the same words
            left = _left({"seconds_left": seconds_left})
            self.say(f"[{done + 1}/{count}] {title}{f', {left} for all' if left else ''}")

    def say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)


class Bars:
    """A bar a phase; of several CTs only the phases of the last one, below a bar of all.

    Args:
        progress: a started ``rich.progress.Progress`` with the columns of ``bars``.
    """

    def __init__(self, progress):
        self._progress = progress
        self._phase, self._task, self._of_all = "", None, None

    def on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "note":
            self.say(event["message"])
            return
        if event["phase"] != self._phase:
            self._begin(event["phase"])
        self._progress.update(
            self._task,
            total=event.get("steps"),
            completed=event.get("step") or 0,
            count=_count(event),
            values=_values(event),
            left=_left(event),
        )

    def on_each(self, count: int, done: int, title: str = "", seconds_left: float | None = None) -> None:
        if title:
            for task in self._progress.task_ids:
                if task != self._of_all:
                    self._progress.remove_task(task)
            self._phase, self._task = "", None
        if self._of_all is None:
            self._of_all = self._progress.add_task("CTs", total=count, count="", values="", left="")
        left = _left({"seconds_left": seconds_left})
        self._progress.update(self._of_all, completed=done, count=f"{done}/{count}", values=title, left=left)

    def say(self, message: str) -> None:
        self._progress.console.print(message, highlight=False, markup=False)

    def _begin(self, phase: str) -> None:
        if self._task is not None:  # an uncounted phase is over when the next begins
            task = self._progress.tasks[-1]
            self._progress.update(self._task, total=task.total or 1, completed=task.total or 1, left="")
        self._phase = phase
        self._task = self._progress.add_task(phase, total=None, count="", values="", left="")


@contextmanager
def bars(console: Console) -> Iterator[Bars]:
    """Bars on a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *(TextColumn(f"{{task.fields[{field}]}}", markup=False) for field in ("count", "values", "left")),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Bars(progress)


def clock(seconds: float) -> str:
    """``3:05`` or ``1:02:09``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _count(event: dict[str, Any]) -> str:
    return "" if event.get("step") is None or not event.get("steps") else f"{event['step']}/{event['steps']}"


def _values(event: dict[str, Any]) -> str:
    shown = (("loss", "{:.3f}"), ("held_out", "{:.3f}"))
    words = (f"{name.replace('_', ' ')} {form.format(event[name])}" for name, form in shown if _is_number(event, name))
    return ", ".join(words)


def _left(event: dict[str, Any]) -> str:
    return f"{clock(event['seconds_left'])} left" if _is_number(event, "seconds_left") else ""


def _is_number(event: dict[str, Any], name: str) -> bool:
    return isinstance(event.get(name), (int, float))
