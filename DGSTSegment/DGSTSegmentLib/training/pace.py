"""How long a run takes: steps from minutes, time left, and when a checkpoint is due."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from .request import DEFAULT_STEPS

CALIBRATION = range(3, 11)
"""Steps whose speed turns minutes into a number of steps; the first ones are slower than the rest."""

LEAST_STEPS = 20
CHECKPOINT_SHARE = 0.05
LEAST_SECONDS_BETWEEN_CHECKPOINTS = 2.0


class Pace:
    """Fixes the number of steps once and keeps time.

    ``shortfall`` is a sentence on why only ``LEAST_STEPS`` are taken, once that is known; None where more fit.

    Args:
        steps: given number of steps, or the one that an earlier start fixed; None when ``minutes`` decides.
        minutes: time for the whole run, preparation and measuring included.
        reserved_seconds: what of it is needed after the last step.
        spent_seconds: what of it went by before the first step.
        clock: tells seconds from any start.
    """

    def __init__(
        self,
        steps: int | None,
        minutes: float | None,
        reserved_seconds: float = 0.0,
        spent_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._clock = clock
        self.steps = steps if steps or minutes else DEFAULT_STEPS
        self._minutes, self._reserved, self._spent = minutes, reserved_seconds, spent_seconds
        self.shortfall: str | None = None
        self._durations: list[float] = []
        self._began = self._last = clock()
        self._checkpoint_cost = 0.0
        self._last_checkpoint = self._began

    def step_done(self, step: int) -> bool:
        """Take note of a step; True when this fixed the number of steps."""
        now = self._clock()
        self._durations.append(now - self._last)
        self._last = now
        if self.steps is None and step + 1 >= CALIBRATION.stop:
            # A run resumed in the middle of the calibration has timed few steps, perhaps only slow first ones.
            pace = float(np.median(self._durations[CALIBRATION.start :] or self._durations))
            left = self._minutes * 60 - self._spent - self._reserved - (now - self._began)
            fitting = step + 1 + int(left / pace)
            self.steps = max(LEAST_STEPS, fitting)
            self.shortfall = self._shortfall(pace) if fitting < LEAST_STEPS else None
            return True
        return False

    def _shortfall(self, seconds_a_step: float) -> str:
        fewer = " or hold out fewer scans" if self._reserved else ""
        used = (self._spent + self._reserved) / 60
        return (
            f"Only {LEAST_STEPS} steps are taken: reading and measuring take {used:.1f} of {self._minutes:g} min, "
            f"and each step {seconds_a_step:.2g} s; give more time{fewer}."
        )

    def seconds_left(self, step: int) -> float | None:
        """Seconds until the last step, from the recent ones' speed; None while the number of steps is not known."""
        if self.steps is None:
            return None
        return float(np.median(self._durations[-20:])) * (self.steps - step - 1)

    def checkpoint_due(self) -> bool:
        """Whether so much time went by that another checkpoint costs 5 % of it at most."""
        pause = max(self._checkpoint_cost / CHECKPOINT_SHARE, LEAST_SECONDS_BETWEEN_CHECKPOINTS)
        return self._clock() - self._last_checkpoint >= pause

    def checkpoint_done(self, seconds: float) -> None:
        """A checkpoint took ``seconds``; the time for it is not counted as a step's."""
        self._checkpoint_cost = seconds
        self._last = self._last_checkpoint = self._clock()
