"""Weights of a network by name, each once.

U-Nets of dynamic_network_architectures hold every convolution under two names and the encoder a second time inside
the decoder, so their state dicts do too. Here the first name in the network's own order stands for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from pathlib import Path

import torch
from torch import nn

from ..errors import InputError

State = dict[str, torch.Tensor]
_WRAPPERS = ("module.", "_orig_mod.")


def unwrapped(state: Mapping[str, torch.Tensor]) -> State:
    """``state`` without the prefixes that torch's wrappers (data-parallel, compiled) put before names."""

    def plain(name: str) -> str:
        while name.startswith(_WRAPPERS):  # in whatever order they were put around each other
            name = reduce(str.removeprefix, _WRAPPERS, name)
        return name

    return {plain(name): tensor for name, tensor in state.items()}


def own_state(network: nn.Module) -> State:
    """The network's weights and buffers, each under its first name; no copies."""
    return {names[0]: tensor for names, tensor in _named_once(network)}


def fitting_state(network: nn.Module, state: Mapping[str, torch.Tensor], source: str | Path) -> State:
    """``state`` under the names of ``own_state``, checked to be complete and of the network's shapes; no copies.

    Any of a tensor's several names will do.

    Raises:
        InputError: weights are missing, of another shape, or belong to no part of the network.
    """
    fitting, known = {}, set()
    for names, own in _named_once(network):
        known.update(names)
        found = next((state[name] for name in names if name in state), None)
        if found is None:
            raise InputError(_misfit(network, source, f"{names[0]} is missing"))
        if found.shape != own.shape:
            shapes = f"{names[0]} has shape {tuple(found.shape)} instead of {tuple(own.shape)}"
            raise InputError(_misfit(network, source, shapes))
        fitting[names[0]] = found
    unknown = sorted(set(state) - known)
    if unknown:
        raise InputError(_misfit(network, source, f"the network has no {unknown[0]}"))
    return fitting


@torch.no_grad()
def load_state_(network: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Copy ``state`` (as from ``fitting_state``) into the network, converted to its types."""
    for name, own in own_state(network).items():
        own.copy_(state[name])


def _named_once(network: nn.Module) -> list[tuple[list[str], torch.Tensor]]:
    """Every tensor of the network with all the names it has."""
    names_of: dict[int, list[str]] = {}
    tensors: dict[int, torch.Tensor] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        names_of.setdefault(id(tensor), []).append(name)
        tensors[id(tensor)] = tensor
    return [(names, tensors[key].detach()) for key, names in names_of.items()]


def _misfit(network: nn.Module, source: str | Path, reason: str) -> str:
    return (
        f"{source} does not fit the {type(network).__name__} that the model describes ({reason}); its trainer may have "
        "changed the network in a way that is not supported, choose another model."
    )
