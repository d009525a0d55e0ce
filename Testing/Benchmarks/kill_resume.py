"""Kills the engine at random moments of short fine-tunings and resumes them: every one must end with the same delta.

    python Testing/Benchmarks/kill_resume.py [--kills 20] [--model starter] [--steps 40] [--seed 0] [--work FOLDER]

A kill is SIGKILL, at a moment drawn uniformly from the length of an undisturbed run, so that it falls into starting,
reading, preparing, training, and writing. After each kill every file of the run is opened; files under another name
(``.partial-...``) are the stand-ins of writes that never came to be seen.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from DGSTSegmentLib.atomic import PARTIAL
from DGSTSegmentLib.engine.client import EngineClient
from DGSTSegmentLib.engine.protocol import EngineError
from DGSTSegmentLib.engine.transport import SubprocessTransport
from DGSTSegmentLib.training.run_files import LOCK_FILE

Event = dict[str, Any]


@dataclass
class Attempt:
    """One start of the engine on a run: what it told, and its result; None when it was killed."""

    events: list[Event]
    result: dict[str, Any] | None
    seconds: float

    @property
    def first_step(self) -> int | None:
        """The first training step that was done."""
        return next((e["step"] for e in self.events if e.get("phase") == "train" and e.get("step")), None)


def attempt(
    request: dict[str, Any],
    kill_after: float | None = None,
    kill_at: Callable[[Event], bool] | None = None,
    command: list[str] | None = None,
) -> Attempt:
    """Start or go on with a run in an engine of its own, which is killed meanwhile.

    Args:
        request: fields of a ``FinetuneRequest``; ``out`` is the run's folder.
        kill_after: seconds after the engine's start.
        kill_at: an event at which to kill.
        command: of the worker.
    """
    transport = SubprocessTransport(command)
    events: list[Event] = []

    def hear(event: Event) -> None:
        events.append(event)
        if kill_at is not None and kill_at(event):
            transport.kill()

    began = time.monotonic()
    with EngineClient(lambda: transport) as client:
        begun = (Path(request["out"]) / "request.json").exists()
        name, fields = ("resume", {"out": request["out"]}) if begun else ("finetune", request)
        job = client.submit(name, fields, hear)
        clock = threading.Timer(kill_after, transport.kill) if kill_after is not None else None
        if clock is not None:
            clock.start()
        try:
            result = job.result()
        except EngineError as error:
            if error.kind != "died":
                raise
            result = None
        finally:
            if clock is not None:
                clock.cancel()
    return Attempt(events, result, time.monotonic() - began)


def damaged_files(folder: Path) -> list[str]:
    """Files of a run that do not open, with the reason."""
    damaged = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        is_lock = path.name == LOCK_FILE  # of a killed process; the system has freed it
        if is_lock or any(part.startswith(PARTIAL) for part in path.relative_to(folder).parts):
            continue
        try:
            open_whole(path)
        except Exception as error:  # noqa: BLE001 whatever a reader says of a damaged file is the finding
            damaged.append(f"{path}: {type(error).__name__} {error}")
    return damaged


def open_whole(path: Path) -> None:
    """Read every byte of a JSON, safetensors or npy file as what its name says.

    Raises:
        Exception: what its reader says of a damaged file.
        ValueError: a file that no run writes.
    """
    if path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".safetensors":
        tensors_of(path)
    elif path.suffix == ".npy":
        np.load(path, allow_pickle=False)
    else:
        raise ValueError("a run writes no such file")


def tensors_of(path: Path) -> dict[str, bytes]:
    """Each tensor of a safetensors file as bytes, with its type and shape."""
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 not a dict
    return {name: f"{array.dtype}{array.shape}".encode() + array.tobytes() for name, array in arrays.items()}


def same_delta(one: Path, other: Path) -> bool:
    """Whether two runs' folders hold the identical delta, bit by bit."""
    return tensors_of(one / "delta.safetensors") == tensors_of(other / "delta.safetensors")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--strategy", default="dgst")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="folder for scans and runs; a temporary one by default")
    options = parser.parse_args()
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
        return measure(options, options.work)
    with tempfile.TemporaryDirectory() as folder:
        return measure(options, Path(folder))


def measure(options: argparse.Namespace, work: Path) -> int:
    """Kill and resume runs until ``options.kills`` kills have hit; returns the exit code."""
    request = make_request(options, work)
    undisturbed = attempt({**request, "out": str(work / "undisturbed")})
    print(f"undisturbed: {undisturbed.seconds:.1f} s", flush=True)
    rng = np.random.default_rng(options.seed)
    kills, runs, faults = 0, 0, []
    while kills < options.kills:
        out = work / f"run-{runs}"
        while True:
            moment = rng.uniform(0, undisturbed.seconds) if kills < options.kills else None
            tried = attempt({**request, "out": str(out)}, kill_after=moment)
            faults += damaged_files(out) if out.exists() else []
            if tried.result is not None:
                break
            kills += 1
            print(f"kill {kills} after {moment:.2f} s, {last_told(tried)}", flush=True)
        runs += 1
        faults += [] if same_delta(out, work / "undisturbed") else [f"{out}: another delta"]
        print(f"run {runs} finished: {faults or 'the same delta'}", flush=True)
    print(json.dumps({"kills": kills, "runs": runs, "faults": faults}))
    return 1 if faults else 0


def last_told(tried: Attempt) -> str:
    told = next((e for e in reversed(tried.events) if e["event"] == "progress"), {"phase": "starting"})
    return f"at {told['phase']} {told.get('step') or ''}".strip()


def make_request(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """A run on two target phantoms, every second node marked."""
    from DGSTSegmentLib.imaging.files import write_volume
    from DGSTSegmentLib.imaging.phantoms import make_phantom

    cases = []
    for seed in (1, 2):
        phantom = make_phantom("target", seed)
        paths = {part: str(work / f"{part}-{seed}.nii.gz") for part in ("image", "annotation")}
        write_volume(phantom.ct, paths["image"])
        write_volume(phantom.nodes.with_array(phantom.nodes.array * (phantom.nodes.array % 2)), paths["annotation"])
        cases.append(paths)
    model = os.path.abspath(options.model) if os.path.exists(options.model) else options.model
    return {
        "model": model,
        "cases": cases,
        "steps": options.steps,
        "strategy": options.strategy,
        "seed": options.seed,
        "holdout": 0,
        "device": "cpu",
    }


if __name__ == "__main__":
    sys.exit(main())
