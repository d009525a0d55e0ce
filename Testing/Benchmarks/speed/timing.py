"""Contestants take turns on the clock; ratios are taken within a round, and told by median and spread."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

_SEED = 2025


@dataclass(frozen=True)
class Estimate:
    """The middle and the spread of some numbers.

    Args:
        median: of all.
        low, high: the least and the greatest.
        n: how many there are.
        lower_quartile, upper_quartile: a quarter lies below, above; None where it was not computed.
    """

    median: float
    low: float
    high: float
    n: int
    lower_quartile: float | None = None
    upper_quartile: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """
        Raises:
            ValueError: there is no value.
        """
        if not values:
            raise ValueError("Of no values there is no median.")
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1, values[0], values[0])
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, min(values), max(values), len(values), lower, upper)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def interleaved(
    contestants: Mapping[str, Callable[[], Any]],
    rounds: int,
    warmup: int = 1,
    *,
    before: Callable[[str], Any] | None = None,
    settle: Callable[[], Any] | None = None,
) -> dict[str, list[float]]:
    """Time every contestant once a round, in an order drawn anew for every round from a fixed seed.

    Args:
        contestants: what to time, by name.
        rounds: timed rounds.
        warmup: rounds before them that nobody counts.
        before: called with the name before each turn, off the clock.
        settle: called after each turn, on the clock: waits for a device that works on its own. It is also called,
            off the clock, before each turn.

    Returns:
        Seconds by name, one a round in the rounds' order, names in the order of ``contestants``.

    Raises:
        ValueError: fewer than one round, or no contestant.
    """
    if rounds < 1 or not contestants:
        raise ValueError(f"{len(contestants)} contestants cannot take turns in {rounds} rounds.")
    order, names = random.Random(_SEED), list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for n in range(warmup + rounds):
        order.shuffle(names)
        for name in names:
            taken = _one_turn(name, contestants[name], before, settle)
            if n >= warmup:
                seconds[name].append(taken)
    return seconds


def _one_turn(
    name: str, run: Callable[[], Any], before: Callable[[str], Any] | None, settle: Callable[[], Any] | None
) -> float:
    if before is not None:
        before(name)
    if settle is not None:
        settle()
    began = time.perf_counter()
    run()
    if settle is not None:
        settle()
    return time.perf_counter() - began


def ratios(values: Sequence[float], against: Sequence[float]) -> list[float]:
    """``values`` over ``against``, round by round.

    Raises:
        ValueError: they are not of the same rounds.
    """
    if len(values) != len(against):
        raise ValueError(f"{len(values)} and {len(against)} rounds cannot be compared round by round.")
    return [value / other for value, other in zip(values, against, strict=True)]
