"""Ideas for a better DGST, each beside what it has to beat; measured on validation scans only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from DGSTSegmentLib.errors import InputError

from .entrants import REFERENCE, Configuration, Entrant, make_full_among
from .protocol import Protocol
from .scored import make_scored
from .variants import Variant

VARIANTS = (Variant(averaged=True), Variant(scale=0.85), Variant(scale=0.7))
RULE = {"update": "adam", "gamma": 16}
SIGNUM = {"score": "mean", "direction": "mean-sign", "gamma": 16}
ADAM = {"score": "mean", "direction": "adam", "gamma": 16}
EARLY = {**RULE, "layers": "early"}
DEFAULT = {**ADAM, "layers": "early"}
"""What ``finetune`` does when nothing else is asked for: ideas that change one thing of it change that alone."""
SIGN_LR, ADAM_LR, ROW_LR, FULL_LR, NORM_LR = 2e-3, 4e-3, 0.1, 5e-4, 1e-2
"""In the middle of what ideas are tried with: of signs, of Adam's direction, of steps relative to a row, of full, of
what is always on."""


def chosen_ideas(names: Sequence[str] | None, protocol: Protocol) -> dict[str, Entrant]:
    """The ideas called so, and full fine-tuning, with which all are compared; when None, all that take part.

    Args:
        names: of ideas.
        protocol: whose steps a gamma that changes depends on, and in whose completeness some take no part.

    Raises:
        InputError: a name is not known, or takes no part.
    """
    known = {one.name: one for one in _ideas(protocol.steps)}
    for name in names or ():
        if name not in known:
            raise InputError(f"There is no idea {name!r}; there are {', '.join(known)}.")
        if not set(known[name].completeness) & set(protocol.completeness):
            raise InputError(f"{name} needs --completeness {' or '.join(known[name].completeness)}.")
    asked = known if names is None else {*names, REFERENCE}
    return {
        name: one for name, one in known.items() if name in asked and set(one.completeness) & set(protocol.completeness)
    }


def titles_of_ideas() -> dict[str, str]:
    """What each idea is, by name."""
    return {one.name: one.title for one in _ideas(steps=1)}


def _ideas(steps: int) -> Iterator[Entrant]:
    yield from _baselines()
    yield from _controls()
    yield from _directions(steps)
    yield from _scores(steps)
    yield from _gammas(steps)
    yield from _confined(steps)
    yield from _always_on()
    yield from _distilled()


def _baselines() -> Iterator[Entrant]:
    """What is to be beaten, with variants of the finished model, and the rules that DGST has."""
    yield _of("full", "Full fine-tuning", _rates(FULL_LR, 0.2, 0.4, 1, 2), law="full", variants=VARIANTS)
    static = _rates(0.15, 0.4, 1, 2.5, update="rms", gamma=2)
    yield _of("static", "Fixed weights, rule rms", static, law="static")
    yield _of("lora", "LoRA", _rates(1e-3, 0.4, 1, 2.5), law="lora", variants=VARIANTS)
    adam = _rates(ADAM_LR, 0.5, 1, 2, **RULE)
    yield _of("adam", "DGST by the running mean of gradients, rule adam", adam, variants=VARIANTS)
    yield _of("rms", "DGST, rule rms", _rates(ROW_LR, 0.4, 1, 2, update="rms", gamma=2))
    yield _of("paper", "DGST, the paper's rule", _rates(0.25, 0.4, 1, 2.5, update="sgd", gamma=2))


def _controls() -> Iterator[Entrant]:
    """As many weights in the same layers by the same rule, not selected by the gradients of the run."""
    fixed = _rates(ADAM_LR, 1, 2, 4, **EARLY)
    yield _of("static-adam", "Fixed weights, rule adam", fixed, law="static", variants=VARIANTS)
    yield _of("random-adam", "Random weights, rule adam", _rates(ADAM_LR, 1, 2.5, 5, 10, **EARLY), law="random")


def _directions(steps: int) -> Iterator[Entrant]:
    """Selected by the running mean; other directions and steps."""
    yield _scored("signum", "Moved by the mean's sign", _rates(SIGN_LR, 0.5, 1, 2, **SIGNUM), steps)
    relative = _rates(ROW_LR, 0.25, 0.5, 1, scale="row", **ADAM)
    yield _scored("adam-row", "Moved by Adam's direction, relative to the row's size", relative, steps)
    row = _rates(ROW_LR, 0.5, 1, 2, gamma=2, score="mean", direction="mean-sign", scale="row")
    yield _scored("signum-row", "Moved by the mean's sign, relative to the row's size", row, steps)
    normalised = _rates(SIGN_LR, 0.5, 1, 2, **{**ADAM, "direction": "row-normalised"})
    yield _scored("row-normalised", "Moved by the mean, each row equally far", normalised, steps)


def _scores(steps: int) -> Iterator[Entrant]:
    """The default with other scores, and with a choice that is kept for several steps."""
    for score, by in {
        "gradient": "this batch's gradient",
        "signal-to-noise": "signal-to-noise",
        "fisher": "mean square (Fisher information)",
        "times-weight": "gradient times weight",
        "over-weight": "gradient relative to weight",
    }.items():
        tried = _rates(ADAM_LR, 0.5, 1, 2, **{**DEFAULT, "score": score})
        yield _scored(f"by-{score}", f"As the default, selected by {by}", tried, steps)
    held = [one for hold in (5, 20) for one in _rates(ADAM_LR, 0.5, 1, 2, hold=hold, **DEFAULT)]
    yield _scored("held", "As the default, a choice kept for several steps", held, steps)


def _gammas(steps: int) -> Iterator[Entrant]:
    """The default with other gammas: fewer or more, falling or rising over the run, a share of the row."""
    for name, title, gammas in (
        ("gamma", "As the default, other gammas", (2, 8, 32, 64)),
        ("gamma-schedule", "As the default, gamma changes over the run", ([32, 2], [2, 32])),
        ("gamma-share", "As the default, gamma is a share of the row", (0.01, 0.05)),
    ):
        tried = [one for gamma in gammas for one in _rates(ADAM_LR, 0.5, 1, **{**DEFAULT, "gamma": gamma})]
        yield _scored(name, title, tried, steps)


def _confined(steps: int) -> Iterator[Entrant]:
    """Rows of some modules only (gamma 0 elsewhere), for full as well, so that a win is the selection's own."""
    for place, title in (("encoder", "the encoder"), ("early", "the encoder's first two stages")):
        full = _rates(FULL_LR, 0.4, 1, 2, layers=place)
        yield _of(
            f"full-{place}", f"Full, of rows those of {title}", full, "full", make=make_full_among, variants=VARIANTS
        )
        adam = _rates(ADAM_LR, 0.5, 1, 2, layers=place, **RULE)
        default = " (the default)" if place == DEFAULT["layers"] else ""
        yield _of(f"adam-{place}", f"Rule adam among rows of {title}{default}", adam, variants=VARIANTS)
        signum = _rates(SIGN_LR, 0.5, 1, 2, layers=place, **SIGNUM)
        yield _scored(f"signum-{place}", f"As signum among rows of {title}", signum, steps)


