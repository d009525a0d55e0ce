"""Ideas for a better DGST, each beside what it has to beat; measured on validation scans only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from torch import nn

from DGSTSegmentLib.dgst.partition import members, names_below
from DGSTSegmentLib.dgst.strategies import Strategy, make_strategy
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.model import FoundationModel

from .entrants import REFERENCE, Configuration, Entrant
from .scored import make_scored
from .variants import Variant

VARIANTS = (Variant(averaged=True), Variant(scale=0.85), Variant(scale=0.7), Variant(averaged=True, scale=0.85))
ADAM = {"score": "mean", "direction": "adam"}
SIGNUM_LR, ADAM_LR, FULL_LR = 2e-3, 4e-3, 5e-4
"""Where the learning rates of ideas start: of signs, of Adam's directions, and of full fine-tuning."""


def chosen_ideas(names: Sequence[str] | None, model: FoundationModel, steps: int) -> dict[str, Entrant]:
    """The ideas called so, and full fine-tuning, with which all are compared; every idea when None.

    Args:
        names: of ideas.
        model: whose modules' names confined ideas need.
        steps: of a run.

    Raises:
        InputError: a name is not known.
    """
    known = {one.name: one for one in _ideas(model, steps)}
    unknown = set(names or ()) - known.keys()
    if unknown:
        raise InputError(f"There is no idea {sorted(unknown)[0]!r}; there are {', '.join(known)}.")
    return {name: one for name, one in known.items() if names is None or name in names or name == REFERENCE}


def titles_of_ideas(model: FoundationModel) -> dict[str, str]:
    """What each idea is, by name."""
    return {one.name: one.title for one in _ideas(model, steps=1)}


def _ideas(model: FoundationModel, steps: int) -> Iterator[Entrant]:
    yield from _baselines()
    yield from _directions(steps)
    yield from _scores(steps)
    yield from _gammas(steps)
    yield from _confined(model, steps)
    yield from _distilled()


def _baselines() -> Iterator[Entrant]:
    """What is to be beaten, and the rules that DGST has already; the first four with variants."""
    yield _of("full", "Full fine-tuning", _rates(FULL_LR, 0.2, 0.4, 1, 2), law="full", variants=VARIANTS)
    yield _of("static", "Fixed weights", _rates(0.06, 1, 2.5, 6), law="static", variants=VARIANTS)
    yield _of("lora", "LoRA", _rates(1e-3, 0.4, 1, 2.5), law="lora", variants=VARIANTS)
    signum = _rates(SIGNUM_LR, 0.5, 1, 2, update="signum", gamma=16)
    yield _of("signum", "DGST by the running mean of gradients (rule signum)", signum, variants=VARIANTS)
    yield _of("rms", "DGST, rule rms", _rates(0.1, 0.4, 1, 2))
    yield _of("paper", "DGST, the paper's rule", _rates(0.1, 1, 2.5, 6, update="sgd"))


def _directions(steps: int) -> Iterator[Entrant]:
    """Accumulated gradients with Adam's direction, with an absolute step and one relative to the row."""
    absolute = _rates(ADAM_LR, 0.5, 1, 2, gamma=16, **ADAM)
    yield _scored("adam", "Selected by the running mean, moved by Adam's direction", absolute, steps)
    relative = _rates(0.1, 0.5, 1, 2, gamma=16, scale="row", **ADAM)
    yield _scored("adam-row", "The same, with a step relative to the row's size", relative, steps)
    row = _rates(0.1, 0.5, 1, 2, gamma=2, score="mean", direction="mean-sign", scale="row")
    yield _scored("signum-row", "Rule signum with a step relative to the row's size", row, steps)


