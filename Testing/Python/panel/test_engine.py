"""The engine through Qt's event loop, with a worker whose requests need no network."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .conftest import until

LIGHT_WORKER = Path(__file__).parents[1] / "engine" / "light_worker.py"


@pytest.fixture
def engine(module):
    from DGSTSegmentLib.panel.engine import EngineSession
    from DGSTSegmentLib.panel.transport import QtTransport

    engine = EngineSession(lambda: QtTransport([sys.executable, str(LIGHT_WORKER)]))
    yield engine
    engine.close()


def test_after_a_gpu_that_failed_for_good_a_fresh_engine_answers_what_waits_and_what_comes(host, engine):
    pid = engine.ask("First", "describe", {"model": "quick"}).wait(20)["pid"]
    failing = engine.ask("Failing", "describe", {"model": "gpu fails"})
    waiting = engine.askAside("Waiting", "describe", {"model": "quick"})
    until(host, lambda: failing.done and waiting.done, 20)
    assert "illegal memory access" in str(failing.error)
    assert waiting.error is None and waiting.result["pid"] != pid
    assert engine.ask("Next", "describe", {"model": "quick"}).wait(20)["pid"] == waiting.result["pid"]
