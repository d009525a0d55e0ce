"""What no strategy can train by, refused in a sentence before anything moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .partition import Member, Partition

_TRAINABLE = (torch.float32, torch.float64, torch.bfloat16)


def check_parameters(members: Iterable[Member]) -> None:
    """
    Raises:
        ValueError: a parameter cannot hold a step: the squares and epsilons of fp16 are 0 or infinite, complex numbers
            have no order to select by, a piece of a sharded weight has not its rows, and no type tells those of a
            scripted layer.
    """
    for member in members:
        if isinstance(member.module, torch.jit.ScriptModule):
            raise ValueError(
                f"{member.name} belongs to a scripted or traced layer, whose type, and so its rows, cannot be told: "
                "train the network that it was made of, or freeze it."
            )
        if hasattr(member.parameter, "placements") or "_fsdp_wrapped_module" in member.name.split("."):
            raise ValueError(
                f"{member.name} is sharded over processes, so that no process sees its rows: train by "
                "DistributedDataParallel, or on one device."
            )
        if member.parameter.dtype not in _TRAINABLE:
            raise ValueError(
                f"{member.name} is of {member.parameter.dtype}, but weights that move must be of float32, float64 or "
                "bfloat16: convert the network (and compute in fp16 by torch.autocast), or freeze it."
            )


def check_gradients(members: Iterable[Member]) -> None:
    """
    Raises:
        ValueError: a gradient is sparse, as that of an embedding can be.
    """
    for member in members:
        if member.parameter.grad is not None and member.parameter.grad.layout != torch.strided:
            raise ValueError(
                f"The gradient of {member.name} is sparse, which has no rows to select from or to clip: make its layer "
                "with sparse=False."
            )


def check_alike(saved: Sequence[Mapping[str, Any]], here: Sequence[Mapping[str, Any]]) -> None:
    """Compare the groups of a saved optimizer with those of the one that is to go on from it.

    Raises:
        ValueError: they are of other rules or of other parameters.
    """
    counts, own_counts = ([len(group["params"]) for group in groups] for groups in (saved, here))
    names, own_names = ([name for group in groups for name in group.get("param_names", ())] for groups in (saved, here))
    differing = [
        f", with {own} where it has {name}" for name, own in zip(names, own_names, strict=False) if name != own
    ]
    if counts != own_counts or differing:
        raise ValueError(
            f"The state is of {counts} selected and always-on parameters, this optimizer of {own_counts}"
            f"{''.join(differing[:1])}: make it with the same head, always_on and among, on a network that no other "
            "optimizer holds (see detach)."
        )
    rules, own_rules = (_rules_of(groups) for groups in (saved, here))
    if rules != own_rules:
        raise ValueError(
            f"The state is of the rules {rules}, this optimizer of {own_rules}: make it with the same update and "
            "always_on_rule."
        )


def check_fits(saved: Mapping[str, Any], groups: Sequence[Sequence[Member]], own: Mapping[Tensor, Any]) -> None:
    """Compare the tensors of a saved optimizer with those that ``own`` keeps or will keep of the same parameters.

    Args:
        saved: its ``state_dict``, of groups that are alike (``check_alike``).
        groups: whose tensors; those of the first have theirs from the beginning.
        own: tensors by parameter and key, as they are here.

    Raises:
        ValueError: one is missing, or is of a network with other shapes.
    """
    for number, (group, of_group) in enumerate(zip(saved["param_groups"], groups, strict=True)):
        for index, member in zip(group["params"], of_group, strict=True):
            tensors, known = saved["state"].get(index, {}), own.get(member.parameter, {})
            missing = [key for key in known if key not in tensors]
            if missing and number == 0:
                raise ValueError(f"The state lacks the {missing[0]} of {member.name}: it is incomplete; take another.")
            for key, value in tensors.items():
                shape = known.get(key, member.parameter).shape if key != "step" else None
                if isinstance(value, Tensor) and shape not in (None, value.shape):
                    raise ValueError(
                        f"The state has the {key} of {member.name} in the shape {tuple(value.shape)}, this network in "
                        f"{tuple(shape)}: it is of another network."
                    )


def _rules_of(groups: Sequence[Mapping[str, Any]]) -> str:
    moving, always_on = groups
    return f"{moving.get('update')} and {'adamw' if 'betas' in always_on else 'sgd'}"


def check_moving(parts: Partition, among: Sequence[str] | None) -> None:
    """
    Raises:
        ValueError: nothing may move, or modules to select among are named and have nothing to select from.
    """
    if not parts.rows and not parts.always_on:
        raise ValueError(
            "Nothing may move in this network: unfreeze what is to move, or name other modules, before making the "
            "optimizer."
        )
    if among and not parts.rows:
        raise ValueError(f"There are no rows to select from at or below {', '.join(among)} that may move.")


def check_max_norm(max_norm: float | None) -> None:
    """
    Raises:
        ValueError: gradients cannot be clipped to this norm.
    """
    if max_norm is not None and not max_norm > 0:
        raise ValueError(f"max_norm must be greater than 0, or None for no clipping, not {max_norm}.")
