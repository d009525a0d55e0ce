"""The headers of NRRD and MetaImage files, which are text."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import BinaryIO


def nrrd_header(file: BinaryIO) -> Mapping[str, str]:
    """The fields by their names in small letters; ``file`` is then where the header has ended."""
    fields: dict[str, str] = {}
    for line in iter(file.readline, b""):
        if not line.strip():
            break
        name, colon, value = os.fsdecode(line).partition(":")
        if colon and not value.startswith("="):
            fields[name.strip().lower()] = value.strip()
    return fields


def metaimage_header(file: BinaryIO) -> Mapping[str, str]:
    """The fields by their names; ``file`` is then where the header has ended."""
    fields: dict[str, str] = {}
    for line in iter(file.readline, b""):
        name, *value = (part.strip() for part in re.split("[=:]", os.fsdecode(line), maxsplit=1))
        fields[name] = "".join(value)
        if name == "ElementDataFile":
            break
    return fields
