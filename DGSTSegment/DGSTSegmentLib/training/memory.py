"""Recognising that memory ran out, whoever says it, and giving it back. No torch here: names of its errors decide."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress

from ..errors import InputError

_NAMES = ("OutOfMemoryError", "OutOfMemory")
_WORDS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "bad allocation",
    "unable to allocate",
    "failed to allocate memory for image",  # ITK
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "unable to find an engine to execute this computation",  # cuDNN, when no algorithm's workspace fits
)


class OutOfMemory(InputError):
    """Memory ran out, and nothing smaller was left to try."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in Python, numpy, ITK or torch, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ in _NAMES:
        return True
    if not isinstance(error, RuntimeError):
        return False
    # MONAI's transforms say what they were at and name the reason as the cause.
    wraps_one = error.__cause__ is not None and is_out_of_memory(error.__cause__)
    return wraps_one or any(words in str(error).lower() for words in _WORDS)


def give_back_memory() -> None:
    """Let others have what is no longer used, of the GPU's memory too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None:
        with suppress(RuntimeError):  # the GPU failed: the next one to use it hears of it
            torch.cuda.empty_cache()
