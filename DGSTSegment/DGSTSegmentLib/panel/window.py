"""Which gray values of a CT are told apart on the screen: kept with its case, else those of soft tissue."""

from __future__ import annotations

from collections.abc import Sequence

SOFT_TISSUE = (400.0, 40.0)
"""Window and level, HU: how lymph nodes are usually read."""


def windowOf(scan) -> list[float]:
    """Window and level of a scan as the user or its DICOM file chose them; empty where Slicer computes them."""
    display = scan.GetScalarVolumeDisplayNode()
    return [] if display is None or display.GetAutoWindowLevel() else [display.GetWindow(), display.GetLevel()]


def setWindow(scan, window: Sequence[float]) -> None:
    """Show a scan with a window and level; with those of soft tissue where ``window`` is none."""
    width, level = window if _isWindow(window) else SOFT_TISSUE
    display = scan.GetScalarVolumeDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(width, level)


def _isWindow(window) -> bool:
    """A case's file may have been written by another program."""
    isPair = isinstance(window, list | tuple) and len(window) == 2
    return isPair and all(isinstance(x, int | float) for x in window) and window[0] > 0
