"""Hiding what a widget holds: shared by the collapsible stand-ins."""

from __future__ import annotations

import qt

EXPLICIT = qt.Qt.WA_WState_ExplicitShowHide


class Contents(qt.QObject):
    """The direct child widgets of a collapsible widget, and which of them its user shows or hides himself.

    As in CTK, a child that is shown or hidden while it is collapsed is so once it is expanded.
    """

    def __init__(self, owner):
        super().__init__(owner)
        self._owner = owner
        self._collapsed = False
        self._forcing = False
        self._hidden_by_user: set[int] = set()

    def show(self, visible: bool) -> None:
        """Hide the children, or show again those that their user did not hide."""
        self._collapsed = not visible
        for child in self._children():
            self._watch(child)
            if id(child) not in self._hidden_by_user:
                self._force(child, visible)

    def eventFilter(self, child, event) -> bool:
        """Take note of who is shown and hidden by its user."""
        kind = event.type()
        if not self._forcing and kind == qt.QEvent.HideToParent:
            self._hidden_by_user.add(id(child))
        elif not self._forcing and kind == qt.QEvent.ShowToParent:
            self._hidden_by_user.discard(id(child))
            if self._collapsed:
                self._force(child, False)
        return False

    def _force(self, child, visible: bool) -> None:
        """Not explicitly, in Qt's sense: else a later ``hide`` of its user would do nothing and go unnoticed."""
        self._forcing = True
        child.setVisible(visible)
        child.setAttribute(EXPLICIT, False)
        self._forcing = False

    def _watch(self, child) -> None:
        if child.property("watchedByContents") is None:
            child.setProperty("watchedByContents", True)
            child.installEventFilter(self)
            if child.isHidden() and child.testAttribute(EXPLICIT):
                self._hidden_by_user.add(id(child))

    def _children(self) -> list:
        return [c for c in self._owner.children() if isinstance(c, qt.QWidget) and not c.isWindow()]
