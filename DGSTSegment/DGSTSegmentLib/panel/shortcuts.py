"""Keys of the review, alive only while the module is shown."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer


class Shortcuts:
    """Keys and what they do.

    Args:
        actions: what each key calls.
    """

    def __init__(self, actions: dict[str, Callable[[], None]]):
        self._actions = actions
        self._shortcuts: list = []

    def enable(self) -> None:
        if self._shortcuts:
            return
        for key, action in self._actions.items():
            shortcut = qt.QShortcut(slicer.util.mainWindow())
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.connect("activated()", action)
            self._shortcuts.append(shortcut)

    def disable(self) -> None:
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []
