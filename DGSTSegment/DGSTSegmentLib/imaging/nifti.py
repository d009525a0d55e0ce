"""What SimpleITK passes over in silence: NIfTI files that end too early or hold voxels that are no numbers."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .nifti_header import opened, read_nifti_header
from .volume import count_not_finite

_CHUNK_BYTES = 1 << 22
_FLOATS = {"16": "f4", "64": "f8"}


@dataclass(frozen=True)
class Content:
    """What the file really holds: all its voxels or not, and how many that are infinite or no numbers."""

    complete: bool
    not_finite: int


@dataclass(frozen=True)
class _Layout:
    offset: int
    voxel_bytes: int
    floats: np.dtype | None


def inspect(path: Path) -> Content:
    """Read the file through once, without ITK.

    ITK's NIfTI reader fills missing voxels with zeros and makes those zero that are not finite; its writer ignores a
    full disk. None of that raises anything.

    Raises:
        RuntimeError: ITK cannot read the header.
        OSError: the system cannot read the file.
    """
    not_finite = 0
    try:
        layout = _layout(path)
        missing = layout.voxel_bytes
        with opened(path) as file:
            file.read(layout.offset)
            while missing and (chunk := file.read(min(_CHUNK_BYTES, missing))):
                missing -= len(chunk)
                not_finite += _not_finite(chunk, layout.floats)
            # Only at its end does a compressed file say whether its checksum is right.
            while file.read(_CHUNK_BYTES):
                continue
    except (EOFError, struct.error, zlib.error, gzip.BadGzipFile):
        return Content(False, not_finite)
    return Content(missing == 0, not_finite)


def _layout(path: Path) -> _Layout:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NiftiImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    header = reader.GetMetaData
    voxels = math.prod(int(header(f"dim[{axis}]")) for axis in range(1, 1 + int(header("dim[0]"))))
    kind = _FLOATS.get(header("datatype"))
    stored = read_nifti_header(path)
    floats = None if kind is None else np.dtype(stored.byte_order + kind)
    return _Layout(stored.offset, voxels * int(header("bitpix")) // 8, floats)


def _not_finite(chunk: bytes, floats: np.dtype | None) -> int:
    if floats is None:
        return 0
    values = np.frombuffer(chunk[: len(chunk) // floats.itemsize * floats.itemsize], floats)
    return count_not_finite(values)
