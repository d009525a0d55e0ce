"""The worker with a predict that does what the CT's file says, so that a batch of all fates takes moments."""

import errno
import os
import time
from pathlib import Path

from DGSTSegmentLib.engine import handlers, worker
from DGSTSegmentLib.errors import InputError

FULL = OSError(errno.ENOSPC, "No space left on device")


def origin_of(model):
    return {"fingerprint": f"{Path(model).name}-weights", "folds": ["0"], "checkpoint": "final", "base": None}


def describe(fields, context):
    context.phase("opening the model")
    return {
        "title": "tiny",
        "origin": origin_of(fields["model"]),
        "orientation": fields.get("orientation") or "lps",
        "devices": [{"name": "cpu"}],
        "why_no_gpu": "none is built in",
    }


def predict(fields, context):
    fate = Path(fields["image"]).read_text()
    context.on_event({"event": "progress", "phase": "predict", "step": 1, "steps": 1})
    if fate == "memory":
        raise MemoryError
    if fate == "dies":
        os._exit(3)
    if fate == "disk full":
        raise FULL
    if fate == "cannot be written":
        raise InputError(f"{fields['out']} could not be written (it is a test); choose another folder.")
    if fate == "damaged":
        raise InputError(f"{fields['image']} could not be read; it is damaged.")
    while fate in ("waits", "fails when told to stop", "finishes") and not context.should_stop():
        time.sleep(0.02)
    if fate == "waits":
        return {"stopped": True}
    if fate == "fails when told to stop":
        raise InputError("It was at its end when it was told to.")
    for result in ("out", "probability"):
        if fields.get(result):
            Path(fields[result]).write_text(f"{result} of {fields['image']}")
    if fate.startswith("makes "):
        Path(fate.removeprefix("makes ")).write_text("by another program")
    return {
        "stopped": False,
        "model": "tiny",
        "origin": origin_of(fields["model"]),
        "orientation": fields.get("orientation") or "lps",
        "out": fields["out"],
        "probability": fields.get("probability"),
        "notes": [],
    }


handlers.HANDLERS.update(describe=describe, predict=predict)

if __name__ == "__main__":
    worker.main()
