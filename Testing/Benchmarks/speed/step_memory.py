"""Peak memory of a training step: DGST with and without in-backward selection against SGD with momentum and AdamW."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .goals import Goal
from .networks import Subject, plain, resenc, small, swin
from .part import Context, Row, find, row
from .timing import Estimate, ratios
from .training_step import DEFAULT_DGST

NAME = "step_memory"
TITLE = "Peak memory of a training step"
OURS = {
    "DGST in backward": "DGST (rms, in backward)",
    "DGST": "DGST (rms)",
    DEFAULT_DGST: "finetune's own DGST",
}
"""In titles: selecting while the backward pass runs or after it in all layers, or as the command does it."""
THEIRS = ("SGD", "AdamW")
CONTESTANTS = (*OURS, *THEIRS)
AGAINST = "SGD"
GOAL = 0.9
_KILLED = 9
"""Number of the signal SIGKILL, which Windows has no name for."""
MOST_ROUNDS = 3
"""Peaks hardly differ between rounds, and every one is a process that starts anew."""


def measure(context: Context) -> Iterator[Row]:
    """MB above what the process held with network and batch in place, and ratios within each round.

    Every contestant trains in a process of its own, since freed memory stays with a process.
    """
    for subject in _subjects(context):
        rounds = min(context.rounds, MOST_ROUNDS)
        context.say(f"{subject.name}, patch {subject.patch}: {rounds} rounds of peak memory")
        peaks = _peaks(context, subject, rounds)
        if peaks is None:
            continue
        setting = context.setting(**subject.setting)
        for name, values in peaks.items():
            yield row(NAME, name, "MB", values, setting)
        for name in OURS:
            for other in THEIRS:
                yield row(NAME, name, "ratio", ratios(peaks[name], peaks[other]), setting, against=other)


def _subjects(context: Context) -> list[Subject]:
    if context.quick:
        return [small(32), small(48)]
    return [plain(64), plain(96), resenc(64), swin(64)]


def _peaks(context: Context, subject: Subject, rounds: int) -> dict[str, list[float]] | None:
    """MB by contestant, one a round; None, said aloud, where the machine has not enough memory for all of them."""
    order, names = random.Random(0), list(CONTESTANTS)
    peaks: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            peak = _peak_in_a_process(context, subject, name)
            if peak is None:
                context.say(f"skipped: {subject.name} with patch {subject.patch} does not fit this machine with {name}")
                return None
            peaks[name].append(peak)
    return peaks


def _peak_in_a_process(context: Context, subject: Subject, contestant: str) -> float | None:
    """
    Raises:
        RuntimeError: the process ended with an error that is not lack of memory.
    """
    task = {
        "subject": asdict(subject),
        "device": context.device,
        "precision": context.precision,
        "threads": context.threads,
        "contestant": contestant,
    }
    command = [sys.executable, "-m", "speed.memory_child", json.dumps(task)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    answer = _last_line(ended.stdout)
    if ended.returncode == 0 and answer:
        return float(answer["mb"]) if answer["fits"] else None
    if ended.returncode == -_KILLED:
        # So the system ends a process, without a word, when memory runs out.
        return None
    raise RuntimeError(f"Measuring the memory of {contestant} on {subject.name} failed:\n{ended.stderr.strip()}")


def _last_line(text: str) -> dict[str, Any] | None:
    lines = text.strip().splitlines()
    return json.loads(lines[-1]) if lines else None


def goals(rows: Sequence[Row]) -> list[Goal]:
    """Each way of DGST against SGD with momentum, on every network and patch."""
    settings = {(one["setting"]["network"], one["setting"]["patch"][0]): one["setting"] for one in rows}
    return [_goal(rows, network, setting, name) for (network, _), setting in settings.items() for name in OURS]


def _goal(rows: Sequence[Row], network: str, setting: dict[str, Any], name: str) -> Goal:
    found = find(rows, name, "ratio", AGAINST, network=network, patch=setting["patch"])
    title = f"{network}, patch {setting['patch'][0]}: peak memory, {OURS[name]} over SGD"
    reason = (
        "Where the features that the backward pass reads outweigh the weights, the peak lies where that pass begins, "
        "before there is any gradient to free; then only the momentum is saved, the same for every patch."
    )
    return Goal(title, GOAL, "x", True, None if found is None else Estimate.of(found["values"]), reason)
