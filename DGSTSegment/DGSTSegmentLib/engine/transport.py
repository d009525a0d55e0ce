"""How lines reach the engine's process and come back; what they mean is no concern of this module.

A face with an event loop of its own (Qt's ``QProcess``) brings another ``Transport``; the messages' logic
(``conversation``) stays the same. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

_DRAIN_SECONDS = 2.0


@dataclass(frozen=True)
class Exit:
    """How a process ended: its exit code, or the signal that ended it."""

    code: int | None = None
    signal: int | None = None

    @classmethod
    def of(cls, returncode: int) -> Exit:
        """From ``subprocess``'s return code, where a negative one is a signal."""
        return cls(signal=-returncode) if returncode < 0 else cls(code=returncode)

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit code {self.code}"
        with contextlib.suppress(ValueError):
            return f"signal {self.signal}, {signal.Signals(self.signal).name}"
        return f"signal {self.signal}"


class Transport(Protocol):
    """Carries lines to one process and back. Callbacks come from where the transport lives: a thread, an event loop."""

    def start(
        self, on_line: Callable[[str], None], on_log: Callable[[str], None], on_exit: Callable[[Exit], None]
    ) -> None:
        """Start the process. ``on_line`` gets each line of its stdout, ``on_log`` of its stderr, ``on_exit`` its end.

        Raises:
            OSError: it cannot be started.
        """

    def send(self, line: str) -> None:
        """Hand over one line, newline included.

        Raises:
            OSError: the process takes no more.
        """

    def close_input(self) -> None:
        """End the process's stdin, by which it knows that it is no longer needed."""

    def wait(self, seconds: float) -> bool:
        """Whether the process has ended, and ``on_exit`` has been called, within ``seconds``."""

    def kill(self) -> None:
        """End the process and everything it started, at once."""


class SubprocessTransport:
    """The process by ``subprocess``, its output read by threads.

    Args:
        command: what to run; the worker in a fitting Python by default.
    """

    def __init__(self, command: Sequence[str] | None = None):
        self.command = list(command or worker_command())
        self._process: subprocess.Popen | None = None
        self._watcher: threading.Thread | None = None
        self._write_lock = threading.Lock()

    def start(
        self, on_line: Callable[[str], None], on_log: Callable[[str], None], on_exit: Callable[[Exit], None]
    ) -> None:
        self._process = process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=worker_environment(),
            **_process_group(),
        )
        readers = [_reader(process.stdout, on_line), _reader(process.stderr, on_log)]
        self._watcher = threading.Thread(target=self._watch, args=(process, readers, on_exit), daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int:
        """Of the process that was started (where that is a launcher, of the launcher)."""
        return self._process.pid

    def send(self, line: str) -> None:
        with self._write_lock:
            self._process.stdin.write(line.encode("ascii"))
            self._process.stdin.flush()

    def close_input(self) -> None:
        with self._write_lock, contextlib.suppress(OSError):  # a broken pipe is closed all the same
            self._process.stdin.close()

    def wait(self, seconds: float) -> bool:
        self._watcher.join(seconds)
        return not self._watcher.is_alive()

    def kill(self) -> None:
        end_process_tree(self._process.pid)

    def _watch(
        self, process: subprocess.Popen, readers: list[threading.Thread], on_exit: Callable[[Exit], None]
    ) -> None:
        if hasattr(os, "waitid"):  # its number stays taken until what it may have left running is ended
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            end_process_tree(process.pid)
        returncode = process.wait()
        for reader in readers:  # bounded: a pipe stays open as long as anything that inherited it lives
            reader.join(_DRAIN_SECONDS)
        on_exit(Exit.of(returncode))


def worker_command() -> list[str]:
    """The command of the worker. Inside Slicer ``sys.executable`` may be no Python: there it is ``PythonSlicer``."""
    python = (shutil.which("PythonSlicer") if "slicer" in sys.modules else None) or sys.executable
    return [python, "-m", f"{__package__}.worker"]


def worker_environment() -> dict[str, str]:
    """This process's environment, with the folder of this very package first on the worker's path."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def end_process_tree(pid: int) -> None:
    """End the process group that ``pid`` leads, or on Windows its process tree; nothing where it has ended already."""
    if os.name == "nt":
        subprocess.run(
            ["taskkill", "/F", "/T", "/PID", str(pid)],
            capture_output=True,
            check=False,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers so for a group of ended processes
        os.killpg(pid, signal.SIGKILL)


def _process_group() -> dict:
    """A group of its own: Ctrl-C in the terminal does not reach it, and a launcher's children end with it."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _reader(stream: IO[bytes], on_line: Callable[[str], None]) -> threading.Thread:
    def read() -> None:
        for line in stream:
            on_line(line.decode("utf-8", errors="replace").rstrip("\r\n"))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread
