"""Answer once, when Slicer has time, what many events in a row ask for."""

from __future__ import annotations

from collections.abc import Callable

import qt


class Later:
    """An action that is asked for by calling this, and carried out once for all calls until then.

    Args:
        msec: how long after the first call; 0 is as soon as Slicer has time.
        action: may ask for itself once more.
    """

    def __init__(self, msec: int, action: Callable[[], None]):
        self._msec, self._action, self._isWaiting = msec, action, False

    def __call__(self, *_event) -> None:
        if not self._isWaiting:
            self._isWaiting = True
            qt.QTimer.singleShot(self._msec, self._act)

    def _act(self) -> None:
        self._isWaiting = False
        self._action()
