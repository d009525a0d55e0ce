"""Means with their uncertainty, and differences of strategies over draws on which both were measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
TIE = 0.005
"""Differences of Dice and recall no larger than this count as a tie."""


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
        p: two-sided Wilcoxon signed-rank test; exact up to 50 draws without equal differences.
        least_p: the smallest p that so many draws can reach, whatever they show.
        wins, ties, losses: draws in which the strategy was better, equal within ``TIE``, worse.
        p_holm: ``p`` corrected for the number of strategies compared; None where so few draws cannot reach .05.
    """

    difference: Estimate
    p: float
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
    differences = np.array([ours[draw] - reference[draw] for draw in common])
    gains = differences if higher_is_better else -differences
    return Comparison(
        difference=estimate(differences),
        p=signed_rank_p(differences),
        least_p=least_p(len(common)),
        wins=int((gains > TIE).sum()),
        ties=int((np.abs(gains) <= TIE).sum()),
        losses=int((gains < -TIE).sum()),
    )


def signed_rank_p(differences: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; equal pairs are left out, 1 where all are equal."""
    unequal = np.asarray(differences)[np.asarray(differences) != 0]
    return float(stats.wilcoxon(unequal).pvalue) if len(unequal) else 1.0


def least_p(draws: int) -> float:
    """The smallest p that the signed-rank test of ``draws`` pairs can give: all differences of one sign."""
    return min(1.0, 2.0 ** (1 - draws))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for their number by Holm's step-down rule, by name."""
    corrected, highest = {}, 0.0
    for place, name in enumerate(sorted(p_values, key=p_values.get)):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[name]))
        corrected[name] = highest
    return corrected


def corrected(comparisons: Mapping[str, Comparison]) -> dict[str, Comparison]:
    """Comparisons with their p corrected for the number of those that could reach .05 at all; none for the others."""
    testable = {name: one.p for name, one in comparisons.items() if one.least_p < 1 - CONFIDENCE}
    p_values = holm(testable)
    return {name: replace(one, p_holm=p_values.get(name)) for name, one in comparisons.items()}


def rounded(value: float | None, digits: int = 6) -> float | None:
    """For files: few digits, and None for what is not finite."""
    return None if value is None or not math.isfinite(value) else round(value, digits)
