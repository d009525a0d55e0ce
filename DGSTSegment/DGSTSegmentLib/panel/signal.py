"""Tell whoever is interested, without Qt, so that the logic can be used and tested without a window."""

from __future__ import annotations

from collections.abc import Callable


class Signal:
    """Calls its listeners in the order in which they came; one that fails keeps nothing from the others."""

    def __init__(self):
        self._listeners: list[Callable] = []

    def connect(self, listener: Callable) -> None:
        self._listeners.append(listener)

    def disconnect(self, listener: Callable) -> None:
        self._listeners.remove(listener)

    def __call__(self, *values) -> None:
        _tell(list(self._listeners), values)


def _tell(listeners: list[Callable], values: tuple) -> None:
    if listeners:
        try:
            listeners[0](*values)
        finally:
            _tell(listeners[1:], values)
