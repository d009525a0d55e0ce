"""Means with their uncertainty, and differences of strategies over draws on which both were measured."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
TIE = 0.005
"""Differences of Dice and recall no larger than this count as a tie."""

Name = TypeVar("Name", bound=Hashable)

_DIGITS = 9
"""Differences are rounded to so many, lest the last bit of a subtraction decide which of two equal ones is larger."""
_EXACT_UP_TO = 16
"""Draws up to which, where some differ equally, every pattern of signs is looked at; with more, patterns at random."""


@dataclass(frozen=True)
class Estimate:
    """A mean over draws with its 95 % interval (Student's t); no interval from fewer than two."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Comparison:
    """Paired differences (one strategy minus the reference).

    Args:
        difference: their mean and interval.
        p: two-sided Wilcoxon signed-rank test, exact up to 16 draws, ties included; None where draws share cases and
            so say too little about other cases.
        least_p: the smallest p that so many draws can reach, whatever they show; equal pairs count for none.
        wins, ties, losses: draws in which the strategy was better, equal within ``TIE``, worse.
        p_holm: ``p`` corrected for the number of strategies compared; None where so few draws cannot reach .05.
    """

    difference: Estimate
    p: float | None
    least_p: float
    wins: int
    ties: int
    losses: int
    p_holm: float | None = None


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean and interval of values over draws; None of none."""
    if len(values) == 0:
        return None
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, None, None, len(values))
    spread = float(stats.sem(values))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * spread
    return Estimate(mean, mean - reach, mean + reach, len(values))


def compare(
    ours: Mapping[int, float], reference: Mapping[int, float], higher_is_better: bool = True
) -> Comparison | None:
    """Differences over the draws that both have; None where they have none in common.

    Args:
        ours, reference: values by draw.
        higher_is_better: whether a positive difference is a win.
    """
    common = sorted(ours.keys() & reference.keys())
    if not common:
        return None
    differences = np.round([ours[draw] - reference[draw] for draw in common], _DIGITS)
    gains = differences if higher_is_better else -differences
    return Comparison(
        difference=estimate(differences),
        p=signed_rank_p(differences),
        least_p=least_p(np.count_nonzero(differences)),
        wins=int((gains > TIE).sum()),
        ties=int((np.abs(gains) <= TIE).sum()),
        losses=int((gains < -TIE).sum()),
    )


def signed_rank_p(differences: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; equal pairs are left out, 1 where all are equal."""
    unequal = np.asarray(differences)[np.asarray(differences) != 0]
    if len(unequal) < 2:
        return 1.0
    method = "exact"
    if len(np.unique(np.abs(unequal))) < len(unequal):
        # SciPy's exact distribution is of distinct ranks; every pattern of signs, one by one, is right for equal ones.
        method = stats.PermutationMethod(n_resamples=2**_EXACT_UP_TO, rng=np.random.default_rng(0))
    return float(stats.wilcoxon(unequal, method=method).pvalue)


def least_p(draws: int) -> float:
    """The smallest p that the signed-rank test of ``draws`` unequal pairs can give: all differences of one sign."""
    return min(1.0, 2.0 ** (1 - draws))


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """p-values corrected for their number by Holm's step-down rule, by name."""
    corrected, highest = {}, 0.0
    for place, name in enumerate(sorted(p_values, key=p_values.get)):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[name]))
        corrected[name] = highest
    return corrected


def corrected(comparisons: Mapping[Name, Comparison]) -> dict[Name, Comparison]:
    """Comparisons with their p corrected for the number of those that could reach .05 at all; none for the others."""
    testable = {name: one.p for name, one in comparisons.items() if one.p is not None and one.least_p < 1 - CONFIDENCE}
    p_values = holm(testable)
    return {name: replace(one, p_holm=p_values.get(name)) for name, one in comparisons.items()}


def untested(comparison: Comparison) -> Comparison:
    """The same without a p, for draws that share cases."""
    return replace(comparison, p=None, p_holm=None)


def rounded(value: float | None, digits: int = 6) -> float | None:
    """For files: few digits, and None for what is not finite."""
    return None if value is None or not math.isfinite(value) else round(value, digits)


def on_curve(places: Sequence[tuple[float | None, float | None]], at: float | None) -> float | None:
    """Height at ``at`` of the line through ``places`` (x, y), joined in the order of x; None beyond its ends."""
    known = sorted((x, y) for x, y in places if x is not None and y is not None)
    if at is None or len(known) < 2 or not known[0][0] <= at <= known[-1][0]:
        return None
    return float(np.interp(at, *zip(*known, strict=True)))
