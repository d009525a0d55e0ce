"""Low-rank adaptation of every convolution and linear layer, by torch's own parametrization."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from .rows import RowLayout
from .selectors import seeded_generator

_ADAPTED = (_ConvNd, nn.Linear)


class LowRank(nn.Module):
    """Weight -> weight + up @ down, the product laid out by the weight's rows.

    ``down`` [rank, K] starts random (uniform in +-1/sqrt(K)) and ``up`` [R, rank] at zero, so that the network starts
    as it was. The product is computed in the weight's own precision also under autocast; what is merged is then
    exactly what the forward pass used.

    Args:
        weight: of the module to adapt, two or more dimensions.
        layout: its rows.
        rank: of the product, at most that of the weight.
        generator: draws ``down``.
    """

    def __init__(self, weight: Tensor, layout: RowLayout, rank: int, generator: torch.Generator):
        super().__init__()
        self.layout = layout
        rank = min(rank, layout.rows, layout.length)
        down = torch.rand(rank, layout.length, generator=generator).mul_(2).sub_(1) * layout.length**-0.5
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(weight.new_zeros(layout.rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            return weight + self.layout.from_rows(self.up @ self.down, weight.shape)


def attach_lora(network: nn.Module, rank: int = 8, seed: int = 0) -> list[nn.Parameter]:
    """Adapt every Conv, ConvTranspose and Linear of ``network`` in place (Hu et al. 2021), heads included.

    The weight itself is parametrized, not the module replaced, so that every path that reaches the module takes part:
    nnU-Net holds each convolution twice. Modules that share one weight share its correction. A weight that has a
    parametrization already, such as weight norm, or that something else uses as well, such as an embedding tied to the
    output layer, stays without a correction: merged, it would change there too. Whether a weight requires a gradient
    does not count.

    Returns:
        The new parameters; all others are left as they are.

    Raises:
        ValueError: ``rank`` is less than 1.
    """
    if rank < 1:
        raise ValueError(f"rank must be at least 1, not {rank}.")
    corrections: dict[int, LowRank] = {}
    used_elsewhere = _used_elsewhere(network)
    for name, module in list(network.named_modules()):
        if not isinstance(module, _ADAPTED) or parametrize.is_parametrized(module, "weight"):
            continue
        weight = module.weight
        if id(weight) in used_elsewhere:
            continue
        if id(weight) not in corrections:
            layout = RowLayout.of(module, weight)
            corrections[id(weight)] = LowRank(weight.detach(), layout, rank, seeded_generator(seed, name))
        parametrize.register_parametrization(module, "weight", corrections[id(weight)])
    return [parameter for correction in corrections.values() for parameter in correction.parameters()]


def merge_lora(network: nn.Module) -> None:
    """Take the corrections into the weights; structure, keys and their order are as before ``attach_lora``."""
    adapted = adapted_modules(network)
    merged = [module.weight.detach().clone() for module in adapted]
    detach_lora(network)
    with torch.no_grad():
        for module, weight in zip(adapted, merged, strict=True):
            module.weight.copy_(weight)


def detach_lora(network: nn.Module) -> None:
    """Take the corrections away; the weights are as before ``attach_lora``, as are structure, keys and their order."""
    for module in adapted_modules(network):
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
        _weight_first(module)


def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict that ``network`` would have once merged; it stays as it is. Aliases share their tensor."""
    adapted = {id(module): module.weight.detach() for module in adapted_modules(network)}
    state: dict[str, Tensor] = {}
    for key, value in network.state_dict().items():
        path, inside, rest = key.partition(".parametrizations.weight.")
        if not inside:
            state[key] = value
        elif rest == "original":
            state[f"{path}.weight"] = adapted[id(network.get_submodule(path))]
    return state


def adapted_modules(network: nn.Module) -> list[nn.Module]:
    """The modules that ``attach_lora`` adapted."""
    return [module for module in network.modules() if _is_adapted(module)]


def _used_elsewhere(network: nn.Module) -> set[int]:
    """The parameters that are something else than the weight of a layer to adapt, if also that."""
    return {
        id(parameter)
        for module in network.modules()
        for key, parameter in module._parameters.items()
        if key != "weight" or not isinstance(module, _ADAPTED)
    }


def _is_adapted(module: nn.Module) -> bool:
    return parametrize.is_parametrized(module, "weight") and any(
        isinstance(step, LowRank) for step in module.parametrizations["weight"]
    )


def _weight_first(module: nn.Module) -> None:
    """Removing a parametrization registers the weight anew, behind the bias; put the bias behind it again."""
    for name in [name for name in module._parameters if name != "weight"]:
        module._parameters[name] = module._parameters.pop(name)
