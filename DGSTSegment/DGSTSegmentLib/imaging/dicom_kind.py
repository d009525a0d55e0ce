"""What a DICOM file holds, by its header's first bytes, and in which letters it is written."""

from __future__ import annotations

from pathlib import Path

_EXPORT = "export it as NIfTI or NRRD, from Slicer say"
_NOT_READ = {
    "1.2.840.10008.5.1.4.1.1.2.1": "an enhanced CT, all slices in one file, which is not read; convert it to NIfTI or "
    "NRRD, with Slicer or dcm2niix say",
    "1.2.840.10008.5.1.4.1.1.2.2": "an enhanced CT, all slices in one file, which is not read; convert it to NIfTI or "
    "NRRD, with Slicer or dcm2niix say",
    "1.2.840.10008.5.1.4.1.1.66.4": f"a DICOM segmentation (SEG), which is not read; {_EXPORT}",
    "1.2.840.10008.5.1.4.1.1.481.3": f"a DICOM structure set (RTSTRUCT), which is not read; {_EXPORT}",
}
_CODECS = {
    "ISO_IR 13": "shift_jis",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 166": "tis_620",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
_STORAGE_CLASS = b"\x02\x00\x02\x00UI"
_FIRST_BYTES = 1024


def is_dicom(path: Path) -> bool:
    """Whether a file is there that starts as DICOM files do."""
    return _start(path)[128:132] == b"DICM"


def why_not_read(path: Path) -> str | None:
    """What the DICOM file is and what to do, to be said after "is"; None where it may be a slice of a series."""
    _, found, rest = _start(path).partition(_STORAGE_CLASS)
    length = int.from_bytes(rest[:2], "little")
    uid = rest[2 : 2 + length].rstrip(b"\0 ").decode("ascii", "replace")
    return _NOT_READ.get(uid) if found else None


def as_written(text: str, character_set: str) -> str:
    """A text from a header in which letters beyond ASCII came as surrogates.

    Args:
        character_set: what the header says of its letters (0008|0005); Latin-1 where that names no other.
    """
    if not any("\udc80" <= letter <= "\udcff" for letter in text):
        return text
    name = character_set.split("\\")[0].strip().replace("ISO 2022 IR", "ISO_IR")
    return text.encode("utf-8", "surrogateescape").decode(_CODECS.get(name, "latin-1"), "replace")


def _start(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with open(path, "rb") as file:
        return file.read(_FIRST_BYTES)
