"""How the published implementation selects, written anew from a description of it: sort all, then a row of an identity.

For every layer ``|g|`` is sorted whole by row, and the mask of the first gamma is a sum of rows of the identity matrix
of the row's length. That matrix has gigabytes for wide layers; layers for which it is above a limit are left out, for
whoever is compared with it as well.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from DGSTSegmentLib.dgst.partition import Member, partition
from DGSTSegmentLib.dgst.selection import top_entries
from DGSTSegmentLib.networks.architectures import head_modules

IDENTITY_LIMIT_BYTES = 2 * 2**30
_BYTES_OF_A_NUMBER = 4


def reference_mask(gradient: Tensor, gamma: int) -> Tensor:
    """1 at the ``gamma`` largest |g| of each row (dim 0), 0 elsewhere; float32 in the gradient's shape."""
    rows = gradient.abs().flatten(1)
    chosen = rows.argsort(dim=1, descending=True)[:, :gamma]
    identity = torch.eye(rows.shape[1], device=gradient.device)
    return identity[chosen].sum(dim=1).view_as(gradient)


def reference_selection(members: Iterable[Member], gamma: int) -> None:
    """The masks of all layers, one after the other, none kept."""
    for member in members:
        reference_mask(member.parameter.grad, gamma)


def dgst_selection(members: Iterable[Member], gamma: int) -> None:
    """DGST's own selection on the same layers, none kept."""
    for member in members:
        top_entries(member.layout.to_rows(member.parameter.grad), gamma)


def comparable_layers(network: nn.Module, limit_bytes: int = IDENTITY_LIMIT_BYTES) -> tuple[list[Member], list[Member]]:
    """The parameters with rows that have a gradient: those whose identity matrix fits the limit, and those left out."""
    found = [m for m in partition(network, head_modules(network)).rows if m.parameter.grad is not None]
    fits = [identity_bytes(member) <= limit_bytes for member in found]
    return (
        [member for member, fit in zip(found, fits, strict=True) if fit],
        [member for member, fit in zip(found, fits, strict=True) if not fit],
    )


def identity_bytes(member: Member) -> int:
    """Of the identity matrix that the reference needs for a parameter; its rows are always dim 0."""
    return _BYTES_OF_A_NUMBER * (member.parameter.numel() // member.parameter.shape[0]) ** 2
