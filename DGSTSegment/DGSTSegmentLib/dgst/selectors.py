"""How a step chooses its entries: by this step's gradients, at random, or by what was observed before training."""

from __future__ import annotations

import hashlib
from typing import Protocol

import torch
from torch import Tensor

from .selection import random_entries, top_entries


class Selector(Protocol):
    """Chooses entries of the rows of one parameter at a time; ``DGST`` takes any."""

    def select(self, name: str, scores: Tensor, step: int, gamma: int) -> Tensor:
        """Columns [R, n] that may move, n at most ``gamma``, each at most once in a row.

        Args:
            name: of the parameter.
            scores: its rows [R, K] of gradients, under the rule ``adam`` of their running means; not to be changed.
            step: how many steps were made before.
            gamma: entries of a row that may move.
        """


class LargestGradients:
    """The paper's P_S: the largest |g| of each row at this very step."""

    def select(self, name: str, scores: Tensor, step: int, gamma: int) -> Tensor:
        return top_entries(scores, gamma)


class RandomEntries:
    """As many entries, drawn anew at each step without replacement; the draw depends on seed, step and name alone."""

    def __init__(self, seed: int):
        self.seed = seed

    def select(self, name: str, scores: Tensor, step: int, gamma: int) -> Tensor:
        generator = seeded_generator(self.seed, step, name)
        return random_entries(*scores.shape, gamma, generator).to(scores.device)


class FixedEntries:
    """The largest |g| of each row, summed over the batches observed before the first update; then always the same.

    Args:
        batches: how many are to be observed.
    """

    def __init__(self, batches: int = 5):
        self._batches = batches
        self.begin()

    def begin(self) -> None:
        """Observe from the first batch on, whatever was chosen before."""
        self.batches_left = self._batches
        self.columns: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}

    def observe(self, gradients: dict[str, Tensor], gamma: int) -> None:
        """Add the gradient rows [R, K] of one batch, by parameter; after the last batch the choice is made."""
        for name, rows in gradients.items():
            self._sums[name] = self._sums[name] + rows.abs() if name in self._sums else rows.abs()
        self.batches_left -= 1
        if self.batches_left == 0:
            self.fix({name: top_entries(sums, gamma) for name, sums in self._sums.items()})

    def fix(self, columns: dict[str, Tensor]) -> None:
        """Take this choice, columns [R, n] by parameter, for good."""
        self.columns, self._sums, self.batches_left = columns, {}, 0

    def select(self, name: str, scores: Tensor, step: int, gamma: int) -> Tensor:
        """A parameter that had no gradient in any observed batch has no entry chosen.

        Raises:
            RuntimeError: batches are still to be observed.
        """
        if self.batches_left > 0:
            raise RuntimeError(f"{self.batches_left} more batches have to be observed before the first step.")
        return self.columns.get(name, torch.empty(scores.shape[0], 0, dtype=torch.int64, device=scores.device))


def seeded_generator(*key: int | str) -> torch.Generator:
    """A CPU generator whose numbers follow from ``key`` alone, so that a resumed run draws what it would have drawn."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
