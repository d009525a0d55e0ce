"""The engine's process: ``python -m DGSTSegmentLib.engine.worker``.

Requests come as JSON lines on stdin, replies go as JSON lines to stdout; whatever else anything prints goes to stderr,
which is the log. One request is worked on at a time while a thread keeps reading, so that ``stop`` is heard. The
process ends on ``shutdown``, on SIGTERM, when stdin closes, which is how the death of its parent shows, and when CUDA
fails for good in it.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

from .. import __version__
from ..training.memory import give_back_memory
from .faults import ends_the_engine, fault_of
from .handlers import Context, answer
from .models import OpenedModel
from .protocol import PROTOCOL_VERSION, MalformedMessage, Reply, Request

LAST_WORK_SECONDS = 60.0
"""How long a request may take to save what it has once the process is to end."""

log = logging.getLogger("engine")


class Channel:
    """Sends replies, from any thread; once nobody listens any more they are dropped."""

    def __init__(self, stream: IO[str], on_broken: Callable[[], None]):
        self._stream, self._on_broken = stream, on_broken
        self._lock = threading.Lock()

    def send(self, reply: Reply) -> None:
        line = reply.to_line()
        try:
            with self._lock:
                self._stream.write(line)
                self._stream.flush()
        except OSError:  # the parent has ended
            self._on_broken()


class Worker:
    """Works on requests in the order in which they come.

    Args:
        replies: stream for the replies.
    """

    def __init__(self, replies: IO[str]):
        self._channel = Channel(replies, self.end)
        self._queue: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._stops: dict[str, threading.Event] = {}
        self._ending = threading.Event()
        self._model = OpenedModel()

    def run(self, lines: IO[str]) -> None:
        """Work until ``lines`` end or ``shutdown`` comes."""
        self._channel.send(
            Reply(None, "ready", {"protocol": PROTOCOL_VERSION, "version": __version__, "pid": os.getpid()})
        )
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()
        while (request := self._queue.get()) is not None and not self._ending.is_set():
            self._work(request)

    def end(self) -> None:
        """Stop what runs, keeping what it has, and end; by force when that takes too long."""
        if self._ending.is_set():
            return
        self._ending.set()
        for stop in list(self._stops.values()):
            stop.set()
        self._queue.put(None)
        watchdog = threading.Timer(LAST_WORK_SECONDS, os._exit, args=(1,))
        watchdog.daemon = True
        watchdog.start()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            try:
                self._take(Request.from_line(line))
            except MalformedMessage as error:
                self._channel.send(Reply(None, "error", {"kind": "internal", "message": str(error)}))
        silence_output()
        self.end()

    def _take(self, request: Request) -> None:
        if request.name == "stop":
            targets = request.fields.get("targets")
            stopped = [id_ for id_ in list(self._stops) if targets is None or id_ in targets]
            for id_ in stopped:
                self._stops[id_].set()
            self._channel.send(Reply(request.id, "result", {"stopping": stopped}))
        elif request.name == "shutdown":
            self._channel.send(Reply(request.id, "result", {}))
            self.end()
        else:
            self._stops[request.id] = threading.Event()
            self._queue.put(request)

    def _work(self, request: Request) -> None:
        def on_event(event: dict[str, Any]) -> None:
            fields = dict(event)
            self._channel.send(Reply(request.id, fields.pop("event"), fields))

        context = Context(on_event, self._stops[request.id].is_set, self._model)
        ending = False
        try:
            reply = Reply(request.id, "result", answer(request, context))
        except Exception as error:
            log.exception("%s failed", request.name)
            ending = ends_the_engine(error)
            reply = Reply(request.id, "error", {**fault_of(error), "ending": ending})
        del self._stops[request.id]
        self._channel.send(reply)
        if ending:
            self.end()
        else:
            give_back_memory()  # Slicer draws with the same GPU


def lead_own_group() -> None:
    """Become the leader of a process group, so that whoever knows this process can end it with all that it started.

    ``SubprocessTransport`` starts it so already; a process started by Qt, or by Slicer's launcher, is in its parent's.
    """
    if hasattr(os, "setsid") and os.getpgrp() != os.getpid():
        os.setsid()


def own_stdout() -> IO[str]:
    """Take stdout for messages alone: from now on, what Python or C code prints to it goes to stderr."""
    messages = os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n")
    sys.stdout.flush()
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return messages


def own_stdin() -> IO[str]:
    """Take stdin for requests alone: from now on, Python code, C code and children find it at its end.

    Windows answers nobody who asks what a pipe is while a thread waits to read from it, and OpenBLAS asks of stdin when
    it is loaded (numpy issue 24290): an import would wait for the next request.
    """
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8", errors="replace")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return requests


def silence_output() -> None:
    """Send the log nowhere: with its reader gone, a library that prints would fail instead of finishing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def main() -> None:
    lead_own_group()
    requests, messages = own_stdin(), own_stdout()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    worker = Worker(messages)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the client decides what Ctrl-C means
    signal.signal(signal.SIGTERM, lambda *_: worker.end())
    worker.run(requests)


if __name__ == "__main__":
    main()
