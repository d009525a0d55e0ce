"""Reading foreign checkpoints: values only, never code."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch

from ..errors import InputError

_make_scalar = np.float64(0).__reduce__()[0]
_make_array = np.zeros(1).__reduce__()[0]
_SAFE_GLOBALS = [
    # What nnU-Net's log and plans need: numpy numbers, words and arrays, by their names in numpy 1 and 2.
    *((_make_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_make_array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in (*np.typecodes["AllInteger"], *np.typecodes["AllFloat"], "?", "S", "U")},
    # Paths among a trainer's arguments, of whatever system, by their names in Python before and from 3.13 on.
    *(
        (pure, f"{module}.{name}")
        for module in ("pathlib", "pathlib._local")
        for pure, names in (
            (PurePosixPath, ("PosixPath", "PurePosixPath")),
            (PureWindowsPath, ("WindowsPath", "PureWindowsPath")),
        )
        for name in names
    ),
]

_DAMAGE = (
    # A file or stream that ends early, and what single wrong bytes in a pickle come to.
    *(OSError, EOFError, RuntimeError, zipfile.BadZipFile, struct.error),
    *(ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError),
)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The dictionary that a checkpoint holds, tensors on CPU, mapped from the file and not yet in memory.

    Raises:
        InputError: the file is missing, truncated or no checkpoint, or wants anything but plain values to be made.
    """
    try:
        with torch.serialization.safe_globals(_SAFE_GLOBALS):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise InputError(_refusal(path, str(error))) from error
    except _DAMAGE as error:
        if not path.exists():
            raise InputError(f"{path} does not exist; check the model folder.") from error
        raise InputError(
            f"{path} is damaged or truncated and cannot be read as a checkpoint; copy it again."
        ) from error
    if not isinstance(checkpoint, dict):
        raise InputError(f"{path} holds no dictionary as checkpoints do; choose another file.")
    return checkpoint


def _refusal(path: Path, message: str) -> str:
    """One sentence out of the many that torch says."""
    called, held = re.search(r"GLOBAL ([\w.]+)", message), re.search(r"but got <class '([\w.]+)'>", message)
    said = message.partition("WeightsUnpickler error:")[2].strip() or message
    reason = said.splitlines()[0].rstrip(". ")
    if called or held:
        reason = f"reading it would call {called[1]}" if called else f"it holds a {held[1]}"
    return (
        f"{path} was refused ({reason}): a checkpoint may hold only tensors and plain values; get it from a source you "
        "trust, saved without other objects."
    )
