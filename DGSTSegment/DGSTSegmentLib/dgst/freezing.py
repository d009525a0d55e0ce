"""Parameters that get no gradient while a network is fine-tuned, and their flags as they were found."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


class Frozen:
    """Parameters without a gradient, until released.

    Where processes train together their gradients are dropped at every step, while ``requires_grad`` stays as it is:
    DistributedDataParallel waits for the gradient of every parameter that it found to require one.
    """

    def __init__(self) -> None:
        self._parameters: dict[nn.Parameter, None] = {}

    def __contains__(self, parameter: nn.Parameter) -> bool:
        return parameter in self._parameters

    def add(self, parameters: Iterable[nn.Parameter]) -> None:
        """Freeze those that are not frozen yet."""
        for parameter in parameters:
            if parameter.requires_grad:
                self._parameters[parameter] = None
                parameter.requires_grad_(processes_train_together())
        self.drop_gradients()

    def drop_gradients(self) -> None:
        """To be called before gradients are looked at."""
        for parameter in self._parameters:
            parameter.grad = None

    def release(self) -> None:
        """Let every parameter require a gradient again, as it did."""
        for parameter in self._parameters:
            parameter.requires_grad_(True)
        self._parameters.clear()


def processes_train_together() -> bool:
    """Whether torch's process group exists, if only of one process."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()
