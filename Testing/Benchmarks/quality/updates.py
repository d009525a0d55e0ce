"""One step is one update, by the gradients at hand: counted while a strategy steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from .guard import Refused

MOST_WRITES = 2
"""To one parameter by one update: torch's AdamW decays it and then moves it; DGST's optimizer holds another one."""


@contextmanager
def at_most_one_update(law: str, network: nn.Module, step: int) -> Iterator[None]:
    """The block is step number ``step`` of the strategy called ``law``.

    Counted are the calls of torch's optimizers, which may be fused and then write uncounted; the writes to each
    parameter that torch counts; and whether anything was computed that records gradients. Not seen are updates that are
    added up elsewhere and written at once, or written past both counts (``.data``, fused kernels without an optimizer):
    of one gradient they are one update with another learning rate.

    Raises:
        Refused: more was done than one update needs, or gradients were computed.
    """
    written = {name: (parameter, parameter._version) for name, parameter in network.named_parameters()}
    with _calls() as (of_optimizers, on_parameters), _without_gradients(law, step):
        yield
    most = max(of_optimizers.values(), default=0)
    if most > 1:
        raise Refused(f"{law} made {most} updates at step {step}, where every strategy makes one.")
    for name, (parameter, before) in written.items():
        times = max(parameter._version - before, on_parameters[id(parameter)])
        if times > MOST_WRITES:
            raise Refused(f"{law} wrote to {name} {times} times at step {step}, which is more than one update.")


@contextmanager
def _calls() -> Iterator[tuple[Counter[int], Counter[int]]]:
    """Counts of how often each optimizer is called in the block, and on each parameter any of them, by ``id``."""
    of_optimizers: Counter[int] = Counter()
    on_parameters: Counter[int] = Counter()
    called = []  # held, since an id may be given again to another

    def note(optimizer: Optimizer, *given: Any) -> None:
        called.append(optimizer)
        of_optimizers[id(optimizer)] += 1
        on_parameters.update(id(parameter) for group in optimizer.param_groups for parameter in group["params"])

    hook = register_optimizer_step_post_hook(note)
    try:
        yield of_optimizers, on_parameters
    finally:
        hook.remove()


@contextmanager
def _without_gradients(law: str, step: int) -> Iterator[None]:
    """
    Raises:
        Refused: something was computed that records gradients, in this thread.
    """
    recorded: list[bool] = []

    def note(value: Tensor) -> Tensor:
        recorded.append(True)
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        yield
    if recorded:
        raise Refused(
            f"{law} computed gradients of its own at step {step}, where every strategy has those of the batch."
        )
