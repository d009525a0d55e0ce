"""The panel's sections as the guide leads from one to the next: what it opens it closes again, the user's it leaves."""

from __future__ import annotations

from collections.abc import Callable

import qt

from .state import PanelState

NAMES = ("scanSection", "annotateSection", "finetuneSection", "reviewSection")


class Sections:
    """Opens a section and scrolls to it, and closes those that it opened before.

    Args:
        ui: the panel's widgets.
        state: what the sections share.
        isInUse: whether the user is at work in the section of that name, which is then not closed.
    """

    def __init__(self, ui, state: PanelState, isInUse: Callable[[str], bool]):
        self.ui, self.state, self._isInUse = ui, state, isInUse
        self._opened: set[str] = set()
        self._section = self._button = ""
        for name in NAMES:
            getattr(ui, name).connect("contentsCollapsed(bool)", self._onCollapsed)

    def goTo(self, name: str, button: str = "") -> None:
        """Open a section and close those that were opened for earlier steps; then scroll to it, and to its button."""
        self.open(name)
        for other in [other for other in self._opened if other != name and not self._isInUse(other)]:
            getattr(self.ui, other).collapsed = True  # which makes it the user's, should he open it again
        self._section, self._button = name, button
        qt.QTimer.singleShot(0, self._scroll)

    def open(self, name: str) -> None:
        """Open a section of which the user did not ask that; one that is open already is the user's."""
        section = getattr(self.ui, name)
        if section.collapsed:
            section.collapsed = False
            self._opened.add(name)

    def leaveOpen(self, name: str) -> None:
        """The user works in a section, whoever opened it: it is the user's from now on."""
        self._opened.discard(name)

    def _onCollapsed(self, _isCollapsed: bool) -> None:
        """Whoever closed a section: who opens it next has to say whose it is."""
        self._opened = {name for name in self._opened if not getattr(self.ui, name).collapsed}

    def _scroll(self) -> None:
        """Once the opened section has its place. A brush in the user's hand keeps the editor where it is."""
        if self.state.parameters is None:
            return  # another module is on the screen, or the panel has ended
        section = getattr(self.ui, self._section)
        area = _scrollAreaOf(section)
        isPainting = self._section != "annotateSection" and self._isInUse("annotateSection")
        if area is None or isPainting:
            return
        area.ensureWidgetVisible(section, 0, 0)
        if self._button:
            area.ensureWidgetVisible(getattr(self.ui, self._button), 0, 0)


def _scrollAreaOf(widget):
    """The scroll area that a module's panel lies in; None where there is none."""
    while widget is not None and not isinstance(widget, qt.QScrollArea):
        widget = widget.parentWidget()
    return widget
