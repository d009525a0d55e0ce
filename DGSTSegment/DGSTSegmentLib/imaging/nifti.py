"""What SimpleITK lets pass in silence: NIfTI files that end too early, on reading and on writing."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import SimpleITK as sitk

_CHUNK = 1 << 22


def is_complete(path: Path) -> bool:
    """Whether the file holds all the voxels that its header announces.

    ITK's NIfTI reader fills what is missing with zeros and its writer ignores a full disk, both without a word.

    Raises:
        RuntimeError: ITK cannot read the header.
        OSError: the system cannot read the file.
    """
    needed = _announced_bytes(path)
    try:
        with gzip.open(path) if path.name.endswith(".gz") else open(path, "rb") as file:
            while needed > 0 and (chunk := file.read(min(_CHUNK, needed))):
                needed -= len(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return False
    return needed == 0


def _announced_bytes(path: Path) -> int:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NiftiImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    axes = range(1, 1 + int(reader.GetMetaData("dim[0]")))
    voxels = math.prod(int(reader.GetMetaData(f"dim[{axis}]")) for axis in axes)
    return int(float(reader.GetMetaData("vox_offset"))) + voxels * int(reader.GetMetaData("bitpix")) // 8
