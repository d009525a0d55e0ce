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
)


class OutOfMemory(InputError):
    """Memory ran out, and nothing smaller was left to try."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in Python, numpy or torch, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ in _NAMES:
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)


def give_back_memory() -> None:
    """Let others have what is no longer used, of the GPU's memory too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None:
        with suppress(RuntimeError):  # the GPU failed: the next one to use it hears of it
            torch.cuda.empty_cache()
