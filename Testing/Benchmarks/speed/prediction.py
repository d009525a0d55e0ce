"""Prediction of one CT from file to file, against nnU-Net's predictor and MONAI's sliding window, same network.

The network is the starter: small, but trained, so that masks can be compared. All open the same weights, nnU-Net and
this project the same results folder. No mirroring; windows of the plan's patch, half overlapping, Gaussian weights.
nnU-Net computes in fp32 on a CPU, as it decides itself, and in fp16 on a GPU; MONAI and this project in the run's
precision. Measured twice: the call in a process that has its libraries and network in memory already, and the whole
command in a fresh process, where memory is looked at too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from DGSTSegmentLib.atomic import write_text
from DGSTSegmentLib.imaging.files import read_volume
from DGSTSegmentLib.networks.catalogue import STARTER
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.model import FoundationModel
from DGSTSegmentLib.training.overlap import dice

from . import peers, scans
from .companion import Companion, on_stage
from .goals import Goal
from .nnunet_layout import write_results
from .part import Context, Row, find, row
from .timing import Estimate, interleaved, ratios
from .usage import run_whole

NAME, TITLE = "prediction", "Prediction of one CT, file to file"
OURS, OURS_FP32, NNUNET, NNUNET_COMMAND, MONAI = (
    "DGSTSegment",
    "DGSTSegment, fp32",
    "nnU-Net",
    "nnU-Net, its own command",
    "MONAI",
)
CALL, COMMAND = "call in a warm process", "whole command"
LEAST_DICE, MOST_TIME = 0.99, 0.5
_MOST_ROUNDS = 3
"""A round of all contestants takes minutes."""

SIDES = Path(__file__).with_name("sides")


@dataclass(frozen=True)
class Scan:
    """A CT to predict.

    Args:
        name: for the report.
        path: of the file, ``.nii.gz``.
    """

    name: str
    path: Path


class Contestants:
    """Who predicts, and how each is started.

    Args:
        context: of the run; the peers are installed into its ``work`` where they are missing.
        model: what all predict with.
    """

    def __init__(self, context: Context, model: FoundationModel):
        self.context, self.folder = context, context.work / NAME
        self.results = write_results(self.folder / "results", model)
        self.monai_model = write_for_monai(self.folder / "monai-model", model)
        self.environment = peers.threads_environment(context.threads, context.device)
        self.nnunet = peers.install(peers.NNUNET, context.work, context.say)
        self.monai = peers.install(peers.MONAI, context.work, context.say)

    def callers(self) -> dict[str, list[str | Path]]:
        """Commands of the companions, by name."""
        device, precision = self.context.device, self.context.precision
        ours = [sys.executable, SIDES / "our_prediction.py", self.results, device]
        callers = {
            OURS: [*ours, precision],
            NNUNET: [self.nnunet, SIDES / "nnunet_prediction.py", self.results, device],
            MONAI: [self.monai, SIDES / "monai_prediction.py", self.monai_model, device, precision],
        }
        return callers if precision == "fp32" else {**callers, OURS_FP32: [*ours, "fp32"]}

    def commands(self, scan: Scan) -> dict[str, tuple[list[str | Path], Path]]:
        """Whole commands and the file that each leaves, by name."""
        images = self._folder_for_nnunet(scan)
        outs = {name: self.out(scan, f"command-{n}") for n, name in enumerate((OURS, NNUNET, MONAI))}
        device, precision = self.context.device, self.context.precision
        files = ["--image", scan.path, "--out", outs[OURS], "--device", device, "--precision", precision]
        nnunet = peers.program_of(self.nnunet, "nnUNetv2_predict_from_modelfolder")
        folder = self.folder / "nnunet-command"
        options = ["-m", self.results, "-f", "0", "-npp", "1", "-nps", "1", "--disable_tta", "-device", device]
        callers = self.callers()
        return {
            OURS: (
                [sys.executable, "-m", "DGSTSegmentLib.cli.main", "predict", "--model", self.results, *files],
                outs[OURS],
            ),
            NNUNET: ([*callers[NNUNET], scan.path, outs[NNUNET]], outs[NNUNET]),
            NNUNET_COMMAND: ([nnunet, "-i", images, "-o", folder, *options], folder / "scan.nii.gz"),
            MONAI: ([*callers[MONAI], scan.path, outs[MONAI]], outs[MONAI]),
        }

    def out(self, scan: Scan, name: str) -> Path:
        """A file for a mask."""
        folder = self.folder / "masks" / scan.path.name.removesuffix(".nii.gz")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.nii.gz"

    def _folder_for_nnunet(self, scan: Scan) -> Path:
        folder = self.folder / "nnunet-input"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "scan_0000.nii.gz").write_bytes(scan.path.read_bytes())
        return folder


def measure(context: Context) -> Iterator[Row]:
    """Rows of every scan: seconds, ratios, memory, Dice."""
    contestants = Contestants(context, open_model(STARTER))
    for scan in scans_of(context):
        context.say(f"predicting {scan.name}")
        yield from measure_calls(context, contestants, scan)
        yield from measure_commands(context, contestants, scan)


def scans_of(context: Context) -> list[Scan]:
    """A phantom as wide as a patient and, where there is one, a real CT; a small phantom for a quick look."""
    folder = context.work / "scans"
    if context.quick:
        return [Scan("small phantom", scans.written(scans.phantoms(1), folder / "small")[0][0])]
    chosen = [Scan("phantom 512 x 512 x 40", scans.body_scan(folder))]
    real = scans.real_scan()
    if real is None:
        context.say("no real CT: it is looked for beside the repository, or where DGST_DATA says; skipped")
        return chosen
    return [*chosen, Scan("real CT 440 x 340 x 41", real)]


def measure_calls(context: Context, contestants: Contestants, scan: Scan) -> Iterator[Row]:
    """The call in a warm process, and how far the masks agree."""
    environment, logs = contestants.environment, contestants.folder / "logs"
    callers, companions = contestants.callers(), {}
    outs = {name: contestants.out(scan, f"call-{n}") for n, name in enumerate(callers)}
    with on_stage(companions) as give_turn:
        for n, (name, command) in enumerate(callers.items()):
            companions[name] = Companion(command, environment, logs / f"call-{n}.log")
        turns = {name: _call(companions[name], scan.path, outs[name]) for name in companions}
        seconds = interleaved(turns, min(context.rounds, _MOST_ROUNDS), before=give_turn)
    setting = _setting(context, scan, CALL)
    yield from time_rows(seconds, setting)
    yield from agreement_rows(outs, setting)


def measure_commands(context: Context, contestants: Contestants, scan: Scan) -> Iterator[Row]:
    """The whole command and its peak memory."""
    commands = contestants.commands(scan)
    peaks: dict[str, list[float]] = {name: [] for name in commands}

    def turn(name: str) -> Callable[[], None]:
        log = contestants.folder / "logs" / f"command-{list(commands).index(name)}.log"
        return lambda: peaks[name].append(run_whole(commands[name][0], contestants.environment, log).peak_mb)

    seconds = interleaved({name: turn(name) for name in commands}, min(context.rounds, _MOST_ROUNDS), warmup=0)
    setting = _setting(context, scan, COMMAND)
    yield from time_rows(seconds, setting)
    yield from _memory_rows(peaks, setting)
    yield from agreement_rows({name: out for name, (_, out) in commands.items()}, setting)


def agreement_rows(masks: Mapping[str, Path], setting: Mapping[str, Any]) -> Iterator[Row]:
    """Dice of our mask with everybody else's."""
    ours = read_volume(masks[OURS])
    for name, path in masks.items():
        if name == OURS:
            continue
        theirs = read_volume(path)
        if not ours.geometry.same_grid(theirs.geometry, 1e-2):
            raise ValueError(f"{name} left a mask on another grid than the scan's.")
        agreement = float(dice(ours.array > 0, theirs.array > 0))
        counts = f"{np.count_nonzero(ours.array)} voxels, {np.count_nonzero(theirs.array)} of {name}"
        yield row(NAME, OURS, "Dice", [agreement], setting, name, counts)


