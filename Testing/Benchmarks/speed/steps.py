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
from .training_step import TORCH_OPTIMIZERS, DGSTStep, TorchStep, Training

NAME = "steps"
TITLE = "The DGST step"
GAMMAS = (1, 2, 8)
GOAL_GAMMA = 2
PASSES = "forward + backward"
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


def _steps(context: Context, subject: Subject, training: Training) -> Iterator[Row]:
    steps: dict[str, DGSTStep | TorchStep] = {dgst_name(g): DGSTStep(training.network, g) for g in GAMMAS}
    steps |= {name: TorchStep(training.parameters, name) for name in TORCH_OPTIMIZERS}
    training.forward_backward()
    saved = training.gradients()

    def before(name: str) -> None:
        training.clear_gradients()
        if name in steps:
            training.put_gradients(steps[name].moved, saved)

    contestants: dict[str, Callable[[], None]] = {PASSES: training.forward_backward, **steps}
    seconds = interleaved(contestants, context.rounds, warmup=2, before=before, settle=context.synchronize)
    setting = context.setting(**subject.setting)
    for name, values in seconds.items():
        yield row(NAME, name, "seconds", values, setting)
    for name in (dgst_name(gamma) for gamma in GAMMAS):
        for other in [PASSES, *TORCH_OPTIMIZERS]:
            yield row(NAME, name, "ratio", ratios(seconds[name], seconds[other]), setting, against=other)
    training.clear_gradients()
    training.put_gradients(training.parameters, saved)


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
    """A goal of each kind for every network, at the default gamma."""
    names = dict.fromkeys(one["setting"]["network"] for one in rows)
    return [goal for name in names for goal in _goals_on(rows, name)]


def _goals_on(rows: Sequence[Row], network: str) -> list[Goal]:
    step = dgst_name(GOAL_GAMMA)
    against_adamw = _estimate(find(rows, step, "ratio", "AdamW fused", network=network))
    against_passes = _estimate(find(rows, step, "ratio", PASSES, network=network))
    selection = find(
        rows,
        f"DGST selection gamma {GOAL_GAMMA}",
        "ratio",
        f"reference selection gamma {GOAL_GAMMA}",
        network=network,
    )
    times = None if selection is None else Estimate.of([1 / value for value in selection["values"]])
    return [
        Goal(
            f"{network}: DGST step over fused AdamW step", OPTIMIZER_GOAL, "x", True, against_adamw,
            "Both read every gradient twice (clip; select or update); what DGST does not do is write all weights and "
            "both moments.",
        ),
        Goal(
            f"{network}: DGST step over forward + backward", PASSES_GOAL, "x", True, against_passes,
            "The step reads every gradient from memory whatever the patch is, while the passes shrink with the patch.",
        ),
        Goal(
            f"{network}: selection, times faster than the reference's", REFERENCE_GOAL, "x", False, times,
            "The reference's time lies in the identity matrices, which grow with the square of the row's length: the "
            "shorter a network's rows, the less there is to gain.",
        ),
    ]  # fmt: skip


def _estimate(found: Row | None) -> Estimate | None:
    return None if found is None else Estimate.of(found["values"])