def _scores(steps: int) -> Iterator[Entrant]:
    """Other scores, with Adam's direction; and a choice that is kept for several steps."""
    titles = {
        "signal-to-noise": "Selected by signal-to-noise",
        "fisher": "Selected by mean square (Fisher information)",
        "times-weight": "Selected by gradient times weight",
        "over-weight": "Selected by gradient relative to weight",
    }
    for score, title in titles.items():
        tried = _rates(ADAM_LR, 0.5, 1, 2, gamma=16, score=score, direction="adam")
        yield _scored(score, title, tried, steps)
    held = [one for hold in (5, 20) for one in _rates(ADAM_LR, 0.5, 1, 2, gamma=16, hold=hold, **ADAM)]
    yield _scored("held", "A choice kept for several steps", held, steps)


def _gammas(steps: int) -> Iterator[Entrant]:
    """Other gammas: fewer or more, falling or rising over the run, a share of the row."""
    for name, title, gammas in (
        ("gamma", "Other gammas", (2, 8, 32, 64)),
        ("gamma-schedule", "Gamma that changes over the run", ([32, 2], [2, 32])),
        ("gamma-share", "Gamma as a share of the row", (0.01, 0.05)),
    ):
        tried = [one for gamma in gammas for one in _rates(ADAM_LR, 0.5, 1, gamma=gamma, **ADAM)]
        yield _scored(name, title, tried, steps)


def _confined(model: FoundationModel, steps: int) -> Iterator[Entrant]:
    """Rows of some modules only, for DGST and for full alike, so that a win is the selection's own."""
    for place, names, title in (
        ("encoder", model.encoder, "the encoder"),
        ("early", model.early, "the encoder's first two stages"),
    ):
        among = list(names)
        full = _rates(FULL_LR, 0.4, 1, 2, among=among)
        yield _of(f"full-{place}", f"Full, rows of {title} only", full, law="full", make=make_full_among)
        signum = _rates(SIGNUM_LR, 0.5, 1, 2, update="signum", gamma=16, among=among)
        yield _of(f"signum-{place}", f"Rule signum among rows of {title}", signum, variants=VARIANTS)
        adam = _rates(ADAM_LR, 0.5, 1, 2, gamma=16, among=among, **ADAM)
        yield _scored(f"adam-{place}", f"Adam's direction among rows of {title}", adam, steps)


def _distilled() -> Iterator[Entrant]:
    """More and less distillation from the foundation model, offered to all; it is 1 elsewhere.

    It acts where nothing is known, so only on cases of completeness ``marked``.
    """
    for name, law, fixed in (
        ("full", "full", {"lr": FULL_LR}),
        ("static", "static", {"lr": 0.15}),
        ("lora", "lora", {"lr": 1e-3}),
        ("signum", "dgst", {"lr": SIGNUM_LR, "update": "signum", "gamma": 16}),
    ):
        tried = [{**fixed, "distillation": weight} for weight in (0.0, 3.0, 10.0)]
        yield _of(f"{name}-distillation", f"{name}, weight of distillation", tried, law=law)


def make_full_among(law: str, network: nn.Module, *, among: Sequence[str], head: Sequence[str], **options: Any):
    """Full fine-tuning whose rows outside ``among`` and the head are frozen; norms and biases move everywhere."""
    moving = names_below(network, [*among, *head])
    frozen = [m.parameter for m in members(network) if m.has_rows and m.name not in moving]
    for parameter in frozen:
        parameter.requires_grad_(False)
    strategy: Strategy = make_strategy(law, network, head=head, **options)
    return strategy


def _rates(lr: float, *factors: float, **fixed: Any) -> list[Configuration]:
    return [{**fixed, "lr": float(f"{lr * factor:.3g}")} for factor in factors]


def _of(name: str, title: str, tried: Sequence[Configuration], law: str = "dgst", **fields: Any) -> Entrant:
    return Entrant(name, title, law, tuple(tried), **fields)


def _scored(name: str, title: str, tried: Sequence[Configuration], steps: int) -> Entrant:
    return Entrant(name, title, "dgst", tuple(tried), partial(make_scored, steps=steps))
