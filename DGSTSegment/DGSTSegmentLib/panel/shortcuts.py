"""Keys of the review, alive only while the module is shown."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer


class Shortcuts:
    """Keys and what they do. A key that is alive here reaches nobody else, so R, which resets a view, is none of them,
    nor is a key of the segment editor (digits, Z, Y, Q, W, I, Space, Escape and some signs): two for one key are none.

    Args:
        actions: what each key calls.
    """

    def __init__(self, actions: dict[str, Callable[[], None]]):
        self._actions = actions
        self._shortcuts: dict[str, qt.QShortcut] = {}

    def enable(self) -> None:
        if self._shortcuts:
            return
        for key, action in self._actions.items():
            shortcut = qt.QShortcut(slicer.util.mainWindow())
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.setAutoRepeat(False)  # held a little too long, a key would take its own decision back
            shortcut.connect("activated()", action)
            self._shortcuts[key] = shortcut

    def leaveToOthers(self, keys: str) -> None:
        """Keep all keys but ``keys``, which whoever else knows them gets."""
        for key, shortcut in self._shortcuts.items():
            shortcut.setEnabled(key not in keys)

    def disable(self) -> None:
        for shortcut in self._shortcuts.values():
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = {}
