"""Importing torch and MONAI, which a user waits for, and what it leaves behind for every later request."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def large_imports() -> Iterator[None]:
    """Context of imports that make hundreds of thousands of objects, hardly one of them garbage.

    Python looks through them for garbage again and again meanwhile, which takes a sixth of the time; in the block it
    does not. The first time they are left out of later collections too: one follows each request. Not so later, when a
    model may be opened, which must go when another takes its place.
    """
    first, was_enabled = "torch" not in sys.modules, gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
    if first:
        gc.freeze()
