"""Who is compared: strategies, the configurations each may be tried with, and how many draws each gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from DGSTSegmentLib.dgst.partition import members, names_below
from DGSTSegmentLib.dgst.registry import DEFAULT_RULE, RULES, STRATEGIES, StrategyInfo
from DGSTSegmentLib.dgst.strategies import Strategy, make_strategy
from DGSTSegmentLib.errors import InputError

from .variants import Variant

Configuration = dict[str, Any]

LEARNING_RATE_FACTORS = (0.4, 1.0, 2.5)
"""Of a strategy's own learning rate, the same for all strategies."""

REFERENCE = "full"
"""The strategy that the others are compared with."""

FOCUS = "dgst"
"""The strategy that the benchmark is about: it is compared with each of the others too."""

MANY_DRAWS = ("dgst", "full", "full-early", "random", "static", "lora")
"""Strategies with draws enough for a test that can also tell smaller differences."""

FULL = {
    "all": ("dgst", "dgst-paper", "full", "random", "static", "bias", "norm", "lora"),
    "marked": ("dgst", "full", "static", "lora"),
}
"""Who takes part by completeness of annotation where nobody is named; who is named takes part in all of it."""

OTHER_RULES = {name: "paper" if name == "sgd" else name for name in RULES if name != DEFAULT_RULE}
"""What DGST is called with each of them."""

NOT_OF_THE_STRATEGY = ("distillation",)
"""Parts of a configuration that belong to the loss, not to the strategy."""


@dataclass(frozen=True)
class Entrant:
    """One way of fine-tuning that takes part.

    Args:
        name: in rows and report.
        title: for people.
        law: name of the strategy (``dgst.registry.STRATEGIES``) whose freedom it claims and is held to.
        configurations: what is tried on the validation split: arguments of ``make``, ``layers`` in place of its
            ``among``, and ``distillation`` (weight of the loss where nothing is known). As many for every entrant.
        make: makes the strategy, called as ``make_strategy`` is.
        variants: of the finished model that are measured beside it.
        completeness: of annotation, where it takes part.
    """

    name: str
    title: str
    law: str
    configurations: tuple[Configuration, ...]
    make: Callable[..., Strategy] = make_strategy
    variants: tuple[Variant, ...] = ()
    completeness: tuple[str, ...] = ("all", "marked")

    def described(self) -> dict[str, Any]:
        """Plain values, to recognise the entrant when a benchmark goes on."""
        description = {"law": self.law, "configurations": list(self.configurations)}
        return {**description, "variants": [one.name for one in self.variants]} if self.variants else description


def entrant(name: str, law: str, title: str, lr: float, factors: Sequence[float], **fixed: Any) -> Entrant:
    """A strategy tried with ``factors`` times the learning rate ``lr``, all else fixed."""
    return Entrant(name, title, law, tuple({**fixed, "lr": float(f"{lr * factor:.3g}")} for factor in factors))


def known_entrants(factors: Sequence[float] = LEARNING_RATE_FACTORS) -> dict[str, Entrant]:
    """All strategies of the registry with the default rule, DGST with the others, and full in few layers, by name."""
    known = {info.name: _of_registry(info.name, info, factors) for info in STRATEGIES.values()}
    dgst, full = STRATEGIES["dgst"], STRATEGIES["full"]
    others = {name: _of_registry(f"dgst-{title}", dgst, factors, name) for name, title in OTHER_RULES.items()}
    title = "Full, in the encoder's first two stages"
    early = entrant("full-early", "full", title, full.default_lr, factors, layers="early")
    early = replace(early, make=make_full_among)
    listed = (known.pop("dgst"), *others.values(), known.pop("full"), early, *known.values())
    return {one.name: one for one in listed}


def _of_registry(name: str, info: StrategyInfo, factors: Sequence[float], update: str = DEFAULT_RULE) -> Entrant:
    """With everything that its rule fixes spelled out."""
    if not info.uses_gamma:
        return entrant(name, info.name, info.title, info.default_lr, factors)
    rule = RULES[update]
    title = info.title if update == DEFAULT_RULE else f"{info.title}, rule {update}"
    fixed = {"update": update, "gamma": rule.gamma, "layers": rule.layers}
    return entrant(name, info.name, title, info.lrs[update], factors, **fixed)


def chosen_entrants(names: Sequence[str] | None, factors: Sequence[float]) -> dict[str, Entrant]:
    """The entrants called so, in their order, the one they are compared with always among them; ``FULL`` when None.

    Raises:
        InputError: a name is not known.
    """
    known = known_entrants(factors)
    if names is None:
        return {name: one for name in known if (one := _of_full(known[name])).completeness}
    unknown = set(names) - known.keys()
    if unknown:
        raise InputError(f"There is no strategy {sorted(unknown)[0]!r}; there are {', '.join(known)}.")
    return {name: one for name, one in known.items() if name in names or name == REFERENCE}


def _of_full(one: Entrant) -> Entrant:
    return replace(one, completeness=tuple(kind for kind, names in FULL.items() if one.name in names))


def refuse_unequal_effort(entrants: Sequence[Entrant]) -> None:
    """
    Raises:
        InputError: one is tried with more configurations than another.
    """
    for one in entrants:
        if len(one.configurations) != len(entrants[0].configurations):
            raise InputError(
                f"{one.name} is tried with {len(one.configurations)} configurations and {entrants[0].name} with "
                f"{len(entrants[0].configurations)}; give every strategy as many."
            )


def refuse_repetition(entrants: Sequence[Entrant]) -> None:
    """
    Raises:
        InputError: one is tried with a configuration twice.
    """
    for one in entrants:
        if len({as_text(configuration) for configuration in one.configurations}) != len(one.configurations):
            raise InputError(f"{one.name} is tried with the same configuration twice; make them differ.")


def make_full_among(
    law: str, network: nn.Module, *, head: Sequence[str], among: Sequence[str] | None = None, **options: Any
) -> Strategy:
    """Full by ``make_strategy`` with rows outside ``among`` and the head frozen; norms and biases move everywhere."""
    if among is not None:
        moving = names_below(network, [*among, *head])
        for member in members(network):
            if member.has_rows and member.name not in moving:
                member.parameter.requires_grad_(False)
    return make_strategy(law, network, head=head, **options)


def as_text(configuration: Configuration) -> str:
    """A configuration in one word of a key."""
    return ",".join(f"{name}={json.dumps(configuration[name])}" for name in sorted(configuration))
