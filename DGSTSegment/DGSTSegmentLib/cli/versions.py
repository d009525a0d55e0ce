"""Which software computed a result."""

from __future__ import annotations

import platform
from importlib import metadata

from .. import __version__

PACKAGES = ("torch", "monai", "numpy", "SimpleITK", "slicer-core")


def versions() -> dict[str, str]:
    """Versions of this project, of Python, and of the packages that compute, where they are installed."""
    found = {"DGSTSegment": __version__, "Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
