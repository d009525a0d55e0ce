"""Gamma as ideas give it: a number of weights, a share of the row, or a number that changes over the run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from DGSTSegmentLib.errors import InputError


@dataclass(frozen=True)
class Gamma:
    """How many weights of a row a step may move.

    Args:
        first, last: at the first and the last step, linear between; whole numbers of weights, at least 1, or one
            share of the row's length, above 0 and below 1, the same at both.
        steps: of the run.
    """

    first: float
    last: float
    steps: int = 1

    @classmethod
    def of(cls, value: Any, steps: int = 1) -> Gamma:
        """What a configuration says: ``16``, ``0.02`` (of each row) or ``[32, 4]`` (from, to).

        Raises:
            InputError: it is none of these.
        """
        first, last = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value, value)
        whole = all(isinstance(number, int) and number >= 1 for number in (first, last))
        share = isinstance(first, float) and 0 < first < 1 and first == last
        if not (whole or share):
            raise InputError(f"gamma must be a number, a share of the row or two numbers [from, to], not {value!r}.")
        return cls(first, last, steps)

    @property
    def is_constant(self) -> bool:
        return self.first == self.last

    def at(self, step: int, length: int) -> int:
        """At ``step``, counted from 0, in a row of ``length`` weights."""
        if self.is_constant:
            return math.ceil(self.first * length) if self.first < 1 else int(self.first)
        passed = min(1.0, step / max(1, self.steps - 1))
        return round(self.first + (self.last - self.first) * passed)
