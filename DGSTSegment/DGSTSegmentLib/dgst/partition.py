"""Which parameters of a network are rows, which always move, which are frozen: by module type, never by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils import parametrize

from .rows import RowLayout

_WRAPPERS = (["_orig_mod"], ["module"])
"""What networks are called in those that ``torch.compile`` and DistributedDataParallel make of them."""
_NORM_TYPES = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


class UnknownModule(ValueError):
    """A name was given that no module or parameter of the network has."""


@dataclass(frozen=True, eq=False)
class Member:
    """One parameter, once, with the module that holds it first (shared modules and tied weights appear once).

    What a parametrization computes a weight from belongs to the module whose weight it is.
    """

    name: str
    module: nn.Module
    parameter: nn.Parameter

    @property
    def of_norm(self) -> bool:
        return isinstance(self.module, _NORM_TYPES)

    @property
    def has_rows(self) -> bool:
        """Whether it falls into rows: convolution, linear layer or any table of two or more dimensions, no norm."""
        return self.parameter.dim() >= 2 and not self.of_norm

    @property
    def is_bias(self) -> bool:
        """Whether it is added per channel, a norm's too, or scales one outside of norms, as PReLU."""
        return self.parameter.dim() < 2 and not (
            self.of_norm and self.parameter is not getattr(self.module, "bias", None)
        )

    @cached_property
    def layout(self) -> RowLayout:
        return RowLayout.of(self.module, self.parameter)


@dataclass(frozen=True)
class Partition:
    """The parameters of a network by what may happen to them; each appears once."""

    rows: list[Member] = field(default_factory=list)
    always_on: list[Member] = field(default_factory=list)
    frozen: list[Member] = field(default_factory=list)


def partition(
    network: nn.Module,
    head: Sequence[str] = (),
    always_on: Sequence[str] | None = None,
    among: Sequence[str] | None = None,
) -> Partition:
    """Split ``network`` as DGST needs it.

    Args:
        network: any module; parameters that require no gradient, or have no element, are frozen.
        head: names of modules (or parameters) that make the output; all their parameters are always on.
        always_on: names of the modules and parameters that are always on, in place of norms, biases and head.
            What is left without rows is then frozen.
        among: names of the modules (or parameters) whose rows may be selected from; all others are frozen. None for
            the whole network.

    Raises:
        UnknownModule: a name is not in the network.
    """
    named = names_below(network, head if always_on is None else always_on)
    selectable = None if among is None else names_below(network, among)
    parts = Partition()
    for member in members(network):
        if not member.parameter.requires_grad or not member.parameter.numel():
            parts.frozen.append(member)
        elif member.name in named or (always_on is None and not member.has_rows):
            parts.always_on.append(member)
        elif member.has_rows and (selectable is None or member.name in selectable):
            parts.rows.append(member)
        else:
            parts.frozen.append(member)
    return parts


def members(network: nn.Module) -> Iterator[Member]:
    """Every parameter once, in the network's own order and by the name that ``named_parameters`` gives it."""
    seen: set[int] = set()
    owners: dict[nn.Module, nn.Module] = {}
    for prefix, module in network.named_modules():
        if parametrize.is_parametrized(module):
            owners.update(dict.fromkeys(module.parametrizations.values(), module))
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield Member(f"{prefix}.{name}" if prefix else name, owners.get(module, module), parameter)


def names_below(network: nn.Module, names: Sequence[str], only_there: bool = False) -> set[str]:
    """Names, as ``members`` gives them, of the parameters of the named modules (or of named parameters).

    Args:
        only_there: leave out what the network also holds elsewhere. So nnU-Net's encoder, which hides under
            ``decoder.encoder``, is no part of its decoder.

    Raises:
        UnknownModule: a name is not in the network.
    """
    names = listed(names)
    paths: dict[int, list[str]] = {}
    for path, parameter in network.named_parameters(remove_duplicate=False):
        paths.setdefault(id(parameter), []).append(path)
    _check_known(names, [path for found in paths.values() for path in found])
    below = tuple(f"{name}." for name in names)
    enough = all if only_there else any
    return {found[0] for found in paths.values() if enough(p in names or p.startswith(below) for p in found)}


def listed(names: Iterable[str]) -> list[str]:
    """Names to go through more than once, which an iterator gives but once.

    Raises:
        UnknownModule: they are a text, whose letters would be the names.
    """
    if isinstance(names, str):
        raise UnknownModule(f"Give names of modules as a list, not as the text {names!r}.")
    return list(names)


def _check_known(names: Sequence[str], paths: list[str]) -> None:
    for name in names:
        if not any(path == name or path.startswith(f"{name}.") for path in paths):
            tops = sorted({path.split(".")[0] for path in paths})
            raise UnknownModule(
                f"The network has no parameter at or below {name!r}; it has {', '.join(tops)}."
                + " Pass the unwrapped network." * (tops in _WRAPPERS)
            )
