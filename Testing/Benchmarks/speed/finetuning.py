"""A fine-tuning step, data loading and augmentation included, against nnU-Net's trainer: same network, patch, batch.

Both learn from the same phantoms, four of five, the fifth held out, and have the same cores. Ours is a real run that is
held after its steps; theirs is nnU-Net's own trainer with its own dataloader, once with augmentation in processes of
its own and once in the training process: the faster is who we are compared with. nnU-Net trains in fp32 on a CPU, as it
decides itself; its step in this project's precision is timed as well.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from DGSTSegmentLib.atomic import write_text
from DGSTSegmentLib.networks.card import ModelCard
from DGSTSegmentLib.networks.catalogue import STARTER
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.model import FoundationModel
from DGSTSegmentLib.networks.nnunet_own_plans import plans_of
from DGSTSegmentLib.networks.package import write_full
from DGSTSegmentLib.networks.plan import Plan

from . import networks, peers, scans
from .companion import Companion, on_stage
from .goals import Goal
from .nnunet_layout import write_raw
from .part import Context, Row, row
from .timing import Estimate, interleaved, ratios

NAME, TITLE = "finetuning", "A fine-tuning step, data loading and augmentation included"
OURS = "DGSTSegment"
LEAST_SPEED = 1.5
SIDES = Path(__file__).with_name("sides")
_SCANS, _BATCH, _STEPS_A_TURN = 5, 2, 3
_MORE_STEPS_THAN_ASKED_FOR = 1_000_000
_DATASET_ID = 903
_LABELS = {"background": 0, "lymph node": 1}
_NNUNET = "nnU-Net"


def measure(context: Context) -> Iterator[Row]:
    """Rows of every network: steps a second, and their ratio to nnU-Net's."""
    peers.install(peers.NNUNET, context.work, context.say)
    phantoms = scans.phantoms(_SCANS)
    for n, (name, model) in enumerate(models_of(context)):
        context.say(f"training {name}")
        setup = Setup(context, context.work / NAME / f"network-{n}", model, phantoms, _DATASET_ID + n)
        companions: dict[str, Companion] = {}
        with on_stage(companions) as give_turn:
            for player, companion in (*setup.ours(), *setup.nnunet()):
                companions[player] = companion
                give_turn("")
            seconds = _timed(context, companions, give_turn)
        patch = list(model.plan.patch_size_kji)
        yield from rows_of(seconds, context.setting(network=name, patch=patch, batch=_BATCH))


def models_of(context: Context) -> list[tuple[str, FoundationModel]]:
    """The starter and nnU-Net's usual network with fresh weights, or small ones."""
    starter = open_model(STARTER)
    chosen = networks.small(32) if context.quick else networks.plain(64)
    fresh = (chosen.name, _fresh_model(context, chosen, starter.plan))
    return [fresh] if context.quick else [("PlainConvUNet 2.8 M (the starter)", starter), fresh]


class Setup:
    """Everybody who trains one network, and what they learn from.

    Args:
        context: of the run; nnU-Net is installed in its ``work``.
        folder: for data, requests and logs.
        model: the network, its plan and its weights.
        phantoms: to learn from.
        dataset_id: nnU-Net's number for them.
    """

    def __init__(
        self,
        context: Context,
        folder: Path,
        model: FoundationModel,
        phantoms: Sequence[scans.Phantom],
        dataset_id: int,
    ):
        self.context, self.folder, self.model = context, folder, model
        self.phantoms, self.dataset_id = phantoms, dataset_id
        self.environment = peers.threads_environment(context.threads, context.device)

    def ours(self) -> Iterator[tuple[str, Companion]]:
        """Fine-tunings of this project, in the run's precision and in fp32."""
        request = self._request()
        for precision in dict.fromkeys((self.context.precision, "fp32")):
            out, path = new_folder(self.folder / precision), self.folder / f"request-{precision}.json"
            write_text(path, json.dumps({**request, "precision": precision, "out": str(out)}))
            command = [sys.executable, SIDES / "our_training.py", path]
            name = OURS if precision == self.context.precision else f"{OURS}, {precision}"
            yield name, Companion(command, self.environment, self.folder / "logs" / f"ours-{precision}.log")

    def nnunet(self) -> Iterator[tuple[str, Companion]]:
        """nnU-Net's trainer without and with processes that augment, ready to step."""
        dataset, model = f"Dataset{self.dataset_id}_Phantoms", self.model
        pairs = [(phantom.ct, scans.mask_of(phantom)) for phantom in self.phantoms]
        write_raw(self.folder / "raw", dataset, model.labels, pairs)
        plans = self.folder / "plans.json"
        write_text(plans, json.dumps(plans_of(dataset, model.plan, model.architecture, _BATCH)))
        places = {f"nnUNet_{name}": str(self.folder / name) for name in ("raw", "preprocessed", "results")}
        python = peers.python_of(peers.NNUNET, self.context.work)
        side = [python, SIDES / "nnunet_training.py", str(self.dataset_id), plans, self.context.device]
        for workers in (0, self.context.threads):
            log = self.folder / "logs" / f"nnunet-{workers}.log"
            companion = Companion([*side, str(workers)], {**self.environment, **places}, log)
            yield nnunet_name(workers), companion
            companion.ask("steps", count=1)  # so that the second one finds the data preprocessed

    def _request(self) -> dict[str, Any]:
        written = scans.written(self.phantoms, self.folder / "scans")
        return {
            "model": str(self.model.location),
            "cases": [{"image": str(ct), "annotation": str(nodes), "completeness": "all"} for ct, nodes in written],
            "steps": _MORE_STEPS_THAN_ASKED_FOR,
            "batch_size": _BATCH,
            "holdout": 1,
            "device": self.context.device,
            "threads": self.context.threads,
        }


