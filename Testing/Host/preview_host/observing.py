"""Observers of VTK objects that end with the widget they serve, as Slicer's C++ widgets end theirs."""

from __future__ import annotations

from collections.abc import Callable

import shiboken6


def observe(widget, vtk_object, event, callback: Callable[[], None]) -> int:
    """Call ``callback`` at an event until the widget is gone.

    Returns:
        the tag to remove the observer by, earlier.
    """
    kept = []

    def call(*_):
        if shiboken6.isValid(widget):
            callback()
        else:
            vtk_object.RemoveObserver(kept[0])

    kept.append(vtk_object.AddObserver(event, call))
    return kept[0]
