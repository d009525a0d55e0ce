"""What a strategy's name allows to move, checked on the weights themselves and not on what the strategy says.

Counted is how many weights of each row moved. Which ones a law leaves open: DGST may select by any score, so that a
strategy that moves as many others in their place keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from DGSTSegmentLib.dgst.identity import bits
from DGSTSegmentLib.dgst.partition import Member, members, names_below
from DGSTSegmentLib.dgst.rows import RowLayout
from DGSTSegmentLib.dgst.stepping import StepReport
from DGSTSegmentLib.dgst.strategies import Strategy
from DGSTSegmentLib.errors import InputError

from .attached import attached_to, first_difference
from .gammas import Gamma
from .guard import Refused
from .updates import at_most_one_update

LORA_RANK = 8
SPARSE = ("dgst", "random", "static")
"""Laws of at most gamma weights of a row."""
_ROUNDING = torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class Allowance:
    """How much of one parameter may move.

    Args:
        layout: its rows; None where it has none.
        at_a_step: weights of each row that may move at a step, by its number, counted from 0; None for all of them,
            whether in rows or not.
        in_all: weights of each row that may differ at the end; None for all.
        rank: of the whole change at the end; None for any.
    """

    layout: RowLayout | None
    at_a_step: Callable[[int], int] | None
    in_all: int | None
    rank: int | None = None


def allowances(
    law: str,
    network: nn.Module,
    head: Sequence[str],
    decoder: Sequence[str],
    gamma: int | Gamma = 2,
    among: Sequence[str] | None = None,
    rank: int = LORA_RANK,
) -> dict[str, Allowance]:
    """What the strategy called ``law`` may move of each parameter of ``network``, by name.

    Raises:
        KeyError: no strategy is called so.
        InputError: a gamma that changes for static, whose choice is made once.
    """
    gamma = gamma if isinstance(gamma, Gamma) else Gamma.of(gamma)
    if law == "static" and not gamma.is_constant:
        raise InputError("static chooses once, so that its gamma cannot change over the run.")
    selectable = None if among is None else names_below(network, among)
    in_head = names_below(network, head)
    moves_whole = _whole_parameters(law, in_head, names_below(network, decoder, only_there=True))

    def of(member: Member) -> Allowance:
        layout = member.layout if member.has_rows else None
        if law == "lora":
            return Allowance(layout, _none, None if layout else 0, rank if layout else None)
        in_rows = layout is not None and member.name not in in_head
        if in_rows and selectable is not None and member.name not in selectable:
            return Allowance(layout, _none, 0)
        if law in SPARSE and in_rows:
            at_a_step = partial(gamma.at, length=layout.length)
            return Allowance(layout, at_a_step, at_a_step(0) if law == "static" else None)
        return Allowance(layout, None, None) if moves_whole(member) else Allowance(layout, _none, 0)

    return {member.name: of(member) for member in members(network)}


def _whole_parameters(law: str, in_head: set[str], in_decoder: set[str]) -> Callable[[Member], bool]:
    """Which parameters may move in all their weights; of sparse strategies, among those that have no rows."""
    return {
        **dict.fromkeys((*SPARSE, "full"), lambda member: True),
        "lora": lambda member: False,
        "bias": lambda member: member.is_bias or member.name in in_head,
        "norm": lambda member: member.of_norm or member.name in in_head,
        "head": lambda member: member.name in in_head,
        "decoder": lambda member: member.name in in_decoder or member.name in in_head,
    }[law]


class Watch:
    """Looks at every weight of a network before, at and after each step of a strategy.

    Args:
        law: name of the strategy whose freedom is claimed.
        network: with the foundation model's weights, before any strategy has seen it.
        head, decoder: names of its modules.
        gamma: of dgst, random and static.
        among: names of the modules whose rows alone may move; None for all.
    """

    def __init__(
        self,
        law: str,
        network: nn.Module,
        head: Sequence[str],
        decoder: Sequence[str],
        gamma: int | Gamma = 2,
        among: Sequence[str] | None = None,
    ):
        self.law, self.network, self.steps = law, network, 0
        self._allowed = allowances(law, network, head, decoder, gamma, among)
        self._attached = attached_to(network)
        self._parameters = _parameters_of(network)
        self._base = {name: _copy(parameter) for name, parameter in self._parameters.items()}
        self._buffers = {name: _copy(buffer) for name, buffer in network.named_buffers()}
        # Copies of all, for every strategy alike: made later, those of moving weights would be counted as its memory.
        self._last = {name: _copy(parameter) for name, parameter in self._parameters.items()}

    def over(self, strategy: Strategy) -> WatchedStrategy:
        """The strategy, watched."""
        return WatchedStrategy(strategy, self)

    def check_unmoved(self, when: str) -> None:
        """
        Raises:
            Refused: a weight moved since the last step.
        """
        for name, parameter in self._parameters.items():
            if _differs(parameter, self._last[name]):
                raise Refused(f"{self.law} moved {name} {when}.")

    def check_step(self) -> None:
        """Judge what moved since the last step, by what one step may move.

        Raises:
            Refused: more moved.
        """
        for name, parameter in self._parameters.items():
            before, allowed = self._last[name], self._allowed[name]
            if not _differs(parameter, before):
                continue
            most = None if allowed.at_a_step is None else allowed.at_a_step(self.steps)
            self._judge(name, before, parameter, allowed.layout, most, f"at step {self.steps + 1}")
            before.copy_(parameter.detach())
        self.steps += 1

    def check_finished(self, steps: int) -> None:
        """Judge the finished network: what differs from the foundation model in all, and that nothing slipped by.

        Args:
            steps: how many there must have been.

        Raises:
            Refused: a weight differs that may not, or differs otherwise than the steps moved it; or more than weights
                changed.
        """
        if self.steps != steps:
            raise Refused(f"{self.law} made {self.steps} steps where every strategy makes {steps}.")
        self._check_structure()
        for name, parameter in _parameters_of(self.network).items():
            allowed = self._allowed[name]
            if self.law != "lora" and _differs(parameter, self._last[name]):
                raise Refused(f"{self.law} moved {name} after the last step.")
            self._judge(name, self._base[name], parameter, allowed.layout, allowed.in_all, "in all")
            if allowed.rank is not None and not _has_rank(self._base[name], parameter, allowed.layout, allowed.rank):
                raise Refused(f"{self.law} changed {name} by more than rank {allowed.rank}.")

    def check_saved(self, saved: nn.Module) -> None:
        """Judge the network made anew from what the finished one is saved as.

        Raises:
            Refused: it has other weights than those that were watched.
        """
        remade = _parameters_of(saved)
        for name, parameter in _parameters_of(self.network).items():
            if _differs(parameter, remade[name]):
                raise Refused(f"{self.law} is saved with other weights of {name} than it was trained to.")

    def _check_structure(self) -> None:
        buffers = dict(self.network.named_buffers())
        if _parameters_of(self.network).keys() != self._base.keys() or buffers.keys() != self._buffers.keys():
            raise Refused(f"{self.law} left a network of another structure.")
        changed = first_difference(self._attached, attached_to(self.network))
        if changed is not None:
            raise Refused(
                f"{self.law} left a hook or a method of its own on {changed}, so that more than weights changed."
            )
        for name, buffer in buffers.items():
            if _differs(buffer, self._buffers[name]):
                raise Refused(f"{self.law} changed the statistics {name}.")

    def _judge(
        self, name: str, before: Tensor, after: Tensor, layout: RowLayout | None, most: int | None, when: str
    ) -> None:
        if most is None:
            return
        changed = (bits(after) != bits(before)).view(before.shape)
        if most == 0 or layout is None:
            if changed.any():
                raise Refused(f"{self.law} moved {name} {when}, which it must leave as it is.")
            return
        moved = int(layout.to_rows(changed).sum(dim=1).max())
        if moved > most:
            raise Refused(f"{self.law} moved {moved} weights of a row of {name} {when}, where {most} may move.")


class WatchedStrategy:
    """A strategy under watch; the trainer uses it like the strategy itself."""

    def __init__(self, strategy: Strategy, watch: Watch):
        self._strategy, self._watch = strategy, watch
        watch.check_unmoved("before training")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._strategy, name)

    def observe(self, scaler: torch.amp.GradScaler | None = None) -> None:
        self._strategy.observe(scaler)
        self._watch.check_unmoved("while it only observed")

    def step(self, lr_factor: float = 1.0, scaler: torch.amp.GradScaler | None = None) -> StepReport:
        self._watch.check_unmoved("between steps")
        with at_most_one_update(self._watch.law, self._watch.network, self._watch.steps + 1):
            report = self._strategy.step(lr_factor=lr_factor, scaler=scaler)
        self._watch.check_step()
        return report

    def finish(self) -> None:
        self._watch.check_unmoved("after the last step")
        self._strategy.finish()


def _none(step: int) -> int:
    return 0


def _parameters_of(network: nn.Module) -> dict[str, nn.Parameter]:
    return {member.name: member.parameter for member in members(network)}


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def _differs(one: Tensor, other: Tensor) -> bool:
    return not torch.equal(bits(one), bits(other.to(one.device)))


def _has_rank(before: Tensor, after: Tensor, layout: RowLayout, rank: int) -> bool:
    """Whether the change is of ``rank`` at most, but for the rounding of the sum that made the new weights."""
    change = layout.to_rows(after.detach().double() - before.double()).cpu()
    if min(change.shape) <= rank:
        return True
    noise = 2 * _ROUNDING * float(torch.linalg.vector_norm(after.detach().double()))
    return float(torch.linalg.svdvals(change)[rank]) <= noise
