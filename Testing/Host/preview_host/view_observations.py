"""Mouse events of the slice views, handed to the segment editor before the views' own styles see them."""

from __future__ import annotations

from collections.abc import Callable

import slicer

EVENTS = ("LeftButtonPressEvent", "LeftButtonReleaseEvent", "MouseMoveEvent")
BEFORE_STYLES = 10.0


class ViewObservations:
    """Observes the views of the current layout while it is on.

    Args:
        handle: called with an event's name and the slice view; true when nobody else may have the event.
    """

    def __init__(self, handle: Callable[[str, object], bool]):
        self._handle = handle
        self._observed: list[tuple] = []

    @property
    def on(self) -> bool:
        """Whether views are observed."""
        return bool(self._observed)

    def start(self) -> None:
        """Observe all slice views that there are."""
        self.stop()
        manager = slicer.app.layoutManager()
        manager.layoutChanged.connect(self._follow_layout)
        for name in manager.sliceViewNames():
            view = manager.sliceWidget(name).sliceView()
            for event in EVENTS:
                self._observe(view, event)

    def stop(self) -> None:
        """Observe none."""
        if self.on:
            slicer.app.layoutManager().layoutChanged.disconnect(self._follow_layout)
        for interactor, tag in self._observed:
            interactor.RemoveObserver(tag)
        self._observed = []

    def _observe(self, view, event: str) -> None:
        interactor = view.interactor()

        def hand_over(*_) -> None:
            if self._handle(event, view):
                interactor.GetCommand(tag).SetAbortFlag(1)

        tag = interactor.AddObserver(event, hand_over, BEFORE_STYLES)
        self._observed.append((interactor, tag))

    def _follow_layout(self, layout: int) -> None:
        self.start()