def write_for_monai(folder: Path, model: FoundationModel) -> Path:
    """The model as ``sides/monai_prediction.py`` opens it; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    network = {"arguments": dict(model.architecture["arguments"]), "plan": model.plan.to_json()}
    write_text(folder / "network.json", json.dumps(network))
    torch.save(model.network().state_dict(), folder / "weights.pt")
    return folder


def goals(rows: Sequence[Row]) -> list[Goal]:
    """Half of nnU-Net's time, no more memory, and the same mask, for every scan; on a phantom where nothing ran."""
    names = list(dict.fromkeys(one["setting"]["scan"] for one in rows)) or ["phantom 512 x 512 x 40"]
    return [goal for name in names for goal in _goals_of(rows, name)]


def _goals_of(rows: Sequence[Row], scan: str) -> list[Goal]:
    made = []
    for way in (CALL, COMMAND):
        found = _nnunet_ratio(rows, "seconds", scan, way)
        made.append(Goal(f"Time against nnU-Net, {way}, {scan}", MOST_TIME, "x", True, found, _OF_TIME))
    memory = _nnunet_ratio(rows, "MB", scan, COMMAND)
    made.append(Goal(f"Peak memory against nnU-Net, {scan}", 1.0, "x", True, memory, _OF_MEMORY))
    for peer in (NNUNET, MONAI):
        agreement = find(rows, OURS, "Dice", peer, scan=scan, way=CALL)
        measured = None if agreement is None else Estimate.of(agreement["values"])
        reason = {NNUNET: _OF_DICE, MONAI: _OTHER_WINDOWS}[peer]
        made.append(Goal(f"Dice with {peer}'s mask, {scan}", LEAST_DICE, "", False, measured, reason))
    return made


