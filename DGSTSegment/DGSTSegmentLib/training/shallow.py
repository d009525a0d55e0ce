"""Convolutions of features that are shallower than their kernel, kept out of half precision on a CPU.

There oneDNN (3.12, with torch 2.13, on a processor with AVX-512 and bf16) leaves part of the weights' gradient as it
finds it in memory: any number, finite or not. Measured: kernels of depth 3 at depth 2, of 5 at 2 to 4, of 7 at 5; not
at depth 1, not in height or width, not in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class ShallowInFullPrecision(TorchFunctionMode):
    """The block's 3D convolutions in fp32, whatever autocast says, where depth is less than the kernel's.

    Such features are small (the deepest of a network), so that it costs next to nothing.
    """

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is not torch.conv3d or not _is_shallow(*_first_two(args, named)):
            return func(*args, **named)
        with torch.autocast("cpu", enabled=False):
            return func(*map(_full, args), **{name: _full(value) for name, value in named.items()})


def _first_two(args: Sequence[Any], named: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Features [..., D, H, W] and kernels [out, in, D, H, W] of a call."""
    given = dict(zip(("input", "weight"), args, strict=False))
    return tuple({**named, **given}[name] for name in ("input", "weight"))


def _is_shallow(features: Tensor, kernels: Tensor) -> bool:
    return features.shape[-3] < kernels.shape[-3]


def _full(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value
