"""Norms that keep running statistics: they use them and leave them as they are while a strategy trains."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


class HeldStatistics:
    """Has every norm with running statistics compute in evaluation mode, whatever its mode, until released.

    Statistics of a few scans would replace those of the foundation model, and a delta would carry buffers. The mode
    itself is as others set it, but for the moments in which the norm computes. Copies of the network are not held.
    """

    def __init__(self, network: nn.Module):
        self._held = {m for m in network.modules() if isinstance(m, _NormBase) and m.running_mean is not None}
        self._trains: dict[nn.Module, bool] = {}
        self._hooks = []
        for module in self._held:
            self._hooks.append(module.register_forward_pre_hook(self._to_evaluation, prepend=True))
            self._hooks.append(module.register_forward_hook(self._back, always_call=True))

    def release(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def __reduce__(self) -> tuple:
        """A copy of the network takes its hooks along, and with them one that holds nothing."""
        return type(self), (nn.Module(),)

    def _to_evaluation(self, module: nn.Module, inputs: tuple) -> None:
        if module in self._held:
            self._trains[module] = module.training
            module.eval()

    def _back(self, module: nn.Module, inputs: tuple, output: object) -> None:
        module.train(self._trains.pop(module, module.training))
