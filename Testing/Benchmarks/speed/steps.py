"""The DGST step against forward and backward passes, torch's optimizers and the reference's selection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from .goals import Goal
from .networks import Subject, subjects
from .part import Context, Row, find, row
from .reference_selection import (
    IDENTITY_LIMIT_BYTES,
    comparable_layers,
    dgst_selection,
    reference_selection,
)
from .timing import Estimate, interleaved, ratios
from .training_step import DEFAULT_DGST, TORCH_OPTIMIZERS, DefaultDGSTStep, DGSTStep, TorchStep, Training

NAME = "steps"
TITLE = "The DGST step"
GAMMAS = (1, 2, 8)
GOAL_GAMMA = 2
PASSES, DEFAULT_PASSES = "forward + backward", f"forward + backward, {DEFAULT_DGST}"
MOST_REFERENCE_ROUNDS = 3
"""The reference takes seconds a turn, and its spread is small beside the ratio."""

OPTIMIZER_GOAL, PASSES_GOAL, REFERENCE_GOAL = 1.0, 0.01, 100.0


def measure(context: Context) -> Iterator[Row]:
    """Seconds of every contestant on every network, and the ratios within each round."""
    for subject in subjects(context):
        context.say(f"{subject.name}: {context.rounds} rounds of steps")
        training = Training(subject, context.torch_device, context.precision)
        yield from _steps(context, subject, training)
        yield from _selections(context, subject, training)


def dgst_name(gamma: int) -> str:
    return f"DGST gamma {gamma}"


def passes_before(name: str) -> str:
    """The passes that a step of this name follows: by default DGST computes no gradients where nothing moves."""
    return DEFAULT_PASSES if name == DEFAULT_DGST else PASSES


def _steps(context: Context, subject: Subject, training: Training) -> Iterator[Row]:
    steps: dict[str, DGSTStep | TorchStep] = {dgst_name(g): DGSTStep(training.network, g) for g in GAMMAS}
    steps |= {name: TorchStep(training.parameters, name) for name in TORCH_OPTIMIZERS}
    by_default = Training(subject, context.torch_device, context.precision)
    steps[DEFAULT_DGST] = DefaultDGSTStep(by_default.network)
    own = {DEFAULT_DGST: by_default, DEFAULT_PASSES: by_default}
    saved = {}
    for one in (training, by_default):
        one.forward_backward()
        saved[one] = one.gradients()

    def before(name: str) -> None:
        for one in saved:
            one.clear_gradients()
        if name in steps:
            of = own.get(name, training)
            of.put_gradients(steps[name].moved, saved[of])

    passes = {PASSES: training.forward_backward, DEFAULT_PASSES: by_default.forward_backward}
    contestants: dict[str, Callable[[], None]] = {**passes, **steps}
    seconds = interleaved(contestants, context.rounds, warmup=2, before=before, settle=context.synchronize)
    setting = context.setting(**subject.setting)
    for name, values in seconds.items():
        yield row(NAME, name, "seconds", values, setting)
    for name in (DEFAULT_DGST, *(dgst_name(gamma) for gamma in GAMMAS)):
        for other in [passes_before(name), *TORCH_OPTIMIZERS]:
            yield row(NAME, name, "ratio", ratios(seconds[name], seconds[other]), setting, against=other)
    training.clear_gradients()
    training.put_gradients(training.parameters, saved[training])


def _selections(context: Context, subject: Subject, training: Training) -> Iterator[Row]:
    layers, left_out = comparable_layers(training.network)
    note = (
        f"Selections: both on the layers whose identity matrix has at most {IDENTITY_LIMIT_BYTES / 2**30:.0f} GB, "
        f"{len(layers)} of {len(layers) + len(left_out)}."
    )
    setting = context.setting(**subject.setting, layers=f"{len(layers)} of {len(layers) + len(left_out)}")
    for gamma in GAMMAS:
        ours, theirs = f"DGST selection gamma {gamma}", f"reference selection gamma {gamma}"
        contestants = {
            ours: partial(dgst_selection, layers, gamma),
            theirs: partial(reference_selection, layers, gamma),
        }
        rounds = min(context.rounds, MOST_REFERENCE_ROUNDS)
        seconds = interleaved(contestants, rounds, warmup=1, settle=context.synchronize)
        for name, values in seconds.items():
            yield row(NAME, name, "seconds", values, setting, note=note)
        yield row(NAME, ours, "ratio", ratios(seconds[ours], seconds[theirs]), setting, against=theirs, note=note)


def goals(rows: Sequence[Row]) -> list[Goal]:
    """The goals for every network: by the rule ``rms`` at gamma 2 in all layers, and as ``finetune`` does it."""
    names = dict.fromkeys(one["setting"]["network"] for one in rows)
    return [goal for name in names for goal in _goals_on(rows, name)]


def _goals_on(rows: Sequence[Row], network: str) -> list[Goal]:
    rms = f"DGST step (rms, gamma {GOAL_GAMMA})"
    times = [
        goal
        for name, title in ((dgst_name(GOAL_GAMMA), rms), (DEFAULT_DGST, "finetune's own DGST step"))
        for goal in _step_goals(rows, network, name, title)
    ]
    selection = f"selection gamma {GOAL_GAMMA}"
    found = find(rows, f"DGST {selection}", "ratio", f"reference {selection}", network=network)
    faster = None if found is None else Estimate.of([1 / value for value in found["values"]])
    title = f"{network}: selection, times faster than the reference's"
    return [*times, Goal(title, REFERENCE_GOAL, "x", False, faster, _OF_SELECTION)]


def _step_goals(rows: Sequence[Row], network: str, name: str, title: str) -> list[Goal]:
    adamw, passes = (
        _estimate(find(rows, name, "ratio", other, network=network)) for other in ("AdamW fused", passes_before(name))
    )
    return [
        Goal(f"{network}: {title} over fused AdamW step", OPTIMIZER_GOAL, "x", True, adamw, _OF_ADAMW),
        Goal(f"{network}: {title} over its forward + backward", PASSES_GOAL, "x", True, passes, _OF_PASSES),
    ]


_OF_ADAMW = (
    "The selection reads every gradient three times (once for the norm, twice for the largest) in some hundred calls a "
    "network, which costs as much as fused AdamW's single pass over gradients, weights and both moments."
)
_OF_PASSES = (
    "The step reads every gradient from memory in fp32, while the passes shrink with the patch, and in number formats "
    "that a processor is fast at."
)
_OF_SELECTION = (
    "The reference's time lies in the identity matrices, which grow with the square of the row's length: the shorter a "
    "network's rows, the less there is to gain."
)


def _estimate(found: Row | None) -> Estimate | None:
    return None if found is None else Estimate.of(found["values"])
