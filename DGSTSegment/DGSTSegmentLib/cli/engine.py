"""Asking the engine from a terminal: progress while it works, and Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.protocol import EngineError
from ..training.run_files import REQUEST_FILE
from .progress import ProgressView, progress_view

if TYPE_CHECKING:
    from ..engine.client import EngineClient, Job

_SECONDS_TO_SAVE = 120.0


class Interrupted(Exception):
    """The user pressed Ctrl-C; the message says what was kept.

    Args:
        result: of the request, where it was complete before it could be stopped.
    """

    def __init__(self, message: str, result: dict[str, Any] | None = None):
        super().__init__(message)
        self.result = result


def ask(name: str, fields: dict[str, Any], verbose: bool = False) -> dict[str, Any]:
    """Start an engine for one request and wait for its result; ``verbose`` shows its log.

    Raises:
        InputError, EngineError: as ``engine.client.Job.result``; EngineError too where another program stopped it.
        Interrupted: Ctrl-C, after the engine has saved what it had.
    """
    with progress_view() as view, open_client(view, verbose) as client:
        return ask_client(client, view, name, fields)


def open_client(view: ProgressView, verbose: bool = False) -> EngineClient:
    """An engine; ``verbose`` shows its log."""
    from ..engine.client import EngineClient

    return EngineClient(on_log=view.say if verbose else None)


def ask_client(client: EngineClient, view: ProgressView, name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """As ``ask``, of an engine that goes on living."""
    with _told_of_ctrl_c(name, fields):
        job = client.submit(name, fields, view.on_event)
        try:
            result = job.result()
        except KeyboardInterrupt as interrupt:
            view.say("Stopping, and keeping what was reached; Ctrl-C again ends at once.")
            client.stop()
            result = _stopped_result(job, name, fields)
            if result.get("stopped"):
                raise
            done = f"{fields['out']} is complete" if "out" in fields else "nothing was written"
            raise Interrupted(f"Interrupted; {done}.", result) from interrupt
    if result.get("stopped"):
        raise EngineError(f"The engine was told to end before it was done; {_kept(name, fields)}.", "died")
    return result


def _stopped_result(job: Job, name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """What the engine answers to a request that it was told to stop.

    Raises:
        Interrupted: in place of whatever the request fails with: it was to end, and the reason is its cause.
    """
    try:
        return job.result(_SECONDS_TO_SAVE)
    except Exception as error:
        raise Interrupted(f"Interrupted; {_kept(name, fields)}.") from error


@contextmanager
def _told_of_ctrl_c(name: str, fields: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(f"Interrupted; {_kept(name, fields)}.") from interrupt


def _kept(name: str, fields: dict[str, Any]) -> str:
    """What is left of a request that was stopped."""
    begun = name in ("finetune", "resume") and (Path(fields["out"]) / REQUEST_FILE).exists()
    return f"the run in {fields['out']} can be continued with --resume" if begun else "nothing was written"
