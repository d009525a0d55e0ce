"""A goal of the benchmark: met, missed by a measured distance, or not measured, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .timing import Estimate


@dataclass(frozen=True)
class Goal:
    """Something that was promised before it was measured.

    Args:
        title: a phrase for the report.
        limit: the number to reach.
        unit: of ``limit``: ``x`` for ratios, ``s``, ``MB``.
        at_most: whether the measured number may not exceed the limit; else it may not fall below it.
        measured: None where nothing was.
        reason: one or more sentences: why it is missed where it is.
    """

    title: str
    limit: float
    unit: str
    at_most: bool
    measured: Estimate | None
    reason: str

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the limit; None where nothing was measured."""
        if self.measured is None:
            return None
        return self.measured.median <= self.limit if self.at_most else self.measured.median >= self.limit

    @property
    def distance(self) -> float | None:
        """How many times the median is worse than the limit: below 1 it is better, 1.2 is a fifth too much (or little).

        None where nothing was measured, or where limit or median are not positive, as ratios have to be.
        """
        if self.measured is None or self.limit <= 0 or self.measured.median <= 0:
            return None
        ratio = self.measured.median / self.limit
        return ratio if self.at_most else 1 / ratio

    def to_json(self) -> dict[str, Any]:
        """Plain data, with what follows from the rest written out."""
        estimate = None if self.measured is None else self.measured.to_json()
        if self.distance is not None and not math.isfinite(self.distance):
            raise ValueError(f"The distance to the goal {self.title!r} is {self.distance}.")
        return {
            "title": self.title,
            "limit": self.limit,
            "unit": self.unit,
            "at_most": self.at_most,
            "measured": estimate,
            "met": self.met,
            "distance": self.distance,
            "reason": self.reason,
        }
