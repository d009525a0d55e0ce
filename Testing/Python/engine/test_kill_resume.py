"""A small version of Testing/Benchmarks/kill_resume.py, with kills at chosen moments."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from ..conftest import eager_worker

BENCHMARK = Path(__file__).resolve().parents[2] / "Benchmarks" / "kill_resume.py"
STEPS = 30


@pytest.fixture(scope="module")
def kill_resume():
    spec = importlib.util.spec_from_file_location("kill_resume", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill_resume"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def request_fields(tiny_model, tiny_study):
    cases = [{"image": str(image), "annotation": str(annotation)} for image, annotation in tiny_study[:2]]
    return {"model": str(tiny_model), "cases": cases, "steps": STEPS, "holdout": 0, "device": "cpu", "threads": 1}


def at_step(step):
    return lambda event: event.get("phase") == "train" and event.get("step") == step


def test_a_run_killed_in_training_and_while_writing_resumes_to_the_identical_delta(
    tmp_path, kill_resume, request_fields, engine
):
    undisturbed, killed = tmp_path / "undisturbed", {**request_fields, "out": str(tmp_path / "killed")}
    engine.finetune({**request_fields, "out": str(undisturbed)})
    command = eager_worker(1.0)

    in_training = kill_resume.attempt(killed, kill_at=at_step(STEPS // 2), command=command)
    assert in_training.result is None
    assert kill_resume.damaged_files(tmp_path / "killed") == []

    while_ending = kill_resume.attempt(killed, kill_at=at_step(STEPS), command=command)
    assert while_ending.result is None
    assert while_ending.first_step > 2, "it went on from a checkpoint"
    assert kill_resume.damaged_files(tmp_path / "killed") == []

    assert engine.resume(killed["out"])["steps"] == STEPS
    assert kill_resume.damaged_files(tmp_path / "killed") == []
    assert kill_resume.same_delta(undisturbed, tmp_path / "killed")


def test_a_half_written_file_would_be_noticed(tmp_path, kill_resume):
    (tmp_path / "request.json").write_text('{"request": {')
    (tmp_path / "delta.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    (tmp_path / ".partial-card.json").write_text("{")
    assert len(kill_resume.damaged_files(tmp_path)) == 2
