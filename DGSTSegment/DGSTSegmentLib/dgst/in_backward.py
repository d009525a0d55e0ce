"""Selection while the backward pass runs: a dense gradient is freed as soon as its entries are chosen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from weakref import ref

import torch
from torch import nn

from .checks import check_gradients
from .freezing import processes_train_together
from .partition import Member

if TYPE_CHECKING:
    from .optimizer import DGST, Selected


class InBackwardRefused(RuntimeError):
    """In-backward selection was asked for what it cannot do."""


class InBackward:
    """Has an optimizer select from each gradient when it is made, keeps what was selected and frees the gradient.

    Args:
        optimizer: which selects; once it is gone, gradients are left alone.
        members: whose gradients; none where the selection waits for the step.

    Raises:
        InBackwardRefused: several processes train together.
    """

    def __init__(self, optimizer: DGST, members: Sequence[Member]):
        if members:
            _refuse_distributed()
        self._optimizer = ref(optimizer)
        self._selected: dict[str, Selected] = {}
        self._hooks = [
            member.parameter.register_post_accumulate_grad_hook(partial(self._select_and_free, member))
            for member in members
        ]

    def take(self) -> dict[str, Selected]:
        """What was selected since the last call, by parameter.

        Raises:
            InBackwardRefused: a GradScaler means to unscale within this step.
        """
        optimizer = self._optimizer()
        if hasattr(optimizer, "found_inf"):
            del optimizer.found_inf, optimizer.grad_scale
            raise InBackwardRefused(
                "GradScaler.step cannot unscale gradients that were freed during backward: call unscale_(scaler), "
                "step() and scaler.update()."
            )
        taken, self._selected = self._selected, {}
        return taken

    def clear(self) -> None:
        """Forget what was selected."""
        self._selected = {}

    def stop(self) -> None:
        """Leave all gradients alone from now on."""
        self.clear()
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def unscale_(self, scaler: torch.amp.GradScaler) -> None:
        """Undo the loss scaling of all gradients of the optimizer, those that were freed included.

        Raises:
            InBackwardRefused: running means were already fed with scaled gradients.
        """
        optimizer = self._optimizer()
        if self._selected and scaler.is_enabled() and optimizer.param_groups[0]["update"] == "adam":
            raise InBackwardRefused(
                "In-backward selection by the running mean of gradients cannot undo a loss scale that changes: train "
                "in bf16 or fp32, or make the optimizer with in_backward=False or another update."
            )
        if any(not torch.isfinite(chosen.norm) for chosen in self._selected.values()):
            _show_overflow(member.parameter for member in optimizer.rows)
        scaler.unscale_(optimizer)
        if self._selected:
            scale = scaler.get_scale()
            factor = 1.0 / scale if scale else math.inf  # it halves with every overflow, in the end to 0
            self._selected = {name: chosen.times(factor) for name, chosen in self._selected.items()}

    @torch.no_grad()  # a backward pass that makes a graph (create_graph) runs its hooks with gradients recorded
    def _select_and_free(self, member: Member, parameter: nn.Parameter) -> None:
        optimizer = self._optimizer()
        if optimizer is None:
            return
        _refuse_distributed()
        if member.name in self._selected:
            raise InBackwardRefused(
                "In-backward selection cannot accumulate gradients: step and clear the gradients after every "
                "backward pass, or make the optimizer with in_backward=False."
            )
        check_gradients([member])
        self._selected |= optimizer.select_from([member])
        parameter.grad = None


def _show_overflow(parameters: Iterable[nn.Parameter]) -> None:
    """Leave an infinite gradient where a GradScaler finds it, for one that was freed: it has to lower its scale."""
    smallest = min(parameters, key=torch.Tensor.numel)
    smallest.grad = torch.full_like(smallest, math.inf)


def _refuse_distributed() -> None:
    if processes_train_together() and torch.distributed.get_world_size() > 1:
        raise InBackwardRefused(
            "In-backward selection cannot average gradients across ranks: train on one device, or make the optimizer "
            "with in_backward=False."
        )