def _always_on() -> Iterator[Entrant]:
    """Norms, biases and head at larger rates than 5e-4: alone, norms forget least for what they learn, and took the
    largest rate that they were tried with."""
    yield _of("norm", "Norms and head alone, larger rates", _rates(NORM_LR, 0.5, 1, 2), law="norm")
    tried = [
        one
        for always_on in (0.25 * NORM_LR, NORM_LR)
        for one in _rates(ADAM_LR, 0.1, 0.4, 1, always_on_lr=always_on, **EARLY)
    ]
    yield _of("adam-early-norms", "The default, its norms, biases and head at larger rates", tried)


def _distilled() -> Iterator[Entrant]:
    """Less and more distillation from the foundation model, offered to all; its weight is 1 where none is given.

    It acts on voxels of which nothing is known, and cases of completeness ``all`` have none.
    """
    for name, law, fixed in (
        ("full", "full", {"lr": FULL_LR}),
        ("static-adam", "static", {"lr": ADAM_LR, **EARLY}),
        ("lora", "lora", {"lr": 1e-3}),
        ("adam-early", "dgst", {"lr": ADAM_LR, **EARLY}),
    ):
        tried = [{**fixed, "distillation": weight} for weight in (0.0, 1.0, 3.0, 10.0)]
        title = f"{name}, weights of the distillation"
        yield _of(f"{name}-distillation", title, tried, law, completeness=("marked",))


def _rates(lr: float, *factors: float, **fixed: Any) -> list[Configuration]:
    return [{**fixed, "lr": float(f"{lr * factor:.3g}")} for factor in factors]


def _of(name: str, title: str, tried: Sequence[Configuration], law: str = "dgst", **fields: Any) -> Entrant:
    return Entrant(name, title, law, tuple(tried), **fields)


def _scored(name: str, title: str, tried: Sequence[Configuration], steps: int) -> Entrant:
    return _of(name, title, tried, make=partial(make_scored, steps=steps))
