"""What SimpleITK passes over in silence: compressed voxels of NRRD and MetaImage files that are damaged."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError
from .text_header import metaimage_header, nrrd_header

_CHUNK_BYTES = 1 << 20
_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS
GZIP_MAGIC = b"\x1f\x8b"
"""The first bytes of whatever gzip has compressed."""


def is_whole(path: Path, image_io: str, voxel_bytes: int) -> bool:
    """Whether the file's compressed voxels come to their end with the right checksum; True where none are compressed.

    Nor is anything checked where the header says that lines or bytes come before them, which hardly any program writes.

    Of a damaged stream ITK takes what it could decompress, and whatever lay in memory for the rest.

    Args:
        image_io: ITK's name of the format; others than ``NrrdImageIO`` and ``MetaImageIO`` pass.
        voxel_bytes: of all voxels together, not compressed.

    Raises:
        InputError: the compressed voxels lie in several files.
        OSError: the system cannot read the header or the voxels.
    """
    headers = {"NrrdImageIO": _nrrd_voxels, "MetaImageIO": _metaimage_voxels}
    if image_io not in headers:
        return True
    with open(path, "rb") as file:
        name = headers[image_io](file)
        if name is None:
            return True
        if not name:
            return _decompressed_bytes(file) >= voxel_bytes
    if name.startswith("LIST") or "%" in name:
        raise InputError(f"{path} has its compressed voxels in several files, which is not read; save it as one file.")
    with open(path.parent / name, "rb") as file:
        return _decompressed_bytes(file) >= voxel_bytes


def _nrrd_voxels(file: BinaryIO) -> str | None:
    """The file of the compressed voxels, empty where they follow in ``file``; None where nothing is to be checked."""
    fields = nrrd_header(file)
    if fields.get("encoding", "").lower() not in ("gzip", "gz") or fields.get("line skip", "0") != "0":
        return None
    return fields.get("data file", fields.get("datafile", ""))


def _metaimage_voxels(file: BinaryIO) -> str | None:
    """As :func:`_nrrd_voxels`."""
    fields = metaimage_header(file)
    if fields.get("CompressedData", "")[:1] not in ("T", "t", "1") or fields.get("HeaderSize", "0") != "0":
        return None
    name = fields.get("ElementDataFile", "")
    return "" if name.upper() == "LOCAL" else name


def _decompressed_bytes(file: BinaryIO) -> int:
    """How many bytes the rest of ``file`` decompresses to; -1 where a stream is damaged or has no end."""
    count, stream, waiting = 0, zlib.decompressobj(_ZLIB_OR_GZIP), b""
    try:
        while waiting := waiting or file.read(_CHUNK_BYTES):
            count += len(stream.decompress(waiting, _CHUNK_BYTES))
            waiting = stream.unconsumed_tail
            if stream.eof:
                waiting = stream.unused_data + file.read(_CHUNK_BYTES)
                if not waiting.startswith(GZIP_MAGIC):
                    return count
                stream = zlib.decompressobj(_ZLIB_OR_GZIP)
    except zlib.error:
        return -1
    return -1
