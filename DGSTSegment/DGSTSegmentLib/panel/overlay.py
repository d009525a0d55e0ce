"""How segmentations are drawn over a scan."""

from __future__ import annotations


def drawInSlices(display, outlineOnly: bool, opacity: float) -> None:
    """Set a segmentation's display node: outlines always, and its inside filled that strongly, or left free."""
    wasModifying = display.StartModify()
    display.SetVisibility2DFill(not outlineOnly)
    display.SetVisibility2DOutline(True)
    display.SetOpacity2DFill(opacity)
    display.SetOpacity2DOutline(1.0)
    display.EndModify(wasModifying)
