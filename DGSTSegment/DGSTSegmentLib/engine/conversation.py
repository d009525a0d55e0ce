"""The client's side of the protocol: who asked what, what came back, and what the engine's death means.

Nothing here waits: results come by callback, from the transport's thread or event loop, so that it serves a terminal
and a GUI alike. Standard library only.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .protocol import PROTOCOL_VERSION, EngineError, MalformedMessage, Reply, Request, error_of
from .transport import Exit, Transport

Fields = dict[str, Any]
_LOG_LINES = 200
_LAST_WORDS = 5
_LAUNCHER_OF_KILLED = "exit abnormally"
"""Slicer's launcher says so, and ends with code 1, when the process that it started was killed."""

_DOING = {
    "describe": "opening a model",
    "export": "writing a model for nnU-Net",
    "predict": "predicting",
    "finetune": "fine-tuning",
    "resume": "fine-tuning",
}


@dataclass
class _Pending:
    request: Request
    on_event: Callable[[Fields], None] | None
    on_done: Callable[[Fields | Exception], None]


class Conversation:
    """Requests to an engine and their answers. An engine that died is started anew by the next request.

    Args:
        make_transport: makes a fresh transport for each process.
        on_log: gets every line of the engine's log.
    """

    def __init__(self, make_transport: Callable[[], Transport], on_log: Callable[[str], None] | None = None):
        self._make_transport = make_transport
        self._on_log = on_log
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._pending: dict[str, _Pending] = {}
        self._transport: Transport | None = None
        self._ready: Fields | None = None
        self._log: deque[str] = deque(maxlen=_LOG_LINES)

    @property
    def engine(self) -> Fields | None:
        """What the running engine said of itself (pid, version, protocol); None where none runs."""
        return self._ready

    @property
    def log(self) -> list[str]:
        """The last lines of the engine's log."""
        return list(self._log)

    def ask(
        self,
        name: str,
        fields: Fields,
        on_done: Callable[[Fields | Exception], None],
        on_event: Callable[[Fields], None] | None = None,
    ) -> str:
        """Send a request; returns its id.

        Args:
            name: of ``engine.handlers.HANDLERS``.
            fields: plain JSON values.
            on_done: called once, with the result's fields or with the exception (``InputError``, ``EngineError``).
            on_event: called with each ``progress`` and ``note``, ``event`` among its fields.
        """
        request = Request(str(next(self._ids)), name, fields)
        with self._lock:
            self._pending[request.id] = _Pending(request, on_event, on_done)
            try:
                if self._transport is None:
                    self._start()
            except OSError as error:
                failed = self._pending.pop(request.id)
                problem = _unreachable(error)
            else:
                self._send(request)
                return request.id
        failed.on_done(problem)
        return request.id

    def stop(self, id_: str | None = None) -> None:
        """Ask the engine to stop a request, or all of them; each still ends with its own result."""
        with self._lock:
            targets = [pending_id for pending_id in self._pending if id_ in (None, pending_id)]
        if targets:
            self._tell("stop", {"targets": targets})

    def close(self, seconds: float = 5.0) -> None:
        """Ask the engine to end, and end it with everything it started when it has not within ``seconds``."""
        transport = self._transport
        if transport is None:
            return
        self._fail_all(EngineError("The engine was closed before it had finished.", "died"))
        self._tell("shutdown", {})
        transport.close_input()
        if not transport.wait(seconds):
            transport.kill()
            transport.wait(seconds)

    def kill(self) -> None:
        """End the engine with everything it started, at once; what is pending fails, saying so."""
        transport = self._transport
        if transport is not None:
            transport.kill()

    def _tell(self, name: str, fields: Fields) -> None:
        """Send what needs no answer, to an engine that still listens."""
        with self._lock, contextlib.suppress(OSError):
            if self._transport is not None:
                self._transport.send(Request(str(next(self._ids)), name, fields).to_line())

    def _start(self) -> None:
        self._log.clear()
        self._ready = None
        transport = self._transport = self._make_transport()
        try:
            transport.start(
                lambda line: self._hear(transport, line), self._hear_log, lambda end: self._hear_end(transport, end)
            )
        except OSError:
            self._transport = None
            raise

    def _hear_log(self, line: str) -> None:
        self._log.append(line)
        if self._on_log is not None:
            self._on_log(line)

    def _hear(self, transport: Transport, line: str) -> None:
        try:
            reply = Reply.from_line(line)
        except MalformedMessage as error:
            self._hear_log(f"not understood: {error}")
            return
        if reply.event == "ready":
            self._greet(reply)
            return
        with self._lock:
            pending = self._pending.pop(reply.id, None) if reply.is_final else self._pending.get(reply.id)
        if reply.fields.get("ending"):
            self._replace(transport)
        if pending is None:
            return
        if reply.is_final:
            pending.on_done(reply.fields if reply.event == "result" else error_of(reply.fields))
        elif pending.on_event is not None:
            pending.on_event({"event": reply.event, **reply.fields})

    def _greet(self, reply: Reply) -> None:
        self._ready = reply.fields
        if reply.fields.get("protocol") != PROTOCOL_VERSION:
            self._fail_all(
                EngineError("The engine belongs to another version of this program; restart the program.", "died")
            )
            self._transport.kill()

    def _replace(self, transport: Transport) -> None:
        """Let go of an engine that has said its last word; what still waits is asked of a new one."""
        with self._lock:
            if transport is not self._transport:
                return
            self._transport = self._ready = None
            transport.kill()  # it ends of its own accord, but may keep the GPU's memory for a while
            waiting = [pending.request for pending in self._pending.values()]
            if not waiting:
                return
            try:
                self._start()
            except OSError as error:
                problem = _unreachable(error)
            else:
                for request in waiting:
                    self._send(request)
                return
        self._fail_all(problem)

    def _send(self, request: Request) -> None:
        """Send to the engine that was just started, or to one that may be ending: its end, once heard, says why."""
        if self._transport is not None:  # else its end, which came at once, has been reported
            with contextlib.suppress(OSError):
                self._transport.send(request.to_line())

    def _hear_end(self, transport: Transport, end: Exit) -> None:
        with self._lock:
            if transport is not self._transport:
                return
            self._transport = None
            was_ready, self._ready = self._ready is not None, None
            doing = next((_DOING[pending.request.name] for pending in self._pending.values()), None)
        self._fail_all(EngineError(death_sentence(end, was_ready, doing, self.log), "died"))

    def _fail_all(self, error: EngineError) -> None:
        with self._lock:
            failed = list(self._pending.values())
            self._pending.clear()
        for pending in failed:
            pending.on_done(error)


def _unreachable(error: OSError) -> EngineError:
    return EngineError(f"The engine's process cannot be reached ({error}); try again.", "died")


def death_sentence(end: Exit, was_ready: bool, doing: str | None, log: list[str]) -> str:
    """What to tell the user of an engine that ended by itself.

    Args:
        end: how it ended.
        was_ready: it had started properly before.
        doing: what it was asked to do, as a participle; None for nothing.
        log: the last lines of its log.
    """
    words = [line.strip() for line in log if line.strip()]
    if not was_ready:
        return f"The engine's process could not start ({end}): {words[-1] if words else 'it left no message'}"
    killed = end.signal == 9 or (end.code == 1 and any(_LAUNCHER_OF_KILLED in word for word in words))
    sentence = f"The engine's process ended unexpectedly{f' while {doing}' if doing else ''} ({end}"
    if killed:
        sentence += "; most likely the machine ran out of memory and the system ended it"
    sentence += ")"
    if not killed and words:
        sentence += f", its last words: {' | '.join(words[-_LAST_WORDS:])}"
    advice = "; what the run had saved is kept and can be resumed" if doing == _DOING["finetune"] else ""
    return f"{sentence}{advice}."
