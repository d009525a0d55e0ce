"""Norms that keep running statistics: they use them and leave them as they are while a strategy trains."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


class HeldStatistics:
    """Keeps every norm with running statistics in evaluation mode, whatever ``network.train()`` says, until released.

    Statistics of a few scans would replace those of the foundation model, and a delta would carry buffers.
    """

    def __init__(self, network: nn.Module):
        keeping = [m for m in network.modules() if isinstance(m, _NormBase) and m.running_mean is not None]
        self._hooks = [module.register_forward_pre_hook(_to_evaluation, prepend=True) for module in keeping]

    def release(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []


def _to_evaluation(module: nn.Module, inputs: tuple) -> None:
    module.eval()
