"""The panel's engine: one conversation with the worker process, one task at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ..engine.conversation import Conversation
from ..engine.session import Session
from ..engine.transport import Transport
from ..errors import InputError
from ..imaging.volume import Volume
from .signal import Signal
from .task import Task

Fields = dict[str, Any]


class EngineSession:
    """Asks the engine and hears its answers; starts it when it is first needed, and again after its death.

    Args:
        makeTransport: makes the way to a new process.

    Attributes:
        changed: signal, when a task begins or ends.
    """

    def __init__(self, makeTransport: Callable[[], Transport]):
        self._conversation = Conversation(makeTransport)
        self._session: Session | None = None
        self.task: Task | None = None
        self.changed = Signal()
        self.closing = False

    @property
    def busy(self) -> bool:
        return self.task is not None

    @property
    def occupation(self) -> str | None:
        """What keeps the engine from other work, in one sentence; None where nothing does."""
        going = _("{task} is still going on; wait until it is done, or stop it.")
        return None if self.task is None else going.format(task=self.task.title)

    @property
    def pid(self) -> int | None:
        """Of the engine's process; None where none runs."""
        engine = self._conversation.engine
        return None if engine is None else engine.get("pid")

    def ask(self, title: str, name: str, fields: Fields) -> Task:
        """Begin a task.

        Args:
            title: what it does, as messages call it.
            name: ``describe``, ``predict`` or ``finetune``.
            fields: plain JSON values.

        Raises:
            InputError: another task is not finished yet.
        """
        self.refuseWhileBusy()
        task = self.task = Task(title)
        self._conversation.ask(name, fields, lambda outcome: self._end(task, outcome), task.hear)
        if not task.done:
            self.changed()
        return task

    def refuseWhileBusy(self) -> None:
        """Raises:
        InputError: a task is not finished yet.
        """
        if self.occupation is not None:
            raise InputError(self.occupation)

    def askAside(self, title: str, name: str, fields: Fields) -> Task:
        """Ask a small thing that keeps nobody waiting: the engine answers it before the task that comes next."""
        task = Task(title)
        self._conversation.ask(name, fields, task.end, task.hear)
        return task

    def put(self, volume: Volume) -> Fields:
        """Store a volume for the engine; returns what a request carries in its place.

        Raises:
            InputError: the disk is full.
        """
        return self._files().put(volume)

    def path(self, name: str) -> str:
        """Where the engine may leave a volume for ``take``."""
        return self._files().path(name)

    def take(self, reference: Fields) -> Volume:
        """A volume that the engine left; its file is removed.

        Raises:
            InputError: it cannot be read.
        """
        return self._files().take(reference)

    def stop(self) -> None:
        """Ask the engine to end its task early, keeping what it has; the task still ends with a result."""
        self._conversation.stop()

    def kill(self) -> None:
        """End the engine's process at once; its task fails, saying so."""
        self._conversation.kill()

    def close(self, seconds: float = 3.0) -> None:
        """End the engine and remove the session's files. A task in its middle fails, with ``closing`` true."""
        self.closing = True
        self._conversation.close(seconds)
        self.closing = False
        if self._session is not None:
            self._session.close()
            self._session = None

    def _files(self) -> Session:
        if self._session is None:
            self._session = Session()
        return self._session

    def _end(self, task: Task, outcome: Fields | Exception) -> None:
        self.task = None
        try:
            task.end(outcome)
        finally:
            self.changed()
