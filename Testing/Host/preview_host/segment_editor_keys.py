"""The keys of the segment editor, as Slicer installs them on its main window."""

from __future__ import annotations

import qt
import slicer

UNDO, REDO = ("Z", "Ctrl+Z"), ("Y", "Ctrl+Y")
SEGMENTS = ("Q", "W", "/", "*", ",", ".", ">", "<")


class SegmentEditorKeys:
    """Shortcuts while they are installed.

    Args:
        editor: the segment editor's widget.
    """

    def __init__(self, editor):
        self._editor, self._shortcuts, self._last = editor, [], ""

    def install(self, parent=None) -> None:
        """Make them, anew where there are some."""
        self.uninstall()
        parent = parent or slicer.util.mainWindow()
        actions = dict.fromkeys(UNDO, self._editor.undo) | dict.fromkeys(REDO, self._editor.redo)
        actions |= {"Esc": self._put_down, "Space": self._take_again} | dict.fromkeys((*SEGMENTS, "I"), _nothing)
        actions |= {str(n): _nothing for n in range(10)} | {f"Shift+{n}": _nothing for n in range(10)}
        for key, action in actions.items():
            shortcut = qt.QShortcut(parent)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.connect("activated()", action)
            self._shortcuts.append(shortcut)

    def uninstall(self) -> None:
        """Take them away."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []

    def _put_down(self) -> None:
        effect = self._editor.activeEffect()
        self._last = effect.name if effect is not None else self._last
        self._editor.setActiveEffectByName("")

    def _take_again(self) -> None:
        if self._editor.activeEffect() is not None:
            self._put_down()
        else:
            self._editor.setActiveEffectByName(self._last)


def _nothing() -> None:
    """What the key does in Slicer, the preview does not do."""
