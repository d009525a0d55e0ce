"""Biases that a norm cancels: they get rounding noise for a gradient and must not move."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

_PRODUCERS = (_ConvNd, nn.Linear)
_MARK = "_dgst_bias_just_added"


class SilentBiases:
    """Watches forward passes and learns which biases are subtracted again by the norm that follows.

    A norm that takes the mean of each channel removes any constant added to the channel, so the gradient of a bias
    before it is zero up to rounding (1e-6 to 1e-4, more in bf16). Size alone does not tell such noise from a small
    gradient, and an adaptive optimizer blows it up to full steps; so what decides is the structure: the very tensor
    that a convolution or linear layer with a bias returned is what a norm with its own statistics takes. Only
    passes that record gradients count. Whatever bypasses module hooks is not seen, and its biases stay always on,
    which costs nothing but their noise.
    """

    def __init__(self, network: nn.Module):
        self._found: dict[int, nn.Parameter] = {}
        self._hooks = []
        for module in network.modules():
            if isinstance(module, _PRODUCERS) and module.bias is not None:
                self._hooks.append(module.register_forward_hook(_mark))
            elif isinstance(module, (_BatchNorm, _InstanceNorm, nn.GroupNorm)):
                self._hooks.append(module.register_forward_pre_hook(self._note))

    def _note(self, module: nn.Module, inputs: tuple) -> None:
        bias = getattr(inputs[0], _MARK, None) if inputs else None
        if bias is not None and inputs[0].requires_grad and _removes_channel_means(module):
            self._found[id(bias)] = bias

    def stop(self) -> None:
        """Watch no further passes."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def freeze(self) -> None:
        """Stop watching; the biases found lose their gradient and get none again."""
        self.stop()
        for bias in self._found.values():
            bias.grad = None
            bias.requires_grad_(False)


def _mark(module: nn.Module, inputs: tuple, output: Tensor) -> None:
    setattr(output, _MARK, module.bias)


def _removes_channel_means(norm: nn.Module) -> bool:
    if isinstance(norm, nn.GroupNorm):
        return norm.num_groups == norm.num_channels
    return norm.training or not norm.track_running_stats
