"""What the engine does for each request. torch and monai are imported by the first request that needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..imaging.volume import Volume
from ..training.events import Stopped
from ..training.request import MODEL_PARTS
from .imports import large_imports
from .models import OpenedModel
from .protocol import Request
from .session import read_array, write_array

if TYPE_CHECKING:
    from ..networks.model import FoundationModel
    from ..training.predict import Prediction
    from ..training.request import PredictRequest

Fields = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """What a request may use.

    Args:
        on_event: takes ``progress`` and ``note`` events.
        should_stop: whether the request is to end early.
        model: the model kept opened.
    """

    on_event: Callable[[Fields], None]
    should_stop: Callable[[], bool]
    model: OpenedModel

    def phase(self, name: str) -> None:
        self.on_event({"event": "progress", "phase": name})


def describe(fields: Fields, context: Context) -> Fields:
    """The model's card, its title, whose weights they are, how it wants to see scans, notes on it, what this machine
    has to run it on, and why no GPU is among that."""
    with large_imports():
        from ..training.devices import why_no_gpu
        from .machine import devices

    context.phase("opening the model")
    model = context.model.get(fields["model"], *(fields.get(part) for part in MODEL_PARTS))
    return {
        "card": model.card.to_json(),
        "title": model.card.title,
        "location": str(model.location),
        "origin": model.origin,
        "orientation": model.plan.orientation,
        "notes": list(model.notes),
        "devices": devices(),
        "why_no_gpu": why_no_gpu(),
    }


def export(fields: Fields, context: Context) -> Fields:
    """Write the model into the folder ``out`` as nnU-Net leaves one."""
    with large_imports():
        from ..networks.nnunet_export import export_nnunet

    context.phase("opening the model")
    model = context.model.get(fields["model"], *(fields.get(part) for part in MODEL_PARTS))
    exported = export_nnunet(model, fields["out"])
    return {
        "out": str(exported.folder),
        "model": model.card.title,
        "origin": model.origin,
        "fold": exported.fold,
        "command": exported.command,
        "notes": [*model.notes, *exported.notes],
    }


def predict(fields: Fields, context: Context) -> Fields:
    """Segment one CT, from a file or from an array of the session, and leave the answer where it is wanted."""
    context.phase("opening the model")
    with large_imports():
        from ..imaging.files import check_writable, checked_ct, notes_on_ct, read_ct
        from ..training import predict as prediction
        from ..training.request import PredictRequest

    reference = fields["image"] if isinstance(fields["image"], Mapping) else None
    request = PredictRequest.from_json({**fields, "image": reference["array"] if reference else fields["image"]})
    request.validate()
    volume = checked_ct(read_array(reference), "The scan") if reference else read_ct(request.image)
    for path in (request.out, request.probability, request.findings):
        if path is not None and Path(path).suffix != ".npy":
            check_writable(volume.geometry, path)
    model = context.model.get(request.model, *(getattr(request, part) for part in MODEL_PARTS))
    notes = [*notes_on_ct(volume), *model.notes, *([] if reference else _note_on_orientation(request, model, volume))]
    for note in notes:
        context.on_event({"event": "note", "message": note})
    result = prediction.predict(
        model,
        volume,
        device=request.device,
        probability=request.probability is not None or request.findings is not None,
        precision=request.precision,
        on_event=context.on_event,
        should_stop=context.should_stop,
    )
    names = {value: name for name, value in model.labels.items() if value}
    return {
        "stopped": False,
        "model": model.card.title,
        "origin": model.origin,
        "orientation": model.plan.orientation,
        "device": result.device,
        "precision": result.precision,
        "out": _leave(result.segmentation, request.out, names),
        "probability": None if request.probability is None else _leave(result.probability, request.probability),
        "findings": None if request.findings is None else _findings(result, volume, request.findings),
        "notes": [*notes, *result.notes],
    }


def finetune(fields: Fields, context: Context) -> Fields:
    """Adapt a model; stopped early, the run keeps its checkpoint and can be resumed."""
    context.phase("opening the model")
    with large_imports():
        from ..training import finetune as finetuning
        from ..training.request import FinetuneRequest

    request = FinetuneRequest.from_json(fields)
    return finetuning.finetune(request, on_event=context.on_event, should_stop=context.should_stop).to_json()


def resume(fields: Fields, context: Context) -> Fields:
    """Go on with the run in the folder ``out``, by the request that it was begun with; ``model`` and ``base`` say where
    these are now, if they were moved."""
    context.phase("opening the model")
    with large_imports():
        from ..training import finetune as finetuning

    return finetuning.resume(
        fields["out"],
        model=fields.get("model"),
        base=fields.get("base"),
        on_event=context.on_event,
        should_stop=context.should_stop,
    ).to_json()


def answer(request: Request, context: Context) -> Fields:
    """The result of a request; ``{"stopped": True}`` where it was stopped before it had one.

    Raises:
        InputError: the input cannot be used. Everything else that is raised is a fault of the machine or the program.
    """
    missing = [name for name in _NEEDED[request.name] if request.fields.get(name) is None]
    if missing:
        raise InputError(f"A request to {request.name} needs {', '.join(missing)}; nothing was done.")
    try:
        return HANDLERS[request.name](dict(request.fields), context)
    except Stopped:
        return {"stopped": True}


def _note_on_orientation(request: PredictRequest, model: FoundationModel, volume: Volume) -> list[str]:
    """For who can choose the orientation and has not."""
    from ..networks.nnunet import note_on_orientation

    note = None if request.orientation else note_on_orientation(model, volume.geometry)
    return [note] if note else []


def _findings(result: Prediction, ct: Volume, path: str) -> Fields:
    """The findings' measurements, and where the labelmap of their numbers was left."""
    from ..imaging.findings import find

    # A network's values are kinds of structures, never single nodes.
    found = find(result.segmentation, ct, result.probability, instances="components")
    numbers = found.instances.array.astype(np.min_scalar_type(len(found.items)))
    return {
        "items": [item.to_json() for item in found.items],
        "instances": _leave(found.instances.with_array(numbers), path),
    }


def _leave(volume: Volume, path: str, names: Mapping[int, str] | None = None) -> Fields | str:
    from ..imaging.files import write_volume

    if Path(path).suffix == ".npy":
        return write_array(volume, path)
    write_volume(volume, path, names)
    return str(path)


HANDLERS: dict[str, Callable[[Fields, Context], Fields]] = {
    "describe": describe,
    "export": export,
    "predict": predict,
    "finetune": finetune,
    "resume": resume,
}

_NEEDED = {
    "describe": ("model",),
    "export": ("model", "out"),
    "predict": ("model", "image", "out"),
    "finetune": ("model", "cases", "out"),
    "resume": ("out",),
}
