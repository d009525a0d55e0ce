"""This project's half of the training step: one real fine-tuning that waits after its steps until it may go on.

``python our_training.py REQUEST.json``: the fields of a ``FinetuneRequest``. The event that tells of a step is the
turnstile; nothing of the run is left out, not its checkpoints, not its telling of progress.
"""

from __future__ import annotations

from answering import answer_requests  # isort: skip  (takes stdout before others print to it)

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from DGSTSegmentLib.training.finetune import finetune
from DGSTSegmentLib.training.request import FinetuneRequest


class Turnstile:
    """Lets a training loop through so many steps at a time."""

    def __init__(self) -> None:
        self._allowed, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._loss = float("nan")

    def on_event(self, event: dict[str, Any]) -> None:
        """Hold the loop after each training step; what else it tells of passes."""
        if event.get("phase") == "train" and event.get("step"):
            self._loss = event["loss"]
            self._done.release()
            self._allowed.acquire()

    def wait_for_first_step(self) -> None:
        """Until the loop has come to the turnstile."""
        self._done.acquire()

    def steps(self, count: int) -> float:
        """So many more steps; the last loss."""
        for _ in range(count):
            self._allowed.release()
            self._done.acquire()
        return self._loss


def main(request_path: str) -> None:
    request = FinetuneRequest.from_json(json.loads(Path(request_path).read_text(encoding="utf-8")))
    turnstile = Turnstile()

    def answer() -> None:
        turnstile.wait_for_first_step()
        answer_requests({"steps": turnstile.steps})
        os._exit(0)  # nobody asks any more, and the loop would wait for ever

    threading.Thread(target=answer, daemon=True).start()
    finetune(request, on_event=turnstile.on_event)


if __name__ == "__main__":
    main(*sys.argv[1:])
