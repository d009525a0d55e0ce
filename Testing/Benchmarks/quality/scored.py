"""DGST with another score, direction, gamma or a mask that is kept: the strategy of most ideas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from DGSTSegmentLib.dgst.optimizer import DGST
from DGSTSegmentLib.dgst.partition import Member
from DGSTSegmentLib.dgst.registry import STRATEGIES
from DGSTSegmentLib.dgst.selection import top_entries
from DGSTSegmentLib.dgst.strategies import SparseStrategy
from DGSTSegmentLib.errors import InputError

from .gammas import Gamma
from .scores import DIRECTIONS, SCALES, SCORES, Moments, Seen


class ScoredEntries:
    """Selects the entries of each row with the largest scores; ``seen`` has to be set before each call.

    Args:
        score: of ``SCORES``.
        gamma: how many.
        hold: steps for which a choice is kept.

    Raises:
        InputError: a choice is to be kept while gamma changes.
    """

    def __init__(self, score: str, gamma: Gamma, hold: int = 1):
        if hold > 1 and not gamma.is_constant:
            raise InputError("A choice that is kept for several steps needs one gamma, not one that changes.")
        self.score, self.gamma, self.hold = SCORES[score], gamma, hold
        self.seen: Seen | None = None
        self.columns: dict[str, Tensor] = {}

    def select(self, name: str, scores: Tensor, step: int, gamma: int) -> Tensor:
        """Columns [R, n]; the optimizer's own ``gamma`` does not count."""
        if step % self.hold == 0 or name not in self.columns:
            count = self.gamma.at(step, scores.shape[1])
            self.columns[name] = top_entries(self.score(self.seen).contiguous(), count)
        return self.columns[name]


class ScoredDGST(DGST):
    """DGST whose selected weights move by a direction of ``DIRECTIONS`` times lr and scale; always on as usual.

    The running means are dense and no part of a saved state: it cannot be resumed.

    Args:
        network: to train, pretrained.
        selector: chooses.
        direction: of ``DIRECTIONS``.
        scale: of ``SCALES``.
        options: of ``DGST``.
    """

    def __init__(self, network: nn.Module, *, selector: ScoredEntries, direction: str, scale: str, **options: Any):
        super().__init__(network, selector=selector, gamma=1, update="sgd", **options)
        self._direction, self._moments = DIRECTIONS[direction], Moments()
        self._scales = {member.name: _row_rms(member) if scale == "row" else 1.0 for member in self.rows}

    def _select(self, member: Member, norm: Tensor, remembers: bool):
        rows, weights = (member.layout.to_rows(t) for t in (member.parameter.grad, member.parameter.detach()))
        self.selector.seen = seen = self._moments.note(member.name, rows, weights)
        chosen = super()._select(member, norm, remembers)
        moves = self._direction(seen.at(self.selector.columns[member.name]))
        return replace(chosen, values=moves * self._scales[member.name])

    def _update(self, selected, factor: float) -> None:
        """Clipping is for what is always on: directions have a size of their own."""
        super()._update([(member, chosen.times(1 / factor)) for member, chosen in selected], factor)


class ScoredStrategy(SparseStrategy):
    """The strategy dgst with a ``ScoredDGST``."""

    def __init__(self, network: nn.Module, settings: dict, selector: ScoredEntries, **options: Any):
        super(SparseStrategy, self).__init__(STRATEGIES["dgst"], network, settings)
        self.selector = selector
        self._take_optimizer(ScoredDGST(network, selector=selector, **options))


def make_scored(
    law: str,
    network: nn.Module,
    *,
    steps: int,
    head: Sequence[str],
    decoder: Sequence[str] = (),
    seed: int = 0,
    lr: float,
    gamma: Any,
    score: str = "gradient",
    direction: str = "sign",
    scale: str = "absolute",
    hold: int = 1,
    **options: Any,
) -> ScoredStrategy:
    """Makes the strategy of an idea, called as ``make_strategy`` is.

    Args:
        law, decoder, seed: not needed.
        steps: of the run, for a gamma that changes.
        gamma: as ``Gamma.of`` takes it.
        score, direction, scale: names of ``SCORES``, ``DIRECTIONS`` and ``SCALES``.
        hold: steps for which a choice is kept.
        options: of ``DGST``.

    Raises:
        InputError: a name is not known, or gamma is out of range or changes while a choice is kept.
    """
    for kind, name, known in (("score", score, SCORES), ("direction", direction, DIRECTIONS), ("scale", scale, SCALES)):
        if name not in known:
            raise InputError(f"There is no {kind} {name!r}; there are {', '.join(known)}.")
    selector = ScoredEntries(score, Gamma.of(gamma, steps), hold)
    chosen = {"lr": lr, "gamma": gamma, "score": score, "direction": direction, "scale": scale, "hold": hold}
    options = {"always_on_rule": "adamw", **options}
    return ScoredStrategy(
        network, {**chosen, **options}, selector, direction=direction, scale=scale, lr=lr, head=head, **options
    )


def _row_rms(member: Member) -> Tensor:
    """[R, 1], of the weights as they are now; for a row of zeros that of the whole parameter, which may be 0."""
    rows = member.layout.to_rows(member.parameter.detach())
    rms = rows.square().mean(dim=1, keepdim=True).sqrt()
    return torch.where(rms > 0, rms, rows.square().mean().sqrt())
