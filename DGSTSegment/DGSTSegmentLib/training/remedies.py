"""What a training that cannot go on as it was begun may try instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .memory import OutOfMemory, is_out_of_memory
from .run import Run
from .trainer import NothingMoved


@dataclass(frozen=True)
class Remedy:
    """Fixed settings to begin anew with, and a sentence for the user."""

    settings: dict[str, Any]
    note: str


def remedy_for(error: Exception, run: Run) -> Remedy:
    """What may help a run whose training failed.

    Raises:
        OutOfMemory: memory ran out, and it needs other circumstances or a new run.
        Exception: the error itself, which nothing helps against.
    """
    if is_out_of_memory(error):
        return _fewer_patches(run)
    if isinstance(error, NothingMoved) and run.fixed.precision == "fp16":
        note = "The gradients never were finite in fp16, so the training began anew in fp32, which takes longer."
        return Remedy({"precision": "fp32"}, note)
    raise error


def _fewer_patches(run: Run) -> Remedy:
    """One patch a step. Once there is a checkpoint the batches stay, since what was learned is by them.

    Raises:
        OutOfMemory: it was one already, or there is a checkpoint.
    """
    size, device = run.fixed.batch_size, "GPU" if run.fixed.device == "cuda" else "CPU"
    if size > 1 and not run.has_checkpoint:
        note = f"Memory ran out with {size} patches a step on the {device}, so the training began anew with one."
        return Remedy({"batch_size": 1}, note)
    others = ["with batch size 1 (--batch-size 1)"] if size > 1 else []
    others += ["on the device cpu"] if device == "GPU" else []
    new_run = f", or begin a new run {' or '.join(others)}" if others else ", or choose a model with smaller patches"
    raise OutOfMemory(
        f"Memory ran out while training with batch size {size} on the {device}; close other programs and go on with "
        f"the run{new_run}."
    )
