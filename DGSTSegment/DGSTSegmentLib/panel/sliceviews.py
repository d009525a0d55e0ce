"""What the slice views of the layout show."""

from __future__ import annotations

import slicer


def sliceWidgets() -> list:
    """Those of the layout; the manager keeps what earlier layouts had, and is None where Slicer has no window."""
    manager = slicer.app.layoutManager()
    widgets = [manager.sliceWidget(name) for name in manager.sliceViewNames()] if manager is not None else []
    return [widget for widget in widgets if widget.mrmlSliceNode().IsMappedInLayout()]


def isShown(scan) -> bool:
    """Whether the scan can be seen in a slice view of the layout."""
    return any(scan.GetID() in _seenIn(widget) for widget in sliceWidgets())


def isEverywhere(scan) -> bool:
    """Whether every slice view of the layout has the scan as its background."""
    ids = {widget.mrmlSliceCompositeNode().GetBackgroundVolumeID() for widget in sliceWidgets()}
    return ids == {scan.GetID()}


def bringIntoView(scan) -> None:
    """Show a scan in the slice views where none of them shows it; they stay at their place where the scan has it."""
    if isShown(scan):
        return
    for widget in sliceWidgets():
        composite = widget.mrmlSliceCompositeNode()
        composite.SetBackgroundVolumeID(scan.GetID())
        if scan.GetID() not in _seenIn(widget):
            composite.SetForegroundOpacity(0.0)
        if not _isAt(widget.mrmlSliceNode(), scan):
            widget.sliceLogic().FitSliceToAll()


def otherThan(scan):
    """A CT that the slice views show in the scan's place; None where they show the scan, or no CT at all."""
    if isShown(scan):
        return None
    nodes = [slicer.mrmlScene.GetNodeByID(id_) for widget in sliceWidgets() for id_ in _seenIn(widget)]
    # Labelmaps and colored volumes are scalar volumes too, but nothing that the panel could work on.
    return next((node for node in nodes if node and node.GetClassName() == "vtkMRMLScalarVolumeNode"), None)


def _seenIn(widget) -> list[str]:
    """Ids of the volumes that a slice view shows: an opaque foreground hides what is behind it."""
    composite = widget.mrmlSliceCompositeNode()
    front, opacity = composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()
    back = None if front and opacity >= 1 else composite.GetBackgroundVolumeID()
    return [id_ for id_ in (back, front if opacity > 0 else None) if id_]


def _isAt(sliceNode, scan) -> bool:
    """Whether the middle of a slice lies in the scan."""
    bounds = [0.0] * 6
    scan.GetRASBounds(bounds)
    middle = [sliceNode.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    return all(low <= x <= high for x, low, high in zip(middle, bounds[::2], bounds[1::2], strict=True))
