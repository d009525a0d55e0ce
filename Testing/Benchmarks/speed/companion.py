"""A contestant in a process of its own that lives as long as the benchmark and answers one request after another.

Contestants take turns: whoever's turn it is not is suspended with everything it started (workers that augment data, for
instance), so that it neither takes cores from the others nor works ahead off the clock.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from DGSTSegmentLib.errors import InputError

from . import processes


class Companion:
    """A child process that talks in JSON lines; ``sides/answering.py`` is its half of the conversation.

    Args:
        command: starts it.
        environment: all of its environment variables.
        log: file for whatever it prints.
    """

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str], log: Path):
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "w", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=dict(environment),
                encoding="utf-8",
            )
        self._suspended: list[psutil.Process] = []

    def ask(self, do: str, **fields: Any) -> Any:
        """What it answers.

        Raises:
            InputError: it ended instead; the end of its log says why.
        """
        self.resume()
        try:
            self._process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            raise InputError(f"a contestant ended while it should {do}; the end of {self._log} says why.")
        return json.loads(answer)

    def suspend(self) -> None:
        """Hold it, and all that it started, where they are."""
        if not self._suspended:
            self._suspended = processes.tree(self._process.pid)
            for process in self._suspended:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()

    def resume(self) -> None:
        """Let it go on."""
        held, self._suspended = self._suspended, []
        for process in reversed(held):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def close(self) -> None:
        """End it and all that it started."""
        self.resume()
        processes.end(self._process)


@contextmanager
def on_stage(companions: Mapping[str, Companion]) -> Iterator[Callable[[str], None]]:
    """Yields a function that gives the turn to the named one and suspends all others; at the end all are closed.

    Args:
        companions: by name; more may be added meanwhile, so that none is left behind when starting the next one fails.
    """

    def give_turn(name: str) -> None:
        for other, companion in companions.items():
            if other != name:
                companion.suspend()
        if name in companions:
            companions[name].resume()

    with _termination_as_exception():
        try:
            yield give_turn
        finally:
            for companion in companions.values():
                companion.close()


@contextmanager
def _termination_as_exception() -> Iterator[None]:
    """Let SIGTERM unwind the stack: who is held would otherwise be left behind, held for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
