"""What a failure means to the user: its kind, and one sentence."""

from __future__ import annotations

import errno
from typing import Any

from ..errors import InputError
from ..training.memory import is_out_of_memory

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
"""The disk, or what a user may take of it, is full; Windows knows no quota."""

DISK_FULL = "The disk is full; free some space and try again."

_OF_THE_GPU = ("cuda", "cudnn", "cublas", "unable to find an engine")
"""What tells that it was the GPU's memory that ran out."""


def fault_of(error: Exception) -> dict[str, Any]:
    """The fields of an ``error`` reply: ``kind`` (``input``, ``memory``, ``internal``) and ``message``."""
    if is_out_of_memory(error):
        told = isinstance(error, InputError)
        return {"kind": "memory", "message": str(error) if told else _memory_sentence(error)}
    if isinstance(error, InputError):
        return {"kind": "input", "message": str(error)}
    if isinstance(error, OSError) and error.errno in _FULL:
        return {"kind": "input", "message": DISK_FULL}
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("DGSTSegmentLib"):
        return {"kind": "internal", "message": f"The engine's Python lacks the package {error.name}; install it there."}
    return {
        "kind": "internal",
        "message": f"This should not have happened: {_first_line(error)} ({type(error).__name__}); "
        "the engine's log has the details to report.",
    }


def ends_the_engine(error: Exception) -> bool:
    """Whether the process can compute nothing more on the GPU, whatever it is asked: CUDA fails for good in it."""
    if isinstance(error, InputError) or is_out_of_memory(error):
        return False
    return type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)


def _memory_sentence(error: BaseException) -> str:
    if any(name in str(error).lower() for name in _OF_THE_GPU):
        return (
            "The GPU's memory ran out; close other programs that use it, choose the device cpu, or fine-tune in a new "
            "run with batch size 1 (--batch-size 1)."
        )
    return "The machine's memory ran out; close other programs, or work on a smaller part of the scan."


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else "no message"
