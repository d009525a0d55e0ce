"""Hiding what a widget holds: shared by the collapsible stand-ins."""

from __future__ import annotations

import qt


class Contents:
    """The direct child widgets of a collapsible widget, and which of them its user hid himself."""

    def __init__(self, owner):
        self._owner = owner
        self._hidden: list = []

    def show(self, visible: bool) -> None:
        """Hide the children, or show again those that were hidden for it."""
        if not visible:
            shown = [child for child in self._children() if not child.isHidden()]
            self._hidden = [*self._hidden, *shown]
            for child in shown:
                child.hide()
            return
        children = self._children()
        for child in [hidden for hidden in self._hidden if hidden in children]:
            child.show()
        self._hidden = []

    def _children(self) -> list:
        return [c for c in self._owner.children() if isinstance(c, qt.QWidget) and not c.isWindow()]
