"""Pretraining the starter: a small demonstration model that has only ever seen source phantoms.

``python -m DGSTSegmentLib.training.pretrain --out FOLDER`` makes it anew (about half an hour on 2 cores).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ..atomic import atomic_path
from ..imaging.phantoms import DOMAINS, make_phantom
from ..networks.architectures import build, outputs, plain_unet
from ..networks.card import ModelCard
from ..networks.foundation import open_model
from ..networks.package import write_full
from ..networks.plan import Plan
from ..networks.preprocessing import prepare, prepare_labels
from .batches import Batches
from .case import Case
from .devices import autocast, choose_device, choose_precision
from .knowledge import knowledge_of
from .loss import FewShotLoss
from .overlap import dice
from .patches import PreparedCase
from .predict import Predictor
from .schedule import poly

PLAN = Plan(spacing_kji=(2.0, 1.5, 1.5), patch_size_kji=(48, 64, 64), lower=-160.0, upper=240.0, mean=40.0, std=80.0)
ARCHITECTURE = plain_unet([16, 32, 64, 96, 128], convolutions=2)
FIRST_TRAINING_SEED = 10_000
SEED = 1
STEPS = 2000
TRAINING_PHANTOMS = 48
LEARNING_RATE = 1.5e-3
SAVE_EVERY = 100
CHECKPOINT = "pretraining.safetensors"
FIRST_UNSEEN_SEED, UNSEEN_PHANTOMS = 20_000, 20


def training_cases(count: int = TRAINING_PHANTOMS) -> list[PreparedCase]:
    """Source phantoms with every node marked, in the starter's grid."""
    cases = []
    for seed in range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + count):
        phantom = make_phantom("source", seed)
        case = Case(f"source phantom {seed}", phantom.ct, phantom.nodes, "all")
        prepared = prepare(phantom.ct, PLAN)
        knowledge = prepare_labels(phantom.ct.with_array(knowledge_of(case)), prepared)
        cases.append(PreparedCase(case.name, prepared.array[0], knowledge))
    return cases


def pretrain(out: Path, steps: int = STEPS) -> torch.nn.Module:
    """Train from scratch, going on from what a stopped call left in ``out``; returns the network."""
    torch.manual_seed(SEED)
    device = choose_device("auto")
    precision = choose_precision("auto", device)
    network = build(ARCHITECTURE).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    first = _load(out, network, optimizer)
    batches = Batches(training_cases(), PLAN, batch_size=2, seed=SEED)
    loss_of, recent, started = FewShotLoss(), [], time.monotonic()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * poly(step, steps) * min(1.0, (step + 1) / 50)
        batch = batches[step].to(device)
        with autocast(device, precision):
            scores = outputs(network(batch.image))
        loss = loss_of(scores, batch.knowledge).total
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
        optimizer.step()
        optimizer.zero_grad()
        recent.append(float(loss.detach()))
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            _save(out, network, optimizer, step + 1)
            left = (time.monotonic() - started) / (step + 1 - first) * (steps - step - 1)
            print(f"step {step + 1}/{steps}  loss {np.mean(recent):.3f}  {left / 60:.0f} min left", flush=True)
            recent = []
    return network


def _save(out: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    tensors = {f"network.{n}": parameter.detach() for n, parameter in enumerate(network.parameters())}
    for n, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{n}.{name}": value for name, value in state.items()})
    with atomic_path(out / CHECKPOINT) as partial:
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, {"step": str(step)})


def _load(out: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Put back what was saved; the step to go on from."""
    path = out / CHECKPOINT
    if not path.exists():
        return 0
    tensors = load_file(path)
    with torch.no_grad():
        for n, parameter in enumerate(network.parameters()):
            parameter.copy_(tensors[f"network.{n}"])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, n, part = name.split(".")
            state.setdefault(int(n), {})[part] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return int(header["__metadata__"]["step"])


def write_starter(out: Path, network: torch.nn.Module) -> ModelCard:
    """Write the package (half precision) into ``out`` and let go of what only the training needed."""
    card = ModelCard(
        name="starter",
        description="A small network that shows how the program works. It has never seen a patient's scan.",
        labels={"background": 0, "lymph node": 1},
        trained_on=f"{TRAINING_PHANTOMS} head-neck-like phantoms.",
        demonstration=True,
        created=date.today().isoformat(),
    )
    write_full(out, network.cpu(), card, PLAN, ARCHITECTURE, torch.float16)
    measured = {f"mean Dice on {UNSEEN_PHANTOMS} unseen {d} phantoms": unseen_dice(out, d) for d in DOMAINS}
    card = write_full(out, network, replace(card, measured=measured), PLAN, ARCHITECTURE, torch.float16)
    (out / CHECKPOINT).unlink(missing_ok=True)
    return card


def unseen_dice(model: Path, domain: str, count: int = UNSEEN_PHANTOMS) -> float:
    """Mean Dice of a model on phantoms that nobody trains on; those without nodes are passed over."""
    opened = open_model(model)
    predictor = Predictor(opened.networks(), opened.plan)
    scores, seed = [], FIRST_UNSEEN_SEED
    while len(scores) < count:
        phantom = make_phantom(domain, seed)
        if phantom.nodes.array.any():
            scores.append(dice(phantom.nodes.array > 0, predictor.segment(phantom.ct).segmentation.array > 0))
        seed += 1
    return round(float(np.mean(scores)), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model and for going on after a stop")
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    card = write_starter(arguments.out, pretrain(arguments.out, arguments.steps))
    print(f"{card.title}: {card.measured}")


if __name__ == "__main__":
    main()
