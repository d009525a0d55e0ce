"""Asking the engine from a terminal: progress while it works, and Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..training.request import REQUEST_FILE
from .progress import ProgressView, progress_view

if TYPE_CHECKING:
    from ..engine.client import EngineClient

_SECONDS_TO_SAVE = 120.0


class Interrupted(Exception):
    """The user pressed Ctrl-C; the message says what was kept."""


def ask(name: str, fields: dict[str, Any], verbose: bool = False) -> dict[str, Any]:
    """Start an engine for one request and wait for its result; ``verbose`` shows its log.

    Raises:
        InputError, EngineError: as ``engine.client.Job.result``.
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
        except KeyboardInterrupt:
            view.say("Stopping, and keeping what was reached; Ctrl-C again ends at once.")
            client.stop()
            job.result(_SECONDS_TO_SAVE)
            raise
    return result


@contextmanager
def _told_of_ctrl_c(name: str, fields: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, TimeoutError) as interrupt:
        begun = name == "finetune" and (Path(fields["out"]) / REQUEST_FILE).exists()
        kept = f"the run in {fields['out']} can be continued with --resume" if begun else "nothing was written"
        raise Interrupted(f"Interrupted; {kept}.") from interrupt
