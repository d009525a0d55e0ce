"""What hangs on a network beside its weights and answers in their place: hooks, and methods of single modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules import module as every_module

Attached = dict[str, dict[str, Any]]

_HOOKS_OF_ALL = "every module"


def attached_to(network: nn.Module) -> Attached:
    """By name of the module: its class, the class's forward, its hooks and its own callables; torch's global hooks."""
    found = {name: dict(_own(module)) for name, module in network.named_modules()}
    return {**found, _HOOKS_OF_ALL: dict(_hooks(vars(every_module), "_global_"))}


def first_difference(before: Attached, after: Attached) -> str | None:
    """Name of the first module of which anything was added, taken away or replaced; None where nothing was."""
    for name in [*before, *(name for name in after if name not in before)]:
        if before.get(name) != after.get(name):
            return name or "the whole network"
    return None


def _own(module: nn.Module) -> Iterator[tuple[str, Any]]:
    yield "class", (type(module), type(module).forward)
    yield from _hooks(vars(module), "_")
    yield from ((name, value) for name, value in vars(module).items() if callable(value))


def _hooks(attributes: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Those that there are, in the order in which they are called."""
    for name, value in attributes.items():
        if name.startswith(prefix) and "hook" in name and isinstance(value, dict) and value:
            yield name, list(value.values())
