from __future__ import annotations

import _thread
import contextlib
import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

from DGSTSegmentLib.cli import demo, engine
from DGSTSegmentLib.cli.main import main


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def dgst(capsys):
    """Runs ``dgst`` with these arguments in this process."""

    def run(*arguments) -> Outcome:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def no_engine(monkeypatch):
    """Fails when a command starts an engine."""

    def refuse(*_):
        pytest.fail("an engine was started")

    monkeypatch.setattr(engine, "open_client", refuse)
    monkeypatch.setattr(demo, "open_client", refuse)


@pytest.fixture
def one_engine(monkeypatch, request):
    """Commands use the session's engine instead of starting one each; a list with an entry for each that was opened."""
    shared = request.getfixturevalue("engine")
    opened = []

    def open_client(*_):
        opened.append(shared)
        return contextlib.nullcontext(shared)

    monkeypatch.setattr(engine, "open_client", open_client)
    return opened


def assert_one_sentence(outcome: Outcome) -> None:
    assert outcome.code == 2
    assert outcome.out == ""
    (said,) = [line for line in outcome.err.splitlines() if not re.fullmatch(r"read, \d+/\d+(, .* left)?", line)]
    assert said.startswith("dgst") and said.endswith(".") and outcome.err.endswith(f"{said}\n")
    assert "Traceback" not in outcome.err


@pytest.fixture
def refused(dgst):
    """Runs ``dgst`` with bad input: exit code 2, nothing on stdout, and one sentence, which is returned."""

    def run(*arguments) -> str:
        outcome = dgst(*arguments)
        assert_one_sentence(outcome)
        return outcome.err

    return run


class PressesCtrlC:
    """A view in front of which Ctrl-C is pressed while that CT is worked on, or just before."""

    def __init__(self, number, before=False):
        self._number, self._before, self._armed = number, before, False

    def on_event(self, event):
        if self._armed:
            self._armed = False
            _thread.interrupt_main()

    def on_each(self, count, done, title="", seconds_left=None):
        if done + 1 == self._number and self._before:
            raise KeyboardInterrupt
        self._armed = done + 1 == self._number

    def say(self, message):
        pass
