"""Locks on files, by which processes see each other; the system frees them when their owner ends, however it ends.

Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import IO

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


def try_lock(file: IO[bytes]) -> bool:
    """Whether the lock on an open file was free; it is held until the file is closed then.

    On file systems without locks (some network drives) it always is.
    """
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in _NO_LOCKS
        return True
    import msvcrt

    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def is_locked(path: str | os.PathLike) -> bool:
    """Whether a living process holds the lock on that file, or it cannot be told since the file is not ours."""
    try:
        with open(path, "rb+") as file:
            return not try_lock(file)
    except FileNotFoundError:
        return False
    except OSError:
        return True
