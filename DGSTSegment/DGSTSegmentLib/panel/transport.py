"""The engine's process by Qt, whose event loop brings its words: Python threads starve inside Slicer."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence

import qt

from ..engine.transport import Exit, end_process_tree, worker_command, worker_environment


class QtTransport:
    """A ``Transport`` by ``QProcess``. Nothing but ``wait`` blocks; callbacks come from Qt's event loop.

    Args:
        command: what to run; the worker in Slicer's Python by default.
    """

    def __init__(self, command: Sequence[str] | None = None):
        self.command = list(command or worker_command())
        self._process = None
        self._pieces = {"out": b"", "err": b""}
        self._worker: int | None = None
        self._ended = False

    def start(
        self, on_line: Callable[[str], None], on_log: Callable[[str], None], on_exit: Callable[[Exit], None]
    ) -> None:
        self._on_line, self._on_log, self._on_exit = on_line, on_log, on_exit
        self._process = process = qt.QProcess()
        environment = qt.QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONPATH", worker_environment()["PYTHONPATH"])
        process.setProcessEnvironment(environment)
        process.connect("readyReadStandardOutput()", self._readOutput)
        process.connect("readyReadStandardError()", self._readLog)
        process.connect("finished(int,QProcess::ExitStatus)", self._onFinished)
        process.connect("errorOccurred(QProcess::ProcessError)", self._onError)
        process.start(self.command[0], self.command[1:])

    def send(self, line: str) -> None:
        if self._ended or self._process is None:
            raise OSError("its process has ended")
        self._process.write(qt.QByteArray(line.encode("ascii")))

    def close_input(self) -> None:
        if self._process is not None and not self._ended:
            self._process.closeWriteChannel()

    def wait(self, seconds: float) -> bool:
        if not self._ended and self._process is not None:
            self._process.waitForFinished(int(seconds * 1000))
        return self._ended

    def kill(self) -> None:
        if self._worker is not None and not self._ended:
            end_process_tree(self._worker)
        if self._process is not None and not self._ended:
            self._process.kill()

    def _readOutput(self) -> None:
        for line in self._lines("out", self._process.readAllStandardOutput()):
            self._noteWorker(line)
            self._on_line(line)

    def _readLog(self) -> None:
        for line in self._lines("err", self._process.readAllStandardError()):
            self._on_log(line)

    def _lines(self, stream: str, arrived) -> list[str]:
        *whole, self._pieces[stream] = (self._pieces[stream] + arrived.data()).split(b"\n")
        return [line.decode("utf-8", errors="replace").rstrip("\r") for line in whole]

    def _noteWorker(self, line: str) -> None:
        """``PythonSlicer`` is a launcher: the process to end is the one that says its number when it is ready."""
        if self._worker is None and '"ready"' in line:
            with contextlib.suppress(ValueError):
                self._worker = json.loads(line).get("pid")

    def _onFinished(self, code, status) -> None:
        self._readOutput()
        self._readLog()
        if self._pieces["err"]:
            self._on_log(self._pieces["err"].decode("utf-8", errors="replace"))
        if not self._ended:
            self._ended = True
            crashed = status == qt.QProcess.CrashExit
            self._on_exit(Exit(signal=code) if crashed and os.name == "posix" else Exit(code=code))

    def _onError(self, error) -> None:
        """Only a process that never started ends without ``finished``."""
        if error == qt.QProcess.FailedToStart and not self._ended:
            self._ended = True
            self._on_log(f"{self.command[0]} could not be started")
            self._on_exit(Exit(code=127))