def nnunet_name(workers: int) -> str:
    """How rows call nnU-Net with so many processes that augment."""
    return f"{_NNUNET}, {workers or 'no'} augmenting process{'' if workers == 1 else 'es'}"


def _timed(
    context: Context, companions: Mapping[str, Companion], give_turn: Callable[[str], None]
) -> dict[str, list[float]]:
    """Seconds of the turns of everybody; nnU-Net has further ones in the run's precision."""
    players: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in companions}
    if context.device == "cpu" and context.precision != "fp32":
        theirs = [name for name in companions if name.startswith(_NNUNET)]
        half = {"precision": context.precision}
        players |= {f"{name}, {context.precision} autocast": (name, half) for name in theirs}

    def turn(name: str) -> Callable[[], Any]:
        player, fields = players[name]
        return lambda: companions[player].ask("steps", count=_STEPS_A_TURN, **fields)

    turns = {name: turn(name) for name in players}
    return interleaved(turns, context.rounds, before=lambda name: give_turn(players[name][0]))


def rows_of(seconds: Mapping[str, Sequence[float]], setting: Mapping[str, Any]) -> Iterator[Row]:
    """Steps a second of everybody, and how many times as many are ours."""
    for name, values in seconds.items():
        yield row(NAME, name, "steps/s", [_STEPS_A_TURN / value for value in values], setting)
    for name, values in seconds.items():
        if name != OURS:
            note = "How many times as many steps a second."
            yield row(NAME, OURS, "ratio", ratios(values, seconds[OURS]), setting, name, note)


def goals(rows: Sequence[Row]) -> list[Goal]:
    """1.5 times nnU-Net's steps a second on a CPU, for every network."""
    ours = [one for one in rows if one["quantity"] == "ratio" and one["setting"]["device"] == "cpu"]
    names = list(dict.fromkeys(one["setting"]["network"] for one in ours))
    return [_goal(name, _against_nnunet(ours, name)) for name in names] or [_goal("any network", [])]


def _goal(network: str, found: Sequence[Estimate]) -> Goal:
    least = min(found, key=lambda estimate: estimate.median, default=None)
    title = f"Fine-tuning steps a second against nnU-Net's trainer, {network}"
    reason = (
        "In the same number format the passes are equally fast, and the lead is what finetune's own DGST leaves out: "
        "weight gradients of rows outside the encoder's first two stages. bf16 helps on processors that have it."
    )
    return Goal(title, LEAST_SPEED, "x", False, least, reason)


def _against_nnunet(rows: Sequence[Row], network: str) -> list[Estimate]:
    """Our ratios to nnU-Net in its own precision, with and without processes that augment."""
    of_network = [one for one in rows if one["setting"]["network"] == network]
    own = [one for one in of_network if one["against"].startswith(_NNUNET) and "autocast" not in one["against"]]
    return [Estimate.of(one["values"]) for one in own]


def new_folder(path: Path) -> Path:
    """A path where nothing lies: a run begins in an empty folder."""
    n = 0
    while path.with_name(f"{path.name}-{n}").exists():
        n += 1
    return path.with_name(f"{path.name}-{n}")


def _fresh_model(context: Context, subject: networks.Subject, starter_plan: Plan) -> FoundationModel:
    """A package of the network with fresh weights, at the starter's spacing and HU range."""
    plan = Plan.from_json({**starter_plan.to_json(), "patch_size_kji": [subject.patch] * 3})
    folder = context.work / NAME / f"fresh-{subject.patch}"
    card = ModelCard("fresh", "An untrained network, for timing.", _LABELS, demonstration=True)
    write_full(folder, subject.build(context.torch_device).cpu(), card, plan, subject.architecture)
    return open_model(folder)
