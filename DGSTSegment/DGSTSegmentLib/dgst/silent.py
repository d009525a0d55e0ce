"""Biases that a norm cancels: they get rounding noise for a gradient and must not move."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

_PRODUCERS = (_ConvNd, nn.Linear)
_NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm)
_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


@dataclass(eq=False)
class _Use:
    """One pass of a bias through its module.

    Args:
        bias: that was added.
        channel: dimension of the output along which it differs.
        version: of the output, as torch counts changes in place.
        by_norm: the gradient that reached the output through a norm that cancels the bias.
    """

    bias: nn.Parameter
    channel: int
    version: int
    by_norm: Tensor | None = None

    def take(self, gradient: Tensor) -> None:
        self.by_norm = gradient


class SilentBiases:
    """Watches passes and learns which biases are subtracted again by the norm that follows.

    A norm that takes the mean of each channel removes any constant added to the channel, so the gradient of a bias
    before it is zero up to rounding (1e-6 to 1e-4, more in bf16). Size alone does not tell such noise from a small
    gradient, and an adaptive optimizer blows it up to full steps; so what decides is the structure: the very tensor
    that a convolution or linear layer with a bias returned, changed by nothing since, is what a norm with its own
    statistics takes, and at every use of the bias no gradient reaches that tensor by another way than that norm. Only
    passes that record gradients count. What bypasses module hooks, or is compiled by ``torch.compile``, is not seen,
    and its biases stay always on, which costs nothing but their noise.
    """

    def __init__(self, network: nn.Module):
        self._biases = {id(parameter) for parameter in network.parameters()}
        self._cancelled: dict[int, nn.Parameter] = {}
        self._needed: set[int] = set()
        self._mark = f"_dgst_bias_just_added_{id(self)}"
        self._hooks = []
        for module in network.modules():
            if isinstance(module, _PRODUCERS):
                self._hooks.append(module.register_forward_hook(self._begin_use))
            elif isinstance(module, _NORMS):
                self._hooks.append(module.register_forward_pre_hook(self._follow))

    def __reduce__(self) -> tuple:
        """A copy of the network takes its hooks along, and with them one that watches nothing."""
        return type(self), (nn.Module(),)

    def stop(self) -> None:
        """Watch no further passes."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def found(self) -> list[nn.Parameter]:
        """The biases that norms cancelled in all passes so far."""
        return [bias for key, bias in self._cancelled.items() if key not in self._needed]

    def _begin_use(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        if torch.compiler.is_compiling():  # a compiled graph has no tensors that could be told apart
            return
        bias = module._parameters.get("bias")
        if id(bias) in self._biases and isinstance(output, Tensor) and output.requires_grad:
            use = _Use(bias, _channel_dimension(module, output), output._version)
            setattr(output, self._mark, use)
            output.register_hook(partial(self._end_use, use))

    def _follow(self, norm: nn.Module, inputs: tuple) -> tuple | None:
        """Lead the norm's input through a view of its own, by whose gradient its part in the whole is known."""
        if torch.compiler.is_compiling():
            return None
        use = getattr(inputs[0], self._mark, None) if inputs else None
        if use is None or inputs[0]._version != use.version or use.channel in _averaged(norm, inputs[0].dim()):
            return None
        view = inputs[0].view_as(inputs[0])
        view.__dict__.update(inputs[0].__dict__)  # the marks of all who watch
        view.register_hook(use.take)
        return (view, *inputs[1:])

    def _end_use(self, use: _Use, gradient: Tensor) -> None:
        """A gradient to which another one was added lies elsewhere in memory."""
        if use.by_norm is not None and use.by_norm.data_ptr() == gradient.data_ptr():
            self._cancelled[id(use.bias)] = use.bias
        else:
            self._needed.add(id(use.bias))
        use.by_norm = None


def _channel_dimension(module: nn.Module, output: Tensor) -> int:
    """Last in a linear layer's output; in a convolution's, with or without a batch, before those of space."""
    return output.dim() - 1 - (len(module.kernel_size) if isinstance(module, _ConvNd) else 0)


def _averaged(norm: nn.Module, dimensions: int) -> range | set[int]:
    """Dimensions of the input over which the norm takes means; a constant along all of them has no effect.

    All dimensions where it removes no constant: with stored statistics, or groups of several channels.
    """
    everything = set(range(dimensions))
    if isinstance(norm, nn.GroupNorm):
        return range(2, dimensions) if norm.num_groups == norm.num_channels else everything
    if not norm.training and norm.track_running_stats:
        return everything
    if isinstance(norm, _BatchNorm):
        return everything - {1}
    spatial = [n for n, kind in enumerate(_INSTANCE_NORMS, start=1) if isinstance(norm, kind)]
    return range(dimensions - spatial[0], dimensions) if spatial else everything
