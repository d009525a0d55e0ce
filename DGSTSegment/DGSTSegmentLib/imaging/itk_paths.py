"""Paths that ITK can open. On Windows it takes a path in the code page of the process, hardly ever UTF-8 outside of
Slicer: letters beyond ASCII (``C:\\Users\\Müller``) then name no file. Elsewhere names are bytes, and SimpleITK ends
the process where they are not UTF-8, as old disks and zips have them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

ON_WINDOWS = os.name == "nt"
_DETACHED = (".nhdr", ".mhd")
_LONGEST_PATH = 32768


@contextmanager
def to_read(path: Path) -> Iterator[Path]:
    """``path`` as ITK can open it: itself, by the short name of its folder, else a copy that goes with the block.

    Raises:
        InputError: nothing of that can be had.
    """
    direct = openable(path)
    if direct is not None:
        yield direct
        return
    with tempfile.TemporaryDirectory(prefix="dgst-", dir=_plain_folder(path)) as folder:
        yield _copied(path, Path(folder))


@contextmanager
def to_write(path: Path) -> Iterator[Path]:
    """A path that ITK can write to; what it wrote is at ``path`` when the block has ended well.

    Raises:
        InputError: there is no folder that ITK could write to.
    """
    direct = openable(path)
    if direct is not None:
        yield direct
        return
    with tempfile.TemporaryDirectory(prefix="dgst-", dir=_plain_folder(path)) as folder:
        made = Path(folder) / f"volume{_endings(path)}"
        yield made
        shutil.copyfile(made, path)


def openable(path: Path) -> Path | None:
    """``path`` itself where ITK can open it, else by Windows' short name of its folder; None where ITK takes neither.

    The file's own name stays as it is, since its ending says the format.
    """
    if not ON_WINDOWS:
        within = path.iterdir() if path.is_dir() else ()
        return path if all(map(_is_plain, (path, *within))) else None
    if _is_plain(path):
        return path
    short = short_name(path) if path.is_dir() else short_name(path.parent) / path.name
    return short if _is_plain(short) else None


def short_name(folder: Path) -> Path:
    """Windows' name of the kind ``MLLER~1`` for a folder; the folder itself where its drive keeps none."""
    import ctypes

    buffer = ctypes.create_unicode_buffer(_LONGEST_PATH)
    written = ctypes.windll.kernel32.GetShortPathNameW(str(folder), buffer, len(buffer))
    return Path(buffer.value) if 0 < written < len(buffer) else folder


def _is_plain(path: Path) -> bool:
    try:
        str(path).encode("ascii" if ON_WINDOWS else "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _plain_folder(path: Path) -> Path:
    temporary = Path(tempfile.gettempdir())
    for place in (short_name(temporary) if ON_WINDOWS else temporary, Path(os.environ.get("PROGRAMDATA", ""))):
        if _is_plain(place) and place.is_absolute() and place.is_dir():
            return place
    raise InputError(f"{path} cannot be opened with the letters in its name; give it and its folders plain names.")


def _copied(path: Path, folder: Path) -> Path:
    if path.name.lower().endswith(_DETACHED):
        raise InputError(
            f"{path} cannot be opened with the letters in its name, and its voxels lie in another file; give it and "
            "its folders plain names."
        )
    if path.is_file():
        return Path(shutil.copyfile(path, folder / f"volume{_endings(path)}"))
    for number, file in enumerate(sorted(file for file in path.iterdir() if file.is_file())):
        shutil.copyfile(file, folder / f"{number:06}")
    return folder


def _endings(path: Path) -> str:
    return "".join(ending for ending in path.suffixes[-2:] if ending.isascii())
