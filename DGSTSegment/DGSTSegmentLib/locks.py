"""Locks on files, by which processes see each other; the system frees them when their owner ends, however it ends.

Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import IO

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


def try_lock(file: IO[bytes]) -> bool:
    """Whether the lock on an open file was free; it is held until the file is closed then.

    On file systems without locks (some network drives) it always is.
    """
    return _lock(file) is not False


@contextlib.contextmanager
def held(path: str | os.PathLike) -> Iterator[None]:
    """Hold the lock on a file, made for it and gone afterwards.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be made.
    """
    taken = False
    try:
        with open(path, "ab") as file:
            taken = try_lock(file)
            if not taken:
                raise BlockingIOError(errno.EAGAIN, "another process holds the lock", os.fspath(path))
            yield
    finally:
        if taken:
            with contextlib.suppress(OSError):  # on Windows somebody may be looking whether it is locked
                os.unlink(path)


def is_locked(path: str | os.PathLike) -> bool | None:
    """Whether a living process holds the lock on that file; None where the file system knows no locks.

    A file that may not be opened counts as held: it is another user's.
    """
    try:
        with open(path, "rb+") as file:
            free = _lock(file)
            return None if free is None else not free
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _lock(file: IO[bytes]) -> bool | None:
    """Whether the lock was free, and now is ours; None where there are none."""
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return None if error.errno in _NO_LOCKS else False
        return True
    import msvcrt

    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True
