"""Models in zip files: unpacked once into a cache folder, only what a model needs, and never outside of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath

from ..atomic import PARTIAL
from ..errors import InputError

CACHE_VARIABLE = "DGST_CACHE"
"""Environment variable that names another cache folder."""
_ENCRYPTED = 0x1
_OLD_SECONDS = 86_400
MOST_BYTES = 64 * 2**30
MODEL_FILES = (".json", ".safetensors", ".pth")


def unpacked(archive: Path) -> Path:
    """Folder with the model files of ``archive``; unpacked at the first call, kept for the next ones.

    Raises:
        InputError: no zip or a damaged one, one that reaches outside its folder or is absurdly large, no model file
            in it, or no room to unpack it.
    """
    status = archive.stat()
    home = cache_folder() / hashlib.sha256(str(archive.resolve()).encode()).hexdigest()[:16]
    folder = home / f"{status.st_size}-{status.st_mtime_ns}"
    if folder.is_dir():
        return folder
    try:
        home.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=home))
        try:
            _extract(archive, partial)
            _put_in_place(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise InputError(f"{archive} is damaged or no zip file that can be read ({error}); copy it again.") from error
    except OSError as error:
        raise InputError(f"{archive} could not be unpacked into {home} ({error.strerror or error}).") from error
    _forget_all_but(folder)
    return folder


def archive_of(path: Path) -> Path | None:
    """The archive that a path names or leads into, as ``model.zip/inner/folder`` does; None where there is none."""
    if path.exists():
        is_archive = path.is_file() and path.suffix.lower() != ".pth"
        return path if is_archive else None
    inside = next((parent for parent in path.parents if parent.is_file()), path)
    return None if ".." in path.parts or inside == path else archive_of(inside)


def cache_folder() -> Path:
    """Where unpacked models are kept; the user's own cache folder unless ``DGST_CACHE`` names another."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return home / "DGSTSegment" / "models"


def _put_in_place(partial: Path, folder: Path) -> None:
    try:
        partial.replace(folder)
    except OSError:
        if not folder.is_dir():  # else another process has unpacked the same zip meanwhile
            raise


def _forget_all_but(folder: Path) -> None:
    """Remove what earlier states of the same zip left, and unpacking that was cut off a day ago."""
    for other in folder.parent.iterdir():
        with suppress(OSError):
            is_old = time.time() - other.stat().st_mtime > _OLD_SECONDS
            if other != folder and (is_old or not other.name.startswith(PARTIAL)):
                shutil.rmtree(other, ignore_errors=True)


def _extract(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        members = [member for member in file.infolist() if not member.is_dir()]
        for member in members:
            _refuse_outside(member, archive)
            if member.flag_bits & _ENCRYPTED:
                raise InputError(f"{archive} asks for a password; give a zip without one, or the unpacked folder.")
        wanted = [member for member in members if member.filename.endswith(MODEL_FILES) and not _is_shadow(member)]
        if not wanted:
            raise InputError(f"{archive} holds no model file ({', '.join(MODEL_FILES)}); choose another zip.")
        if sum(member.file_size for member in wanted) > MOST_BYTES:
            raise InputError(f"{archive} would unpack to more than {MOST_BYTES >> 30} GB; it is not a model.")
        for member in wanted:
            file.extract(member, folder)


def _is_shadow(member: zipfile.ZipInfo) -> bool:
    """What macOS puts beside every file of a zip: its own attributes, under the file's name and ending."""
    path = PurePosixPath(member.filename)
    return "__MACOSX" in path.parts or path.name.startswith("._")


def _refuse_outside(member: zipfile.ZipInfo, archive: Path) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or is_link:
        raise InputError(f"{archive} was refused: its member {member.filename!r} reaches outside of the zip.")
