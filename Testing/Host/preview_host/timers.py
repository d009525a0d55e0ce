"""``qt.QTimer.singleShot`` for any callable, made of what the patched classes offer."""

from __future__ import annotations

from PySide6 import QtCore

_pending: set[QtCore.QTimer] = set()


def single_shot(milliseconds: int, slot) -> None:
    """Call ``slot`` once, later, from the event loop."""
    timer = QtCore.QTimer()
    timer.setSingleShot(True)

    def fire():
        _pending.discard(timer)
        slot()

    timer.connect("timeout()", fire)
    _pending.add(timer)
    timer.start(milliseconds)