def _nnunet_ratio(rows: Sequence[Row], of: str, scan: str, way: str) -> Estimate | None:
    """Our ratio to nnU-Net's faster way (its smaller one, of memory)."""
    found = [find(rows, OURS, "ratio", peer, scan=scan, way=way, of=of) for peer in (NNUNET, NNUNET_COMMAND)]
    estimates = [Estimate.of(one["values"]) for one in found if one is not None]
    return max(estimates, key=lambda estimate: estimate.median, default=None)


def _setting(context: Context, scan: Scan, way: str) -> dict[str, Any]:
    network = "PlainConvUNet 2.8 M (the starter)"
    return context.setting(network=network, patch=[48, 64, 64], scan=scan.name, way=way)


def time_rows(seconds: Mapping[str, Sequence[float]], setting: Mapping[str, Any]) -> Iterator[Row]:
    for name, values in seconds.items():
        yield row(NAME, name, "seconds", values, setting, note=_NOTES.get(name, ""))
    yield from _ratio_rows(seconds, "seconds", setting)


def _memory_rows(peaks: Mapping[str, Sequence[float]], setting: Mapping[str, Any]) -> Iterator[Row]:
    for name, values in peaks.items():
        yield row(NAME, name, "MB", values, setting, note="Resident memory of the command and all that it starts.")
    yield from _ratio_rows(peaks, "MB", setting)


def _ratio_rows(values: Mapping[str, Sequence[float]], of: str, setting: Mapping[str, Any]) -> Iterator[Row]:
    for name in values:
        if name != OURS:
            yield row(NAME, OURS, "ratio", ratios(values[OURS], values[name]), {**setting, "of": of}, name)
        if OURS_FP32 in values and name in (NNUNET, NNUNET_COMMAND):
            note = "In nnU-Net's own number format."
            yield row(
                NAME, OURS_FP32, "ratio", ratios(values[OURS_FP32], values[name]), {**setting, "of": of}, name, note
            )


def _call(companion: Companion, image: Path, out: Path) -> Callable[[], Any]:
    return lambda: companion.ask("predict", image=str(image.absolute()), out=str(out.absolute()))


_OF_TIME = (
    "Most of the lead is bf16, which nnU-Net does not use on a CPU; in the same number format the same windows take as "
    "long, and only reading, resampling, writing and windows of air are cheaper."
)
_OF_MEMORY = "Both hold the scan, its scores and one window's features; the smaller the scan, the more libraries weigh."
_OF_DICE = "Another number format rounds scores near one half differently."
_OTHER_WINDOWS = (
    "MONAI lays its windows a fixed step apart and moves only the last one inward; nnU-Net and this project spread "
    "them evenly. Instance norm sees its window, so the scores differ even from the same input: on the phantom of "
    "512 x 512 x 40 that alone brings Dice to .846 (fp32). The rest is resampling: where slices are more than three "
    "times as thick as pixels, nnU-Net and this project take the nearest slice, MONAI a spline."
)
_NOTES = {
    NNUNET: "Its sequential prediction, which starts no further processes and is the faster one for a single scan.",
    NNUNET_COMMAND: "One process each for preprocessing and export, as its command starts them.",
    MONAI: "Dictionary transforms and SlidingWindowInferer, as in its tutorials, in the run's precision.",
}
