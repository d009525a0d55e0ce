"""What a NIfTI header says of where the voxels lie, in the file and in the world, as it stands there."""

from __future__ import annotations

import gzip
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .compressed import GZIP_MAGIC

_SIZES = (348, 540)
_SINGLE_FILE, _PAIR = (b"n+1", b"n+2"), (b"ni1", b"ni2")
_FIRST_VOXEL = {348: 352, 540: 544}


@dataclass(frozen=True)
class NiftiHeader:
    """Fields of the header.

    Args:
        byte_order: ``<`` or ``>``, as numpy and struct write it.
        offset: where the voxels begin, bytes.
        lowest_offset: the least that ``offset`` may be; 0 where the voxels lie in another file.
        qform, sform: 4x4 matrices from voxel indices (i, j, k, 1) to RAS mm.
        qform_code, sform_code: which space each leads to; 0 where it says nothing.
    """

    byte_order: str
    offset: int
    lowest_offset: int
    qform: np.ndarray
    sform: np.ndarray
    qform_code: int
    sform_code: int


def read_nifti_header(path: Path) -> NiftiHeader:
    """Raises:
    struct.error: the file ends within the header.
    OSError: the system cannot read the file.
    """
    with opened(path) as file:
        content = file.read(max(_SIZES))
    order = "<" if int.from_bytes(content[:4], "little") in _SIZES else ">"

    def fields(kinds: str, at: int) -> tuple:
        return struct.unpack_from(order + kinds, content, at)

    (size,) = fields("i", 0)
    if size == 540:
        magic, offset, codes = content[4:7], *fields("q", 168), fields("2i", 344)
        pixdim, quaternion, rows = fields("8d", 104), fields("6d", 352), fields("12d", 400)
    else:
        magic, offset, codes = content[344:347], *fields("f", 108), fields("2h", 252)
        pixdim, quaternion, rows = fields("8f", 76), fields("6f", 256), fields("12f", 280)
    is_nifti = magic in (*_SINGLE_FILE, *_PAIR)
    return NiftiHeader(
        byte_order=order,
        offset=int(offset),
        lowest_offset=_FIRST_VOXEL.get(size, 0) if magic in _SINGLE_FILE else 0,
        qform=_of_quaternion(pixdim, quaternion),
        sform=np.vstack([np.reshape(rows, (3, 4)), [0, 0, 0, 1]]),
        qform_code=codes[0] if is_nifti else 0,
        sform_code=codes[1] if is_nifti else 0,
    )


def opened(path: Path) -> BinaryIO:
    """The file, decompressed where it is compressed, whatever its name says."""
    with open(path, "rb") as file:
        compressed = file.read(2) == GZIP_MAGIC
    return gzip.open(path) if compressed else open(path, "rb")


def _of_quaternion(pixdim: tuple[float, ...], quaternion: tuple[float, ...]) -> np.ndarray:
    """The matrix of the standard's method 2, by a unit quaternion (a, b, c, d) of which b, c and d are stored."""
    b, c, d = quaternion[:3]
    a = math.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ]
    matrix[:3, :3] *= [pixdim[1], pixdim[2], math.copysign(pixdim[3], pixdim[0] if pixdim[0] else 1)]
    matrix[:3, 3] = quaternion[3:]
    return matrix
