"""How time grows: prediction with the volume, training with patch and network, preparation with the number of cases."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from DGSTSegmentLib.imaging.phantoms import make_phantom
from DGSTSegmentLib.imaging.phantoms.domains import SOURCE
from DGSTSegmentLib.imaging.volume import Volume
from DGSTSegmentLib.networks.architectures import plain_unet
from DGSTSegmentLib.networks.catalogue import STARTER
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.training.case_files import CaseFiles
from DGSTSegmentLib.training.finetune import finetune
from DGSTSegmentLib.training.predict import Predictor
from DGSTSegmentLib.training.request import FinetuneRequest

from .goals import Goal
from .networks import Subject, plain, small
from .part import Context, Row, row
from .scans import phantoms, written
from .timing import interleaved
from .training_step import DGSTStep, TorchStep, Training

NAME = "scaling"
TITLE = "How time grows"
AXES = {
    "volume": "voxels of the CT (millions)",
    "patch": "voxels of the patch along each axis",
    "network": "weights of the network (millions)",
    "cases": "annotated cases",
}
"""What a row's ``over`` may be, and the unit of its ``size``."""
MOST_ROUNDS = 3
_SPACING_MM = (2.5, 0.8)
_SHAPES = ((48, 96), (64, 160), (96, 256), (100, 384))
"""Slices, and pixels of a side."""

Turn = Callable[[], Any]


def measure(context: Context) -> Iterator[Row]:
    """Seconds over each of ``AXES``; the sizes take turns as contestants do elsewhere."""
    for over in (_over_volume, _over_patch, _over_network, _over_cases):
        yield from over(context)


def goals(rows: Sequence[Row]) -> list[Goal]:
    """How things grow is told, not promised."""
    return []


def _rows(
    context: Context, over: str, turns: Mapping[tuple[str, float], Turn], note: str, **timing: Any
) -> Iterator[Row]:
    """Rows of what ``turns`` time, by subject and size."""
    names = {f"{subject} at {size:g}": (subject, size) for subject, size in turns}
    contestants = dict(zip(names, turns.values(), strict=True))
    rounds = min(context.rounds, MOST_ROUNDS)
    seconds = interleaved(contestants, rounds, settle=context.synchronize, **timing)
    for name, (subject, size) in names.items():
        yield row(NAME, subject, "seconds", seconds[name], context.setting(over=over, size=size), note=note)


def _over_volume(context: Context) -> Iterator[Row]:
    context.say("prediction over the size of the volume")
    model = open_model(STARTER)
    predictor = Predictor(model.networks(), model.plan, context.device, context.precision)
    scans = [phantom_of(*shape) for shape in (_SHAPES[:2] if context.quick else _SHAPES)]
    turns = {("prediction", scan.array.size / 1e6): partial(predictor.segment, scan) for scan in scans}
    note = f"Starter model ({_millions(model.networks()[0])} M weights), from array to array, no files."
    yield from _rows(context, "volume", turns, note)


def phantom_of(slices: int, pixels: int) -> Volume:
    """A phantom CT of so many voxels of 2.5 x 0.8 x 0.8 mm."""
    spacing = {"slice_mm": (_SPACING_MM[0],) * 2, "pixel_mm": (_SPACING_MM[1],) * 2}
    extent = (slices * _SPACING_MM[0], pixels * _SPACING_MM[1], pixels * _SPACING_MM[1])
    return make_phantom(replace(SOURCE, field_of_view_mm=extent, **spacing), 0).ct


def _over_patch(context: Context) -> Iterator[Row]:
    context.say("a training step over the size of the patch")
    subjects = [small(32), small(48)] if context.quick else [plain(64), plain(96), plain(128)]
    turns = {("training step", subject.patch): _whole_step(context, subject) for subject in subjects}
    yield from _rows(context, "patch", turns, f"{subjects[0].name}, batch {subjects[0].batch_size}, forward to update.")


def _whole_step(context: Context, subject: Subject) -> Turn:
    training = Training(subject, context.torch_device, context.precision)
    step = DGSTStep(training.network, gamma=2)

    def turn() -> None:
        training.forward_backward()
        step()
        training.clear_gradients()

    return turn


def _over_network(context: Context) -> Iterator[Row]:
    context.say("steps over the size of the network")
    widths, patch = ((4, 8), 64) if context.quick else ((8, 16, 32, 48), 64)
    turns: dict[tuple[str, float], Turn] = {}
    prepare: dict[Turn, Turn] = {}
    for width in widths:
        training = Training(six_stages(width, patch), context.torch_device, context.precision)
        size = _millions(training.network)
        dgst, adamw = DGSTStep(training.network, gamma=2), TorchStep(training.parameters, "AdamW fused")
        turns["forward + backward", size] = training.forward_backward
        turns["DGST gamma 2", size], turns["AdamW fused", size] = dgst, adamw
        prepare |= {training.forward_backward: training.clear_gradients} | _with_gradients(training, dgst, adamw)
    before = {f"{subject} at {size:g}": prepare[turn] for (subject, size), turn in turns.items()}
    note = f"PlainConvUNet of six stages at several widths, patch {patch}, batch 2; steps include clipping."
    yield from _rows(context, "network", turns, note, warmup=2, before=lambda name: before[name]())


def _with_gradients(training: Training, *steps: DGSTStep | TorchStep) -> dict[Turn, Turn]:
    """What puts the same gradients in place before each of the steps."""
    training.forward_backward()
    saved = training.gradients()

    def put(step: DGSTStep | TorchStep) -> None:
        training.clear_gradients()
        training.put_gradients(step.moved, saved)

    return {step: partial(put, step) for step in steps}


def six_stages(width: int, patch: int) -> Subject:
    """nnU-Net's usual network with ``width`` channels in its first stage, where 32 are usual."""
    features = [width * factor for factor in (1, 2, 4, 8, 10, 10)]
    return Subject(f"PlainConvUNet width {width}", plain_unet(features, convolutions=2), patch)


def _over_cases(context: Context) -> Iterator[Row]:
    context.say("a fine-tuning of one step over the number of cases")
    counts = (1, 2) if context.quick else (1, 2, 5, 10)
    folder = context.work / NAME
    paths = written(phantoms(max(counts)), folder / "scans")
    turns = {}
    for completeness in ("all", "marked"):
        cases = [CaseFiles(str(image), str(nodes), completeness) for image, nodes in paths]
        for count in counts:
            turns[f"one step, annotation {completeness}", count] = partial(_one_step, context, cases[:count])
    note = "Starter model, batch 2, nothing held out; from the call to the finished model, the process already running."
    yield from _rows(context, "cases", turns, note, before=lambda name: shutil.rmtree(folder / "run", True))


def _one_step(context: Context, cases: list[CaseFiles]) -> None:
    finetune(
        FinetuneRequest(
            model=STARTER,
            cases=cases,
            out=str(context.work / NAME / "run"),
            steps=1,
            holdout=0,
            device=context.device,
            threads=context.threads,
            precision=context.precision,
        )
    )


def _millions(network: Any) -> float:
    return round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2)
