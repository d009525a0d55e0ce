from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from DGSTSegmentLib.engine.client import EngineClient
from DGSTSegmentLib.engine.transport import SubprocessTransport

LIGHT_WORKER = Path(__file__).parent / "light_worker.py"


@pytest.fixture
def light_worker():
    """The command of a worker whose requests need no network; ``model`` names what it does (see light_worker.py)."""
    return [sys.executable, str(LIGHT_WORKER)]


@pytest.fixture
def make_light_client(light_worker):
    return lambda: EngineClient(lambda: SubprocessTransport(light_worker))


@pytest.fixture
def light_client(make_light_client):
    with make_light_client() as client:
        yield client


@pytest.fixture
def wait_until():
    """Waits until a condition holds; fails when it does not within ``seconds``."""

    def wait(condition, seconds=10.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not so within {seconds:g} s"
            time.sleep(0.02)

    return wait


@pytest.fixture
def is_running():
    """Whether a process lives (one that has ended but was not waited for does not)."""

    def check(pid: int) -> bool:
        return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    return check


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
