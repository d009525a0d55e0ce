"""What is said when a request ends early: by Ctrl-C, by Ctrl-C that came too late, and by nobody's wish."""

from __future__ import annotations

import _thread
import os
import signal
import sys
from pathlib import Path

import pytest

from DGSTSegmentLib.cli.engine import Interrupted, ask_client
from DGSTSegmentLib.engine.client import EngineClient
from DGSTSegmentLib.engine.protocol import EngineError
from DGSTSegmentLib.engine.transport import SubprocessTransport

LIGHT_WORKER = Path(__file__).parents[1] / "engine" / "light_worker.py"


class OnFirstProgress:
    """A view in front of which something happens once, as soon as the request is worked on."""

    def __init__(self, happens):
        self._happens, self.said = happens, []

    def on_event(self, event):
        if self._happens is not None:
            happens, self._happens = self._happens, None
            happens()

    def say(self, message):
        self.said.append(message)


@pytest.fixture
def client():
    with EngineClient(lambda: SubprocessTransport([sys.executable, str(LIGHT_WORKER)])) as client:
        yield client


@pytest.fixture(params=["predict", "finetune", "resume", "describe"])
def asked(request, tmp_path):
    """A request's name and fields, and what is left where it is stopped, and where it is not."""
    (tmp_path / "request.json").touch()
    out = {"predict": tmp_path / "seg.nrrd", "finetune": tmp_path, "resume": tmp_path}.get(request.param)
    fields = {} if out is None else {"image": "ct.nrrd", "cases": [], "out": str(out)}
    is_run = request.param in ("finetune", "resume")
    stopped = f"the run in {tmp_path} can be continued" if is_run else "nothing was written"
    return request.param, fields, stopped, "nothing was written" if out is None else f"{out} is complete"


def test_ctrl_c_is_answered_with_what_is_there(client, asked):
    name, fields, stopped, done = asked
    for kind, kept in (("slow", stopped), ("finishes", done), ("fails at last", stopped)):
        view = OnFirstProgress(_thread.interrupt_main)
        with pytest.raises(Interrupted) as told:
            ask_client(client, view, name, {**fields, "model": kind})
        assert str(told.value).startswith(f"Interrupted; {kept}") and len(view.said) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process could heed")
def test_an_engine_that_was_ended_by_another_program_is_a_failure(client, asked):
    name, fields, stopped, _ = asked
    view = OnFirstProgress(lambda: os.kill(client.engine["pid"], signal.SIGTERM))
    with pytest.raises(EngineError, match="told to end before it was done; ") as told:
        ask_client(client, view, name, {**fields, "model": "slow"})
    assert stopped in str(told.value)
