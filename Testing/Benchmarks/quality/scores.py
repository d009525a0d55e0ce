"""What ideas select weights by, and where they move them: from a gradient, its running moments and the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from DGSTSegmentLib.dgst import moments

_TINY = 1e-12


@dataclass(frozen=True)
class Seen:
    """What is known of the rows of one parameter at a step; each [R, K].

    Args:
        gradient: of this batch.
        mean: running mean of the gradients, this one included, corrected for its start at zero as Adam's is.
        square: running mean of their squares, corrected alike.
        weight: as it is before the step.
    """

    gradient: Tensor
    mean: Tensor
    square: Tensor
    weight: Tensor

    def at(self, columns: Tensor) -> Seen:
        """The same of the entries ``columns`` [R, n] of each row."""
        parts = (self.gradient, self.mean, self.square, self.weight)
        return Seen(*(part.gather(1, columns) for part in parts))


class Moments:
    """Running means of gradients and of their squares, by parameter, as the rule ``adam`` has them."""

    def __init__(self) -> None:
        self._states: dict[str, dict[str, Any]] = {}

    def note(self, name: str, gradient: Tensor, weight: Tensor) -> Seen:
        """Take in the gradient rows [R, K] of a step; those that are not finite are left out."""
        if name not in self._states:
            moments.begin(self._states.setdefault(name, {}), gradient)
        state = self._states[name]
        if torch.isfinite(torch.linalg.vector_norm(gradient)):
            moments.take_in(state, gradient)
        of_mean, of_square = moments.corrections(state)
        return Seen(gradient, state["mean"] / of_mean, state["square"] / of_square, weight)


def by_gradient(seen: Seen) -> Tensor:
    """This batch's gradient: the paper's score."""
    return seen.gradient


def by_mean(seen: Seen) -> Tensor:
    """Accumulated instead of single-batch gradients: their running mean."""
    return seen.mean


def by_signal_to_noise(seen: Seen) -> Tensor:
    """Running mean over root mean square: high where batches agree, whatever the gradient's size."""
    return seen.mean / (seen.square.sqrt() + _TINY)


def by_fisher(seen: Seen) -> Tensor:
    """Running mean of squares, the diagonal of the empirical Fisher information, as FISH masks (arXiv 2111.09839)."""
    return seen.square


def by_gradient_times_weight(seen: Seen) -> Tensor:
    """Running mean times weight: first-order change of the loss if the weight were removed (arXiv 1611.06440)."""
    return seen.mean * seen.weight


def by_gradient_over_weight(seen: Seen) -> Tensor:
    """Running mean relative to the weight's size, to which its row's root mean square is added."""
    row_rms = seen.weight.square().mean(dim=1, keepdim=True).sqrt()
    return seen.mean / (seen.weight.abs() + row_rms + _TINY)


def sign_of_gradient(seen: Seen) -> Tensor:
    """As the rule ``rms`` moves weights: by this batch's sign."""
    return seen.gradient.sign()


def sign_of_mean(seen: Seen) -> Tensor:
    """signSGD with momentum (Signum, arXiv 1802.04434)."""
    return seen.mean.sign()


def adam(seen: Seen) -> Tensor:
    """As the rule ``adam`` moves weights: running mean over root mean square (arXiv 1412.6980)."""
    return seen.mean / (seen.square.sqrt() + moments.EPSILON)


def mean_over_row(seen: Seen) -> Tensor:
    """Running mean over its root mean square in the row, over the entries that move: every row moves as far."""
    return seen.mean / (seen.mean.square().mean(dim=1, keepdim=True).sqrt() + _TINY)


SCORES: dict[str, Callable[[Seen], Tensor]] = {
    "gradient": by_gradient,
    "mean": by_mean,
    "signal-to-noise": by_signal_to_noise,
    "fisher": by_fisher,
    "times-weight": by_gradient_times_weight,
    "over-weight": by_gradient_over_weight,
}
DIRECTIONS: dict[str, Callable[[Seen], Tensor]] = {
    "sign": sign_of_gradient,
    "mean-sign": sign_of_mean,
    "adam": adam,
    "row-normalised": mean_over_row,
}
"""Called with what is known of the selected entries alone."""
SCALES = ("absolute", "row")
"""What the learning rate is a multiple of: 1, or the root mean square of the row in the foundation model."""
