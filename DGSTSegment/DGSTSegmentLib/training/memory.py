"""Recognising that memory ran out, whoever says it."""

from __future__ import annotations

import torch

from ..errors import InputError


class OutOfMemory(InputError):
    """Memory ran out, and nothing smaller was left to try."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that the GPU's or the machine's memory is used up."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "not enough memory" in text)
