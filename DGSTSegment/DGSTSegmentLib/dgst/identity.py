"""A name for the exact weights of a network: the hash of their stored bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """sha256 (64 hexadecimal digits) over the sorted names with each tensor's dtype, shape and bytes as stored.

    Two states have the same one exactly when they are bit-identical, name by name; neither the order of names, the
    device nor which names share memory counts.

    Raises:
        ValueError: the state holds what is no tensor, as an extra state is, or a tensor without values.
    """
    state = dict(state)  # holds tensors that are made when asked for: memory given back could be another's
    whole = hashlib.sha256()
    known: dict[tuple, str] = {}
    for name in sorted(state):
        tensor = state[name]
        check_values(name, tensor)
        place = storage_key(tensor)
        if place not in known:
            known[place] = hashlib.sha256(_bytes_of(tensor)).hexdigest()
        whole.update(repr((name, str(tensor.dtype), tuple(tensor.shape), known[place])).encode())
    return whole.hexdigest()


def check_values(name: str, value: object) -> None:
    """
    Raises:
        ValueError: it is no tensor, or one on the meta device, which has no values.
    """
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} is no tensor but {type(value).__name__}: leave it out of the state.")
    if value.is_meta:
        raise ValueError(f"{name} is on the meta device and has no values: load the weights of the network first.")


def storage_key(tensor: Tensor) -> tuple:
    """Equal for tensors that show the same memory in the same way; tensors without elements are all alike."""
    return tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def bits(tensor: Tensor) -> Tensor:
    """The tensor flattened, as integers of its bits, so that comparing tells 0.0 from -0.0 and finds NaN equal.

    Raises:
        ValueError: its elements have more bits than any integer.
    """
    integer = _INTEGERS.get(tensor.element_size())
    if integer is None:
        raise ValueError(f"A tensor of {tensor.dtype} cannot be compared bit by bit: store it in two of half the size.")
    return tensor.detach().reshape(-1).contiguous().view(integer)


def _bytes_of(tensor: Tensor) -> memoryview:
    return memoryview(bits(tensor).cpu().numpy()).cast("B") if tensor.numel() else memoryview(b"")
