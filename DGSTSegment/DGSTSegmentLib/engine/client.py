"""The engine as a caller sees it: methods that wait for their answer. Standard library and numpy only."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from .conversation import Conversation, Fields
from .transport import SubprocessTransport, Transport

_POLL_SECONDS = 0.2
_NO_TIME_LIMIT = float("inf")


class Job:
    """A request on its way. Its result is waited for in slices, so that Ctrl-C is heard on every system."""

    def __init__(self):
        self.id = ""
        self._done = threading.Event()
        self._outcome: Fields | Exception | None = None

    def finish(self, outcome: Fields | Exception) -> None:
        """Take the outcome; what comes after the first one is too late."""
        if not self._done.is_set():
            self._outcome = outcome
            self._done.set()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def result(self, seconds: float = _NO_TIME_LIMIT) -> Fields:
        """Wait for the result.

        Raises:
            InputError: the input cannot be used.
            EngineError: memory ran out, a fault of the program, or the engine's process ended.
            TimeoutError: no answer within ``seconds``.
        """
        waited = 0.0
        while not self._done.wait(_POLL_SECONDS):
            waited += _POLL_SECONDS
            if waited >= seconds:
                raise TimeoutError(f"The engine has not answered within {seconds:g} seconds.")
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


class EngineClient:
    """Describes models, predicts and fine-tunes in one child process, which is started by the first request.

    The child holds network and GPU memory and keeps the last opened model. When it dies, the request it was at fails
    with one ``EngineError`` that says why, and the next request starts a new one.

    Args:
        make_transport: makes the way to a new process; ``SubprocessTransport`` by default.
        on_log: gets every line of the engine's log, from another thread.

    Example:
        >>> with EngineClient() as client:
        ...     card = client.describe("starter")["card"]
    """

    def __init__(
        self,
        make_transport: Callable[[], Transport] = SubprocessTransport,
        on_log: Callable[[str], None] | None = None,
    ):
        self._conversation = Conversation(make_transport, on_log)

    def submit(self, name: str, fields: Fields, on_event: Callable[[Fields], None] | None = None) -> Job:
        """Send a request and do not wait; ``on_event`` gets ``progress`` and ``note`` events, from another thread.

        What ``on_event`` raises stops the request, and is raised by the job's ``result``.
        """
        job = Job()

        def hear(event: Fields) -> None:
            if on_event is None or job.done:
                return
            try:
                on_event(event)
            except Exception as error:  # noqa: BLE001 raised by result(), where somebody waits
                job.finish(error)
                self._conversation.stop(job.id)

        job.id = self._conversation.ask(name, fields, job.finish, hear)
        return job

    def describe(self, model: str, *, base: str | None = None, fold: int | str | None = None) -> Fields:
        """The model's ``card``, ``title`` and ``location``, the ``devices`` at hand, and ``why_no_gpu`` is among them:
        a clause, None where one is.

        Raises:
            InputError, EngineError: as ``Job.result``.
        """
        return self.submit("describe", {"model": model, "base": base, "fold": fold}).result()

    def predict(self, fields: Fields, on_event: Callable[[Fields], None] | None = None) -> Fields:
        """Segment the CT of a ``training.request.PredictRequest``, given as plain fields; the engine writes the files.

        Raises:
            InputError, EngineError: as ``Job.result``.
        """
        return self.submit("predict", fields, on_event).result()

    def finetune(self, fields: Fields, on_event: Callable[[Fields], None] | None = None) -> Fields:
        """Carry out a ``training.request.FinetuneRequest``; ``stopped`` in the result says that it can be resumed.

        Raises:
            InputError, EngineError: as ``Job.result``.
        """
        return self.submit("finetune", fields, on_event).result()

    def resume(self, folder: str, on_event: Callable[[Fields], None] | None = None, **moved: str) -> Fields:
        """Go on with the run in a folder; the result is as of ``finetune``.

        Args:
            moved: where ``model`` and its ``base`` are now, if they were moved.

        Raises:
            InputError, EngineError: as ``Job.result``.
        """
        return self.submit("resume", {"out": folder, **moved}, on_event).result()

    def stop(self) -> None:
        """Ask the engine to stop what it is at; that request then returns its result with ``stopped`` true."""
        self._conversation.stop()

    @property
    def engine(self) -> Fields | None:
        """What the running engine said of itself (``pid``, ``version``); None where none runs."""
        return self._conversation.engine

    @property
    def log(self) -> list[str]:
        """The last lines of the engine's log."""
        return self._conversation.log

    def close(self, seconds: float = 5.0) -> None:
        """End the engine, by force when it has not ended within ``seconds``."""
        self._conversation.close(seconds)

    def __enter__(self) -> EngineClient:
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(KeyboardInterrupt):  # pressed again while it ends: it is ending
            self.close()
