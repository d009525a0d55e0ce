"""The last resort against an engine that does not listen: the button that asked it to stop ends it."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from .engine import EngineSession
from .task import Task

PATIENCE_MSEC = 15000


class EndNow:
    """Makes a button *End now* where a task that was asked to stop goes on.

    Args:
        button: what the user pressed to stop it.
        engine: ends with its process.

    Attributes:
        isOffered: whether the button ends the engine when it is pressed.
        isEnding: whether it was pressed, and the engine is about to end.
    """

    def __init__(self, button, engine: EngineSession):
        self._button, self._engine = button, engine
        self._usual = button.text, button.toolTip
        self._task: Task | None = None
        self.isOffered = self.isEnding = False

    def wait(self, task: Task) -> None:
        """The task was asked to stop: it has some seconds."""
        self._task = task
        self._button.setEnabled(False)
        qt.QTimer.singleShot(PATIENCE_MSEC, lambda: self._offer(task))

    def _offer(self, task: Task) -> None:
        if task is self._task and not task.done:
            self.isOffered = True
            self._button.setText(_("End now"))
            self._button.setToolTip(
                _("The engine does not answer: end its process. It starts again when it is needed.")
            )
            self._button.setEnabled(True)

    def end(self) -> None:
        """End the engine; its task fails."""
        self.isOffered, self.isEnding = False, True
        self._button.setEnabled(False)
        self._engine.kill()

    def forget(self) -> bool:
        """The task is over, and the button as it was; returns whether it was ended here."""
        wasEnded, self.isEnding, self.isOffered, self._task = self.isEnding, False, False, None
        self._button.setText(self._usual[0])
        self._button.setToolTip(self._usual[1])
        self._button.setEnabled(True)
        return wasEnded
