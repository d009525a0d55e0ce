"""What is made of a finished fine-tuning without training more: averaging along the run, delta scaling."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from DGSTSegmentLib.dgst.stepping import StepReport
from DGSTSegmentLib.dgst.strategies import Strategy

AVERAGED_SHARE = 0.5
"""Of the run, counted from its end, that the mean is taken over."""


@dataclass(frozen=True)
class Variant:
    """Base plus ``scale`` times the change; open to every strategy, since none of it is the strategy's.

    Args:
        averaged: the change is the mean of those after each step of the run's last half (stochastic weight averaging,
            arXiv 1803.05407), not that after the last step. Of LoRA's changes the mean can have a higher rank.
        scale: of the change; less than 1 goes back towards the base (WiSE-FT, arXiv 2109.01903).
    """

    averaged: bool = False
    scale: float = 1.0

    @property
    def name(self) -> str:
        return f"{'averaged' if self.averaged else 'last'} x {self.scale:g}"


class Averaged:
    """A strategy of which the changes along the run are averaged; the trainer uses it like the strategy itself.

    Args:
        strategy: to be stepped through this.
        steps: of the run.
    """

    def __init__(self, strategy: Strategy, steps: int):
        self._strategy, self._steps, self._done, self._count = strategy, steps, 0, 0
        self._base = {name: value.detach().clone() for name, value in strategy.plain_state().items()}
        self._sum: dict[str, Tensor] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._strategy, name)

    def step(self, lr_factor: float = 1.0, scaler: torch.amp.GradScaler | None = None) -> StepReport:
        report = self._strategy.step(lr_factor=lr_factor, scaler=scaler)
        self._done += 1
        if self._done > self._steps * (1 - AVERAGED_SHARE):
            self._take_in()
        return report

    def mean_change(self) -> dict[str, Tensor]:
        """By key of the state dict; zero exactly where a weight never differed from the base. On the CPU."""
        return {name: (total / self._count).cpu() for name, total in self._sum.items()}

    @torch.no_grad()
    def _take_in(self) -> None:
        self._count += 1
        for name, value in self._strategy.plain_state().items():
            if value.is_floating_point():
                change = value - self._base[name]
                self._sum[name] = self._sum[name] + change if name in self._sum else change


@torch.no_grad()
def varied(
    network: nn.Module, base: Mapping[str, Tensor], mean_change: Mapping[str, Tensor], variant: Variant
) -> nn.Module:
    """A copy of the finished ``network`` with the variant's weights; those that did not move are bit-identical.

    Args:
        network: finished, on the CPU.
        base: state dict of the foundation model.
        mean_change: of ``Averaged``.
        variant: to make.
    """
    result = copy.deepcopy(network)
    state = network.state_dict()
    for name, value in result.state_dict().items():
        if value.is_floating_point():
            change = mean_change[name] if variant.averaged else state[name] - base[name]
            change = variant.scale * change
            value.copy_(torch.where(change == 0, base[name], base[name] + change))
    return result
