"""Foundation models as nnU-Net v2 leaves them, opened without nnU-Net; also the SwinUNETR trainers of LN-Seg-FM."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..dgst.identity import fingerprint
from ..errors import InputError
from ..imaging.geometry import Geometry
from ..imaging.orientation import axis_letters
from .architectures import build_blank
from .card import ModelCard
from .checkpoint import read_checkpoint
from .description import read_json
from .model import FoundationModel, completed_card
from .nnunet_folder import ResultsFolder, find_results
from .nnunet_plans import architecture_of, ignored_value_of, labels_of, plan_of
from .state import State, fitting_state, unwrapped

_TRAINED_WITHOUT_DEEP_SUPERVISION = re.compile("no_?deep_?supervision", re.IGNORECASE)


def open_nnunet(
    path: Path, location: Path, fold: int | str | None = None, checkpoint: str | None = None
) -> FoundationModel:
    """Open what nnU-Net trained: one fold, or the ensemble of all.

    Args:
        path: folder, fold or checkpoint, as ``nnunet_folder.find_results`` takes them.
        location: what the user named, for the card and for finding the model again.
        fold: a fold's number or ``"all"``; None for every numbered fold.
        checkpoint: ``"final"``, ``"best"`` or a file name.

    Raises:
        InputError: a part is missing, damaged, not supported, or wants to run code.
    """
    results = find_results(path, fold, checkpoint)
    checkpoints = {name: read_checkpoint(file) for name, file in results.checkpoints.items()}
    trained = trained_as(results, next(iter(checkpoints.values())))
    plan = plan_of(trained.plans, trained.dataset, trained.configuration)
    states = {name: _weights(content, results.checkpoints[name]) for name, content in checkpoints.items()}
    labels = labels_of(trained.dataset)
    swin = _swin_architecture(next(iter(states.values())), plan.patch_size_kji, labels)
    architecture = swin or architecture_of(trained.plans, trained.configuration, len(labels))
    network = build_blank(architecture)
    fitting = tuple(fitting_state(network, state, results.checkpoints[name]) for name, state in states.items())
    return FoundationModel(
        card=completed_card(_card(trained, results, fitting), plan, architecture, states if len(states) > 1 else ()),
        plan=plan,
        architecture=architecture,
        states=fitting,
        deep_supervision=swin is None and not _TRAINED_WITHOUT_DEEP_SUPERVISION.search(trained.trainer),
        location=location,
        fold=next(iter(states)) or None if len(states) == 1 else None,
        checkpoint=next(iter(results.checkpoints.values())).name,
        remarks=results.notes,
        mirrored_axes=_mirrored_axes(next(iter(checkpoints.values()))),
        ignored_value=ignored_value_of(trained.dataset),
    )


def note_on_orientation(model: FoundationModel, geometry: Geometry) -> str | None:
    """A sentence where nnU-Net would have shown its model a scan on this grid otherwise: as it is stored."""
    is_nnunets = model.checkpoint is not None and model.plan.orientation == "lps"
    letters = axis_letters(geometry)
    if not is_nnunets or letters == "LPS":
        return None
    known = len(model.mirrored_axes) == 3
    unlike = "" if known else ", the more so since it was not trained on scans mirrored along every axis"
    return (
        f"The scan is stored in {letters} order and brought to LPS order, which nnU-Net does not do: the answer of "
        f"{model.card.name} differs from nnU-Net's own{unlike}; --orientation as-stored gives nnU-Net's."
    )


@dataclass(frozen=True)
class Trained:
    """How a model came about: the plans, the data set's description, the configuration's and the trainer's names."""

    plans: dict[str, Any]
    dataset: dict[str, Any]
    configuration: str
    trainer: str


def trained_as(results: ResultsFolder, checkpoint: Mapping[str, Any] | None = None) -> Trained:
    """From the files beside the folds, or else from the checkpoint: the first, read anew where it is not given.

    Raises:
        InputError: neither has a part of it.
    """
    checkpoint = checkpoint or read_checkpoint(next(iter(results.checkpoints.values())))
    arguments = checkpoint.get("init_args")
    arguments = arguments if isinstance(arguments, dict) else {}
    parts = []
    for file, key in (("plans.json", "plans"), ("dataset.json", "dataset_json")):
        path = results.path / file
        part = read_json(path) if path.is_file() else arguments.get(key)
        if not isinstance(part, dict):
            raise InputError(
                f"{results.path} has no {file}, and its checkpoint carries none either; copy the file there."
            )
        parts.append(part)
    configuration = arguments.get("configuration") or results.configuration
    if not configuration:
        raise InputError(f"{results.path} does not say which configuration was trained; give the folder its full name.")
    return Trained(*parts, str(configuration), str(checkpoint.get("trainer_name", results.trainer)))


def _card(trained: Trained, results: ResultsFolder, states: Sequence[State]) -> ModelCard:
    plans_name, first = trained.plans.get("plans_name", "unnamed plans"), next(iter(results.checkpoints.values()))
    return ModelCard(
        name=f"{trained.plans.get('dataset_name', results.path.parent.name)} {trained.configuration}",
        description=f"nnU-Net v2 model, trained by {trained.trainer} with {plans_name} ({first.name}).",
        labels=labels_of(trained.dataset),
        trained_on=_trained_on(trained.dataset),
        created=_date_of(first),
        fingerprint=_joint_fingerprint(states),
    )


def _mirrored_axes(checkpoint: Mapping[str, Any]) -> tuple[int, ...]:
    """Axes of the prepared array along which its trainer mirrored patches; all where the checkpoint does not tell."""
    axes = checkpoint.get("inference_allowed_mirroring_axes", (0, 1, 2))
    return tuple(axis for axis in range(3) if isinstance(axes, list | tuple) and axis in axes)


def _weights(checkpoint: Mapping[str, Any], path: Path) -> dict[str, torch.Tensor]:
    weights = checkpoint.get("network_weights")
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise InputError(f"{path} has no network weights as nnU-Net v2 stores them; choose another checkpoint.")
    return unwrapped(weights)


def _swin_architecture(
    state: Mapping[str, torch.Tensor], patch_size_kji: Sequence[int], labels: Mapping[str, int]
) -> dict[str, Any] | None:
    """SwinUNETR as its weights show it, since its trainers ignore the network of the plans; None for other networks.

    Raises:
        InputError: its head tells more or fewer classes apart than there are labels.
    """
    embedding = state.get("swinViT.patch_embed.proj.weight")
    head = state.get("out.conv.conv.weight")
    if embedding is None or head is None:
        return None
    if head.shape[0] != len(labels):
        raise InputError(
            f"The model's network tells {head.shape[0]} classes apart, but its data set has {len(labels)} labels "
            f"({', '.join(labels)}); put the dataset.json that it was trained with beside its folds."
        )
    return {
        "class": "SwinUNETR",
        "arguments": {
            "in_channels": embedding.shape[1],
            "out_channels": head.shape[0],
            "feature_size": embedding.shape[0],
            "use_v2": any(name.startswith("swinViT.layers1c.") for name in state),
            "img_size": list(patch_size_kji),
        },
    }


def _trained_on(dataset: Mapping[str, Any]) -> str:
    name = dataset.get("name") or dataset.get("description") or "a data set without a name"
    return f"{name} ({dataset['numTraining']} scans)" if "numTraining" in dataset else str(name)


def _date_of(path: Path) -> str:
    return datetime.date.fromtimestamp(path.stat().st_mtime).isoformat()


def _joint_fingerprint(states: Sequence[State]) -> str:
    """The fingerprint of one fold, or one made from those of all folds."""
    fingerprints = [fingerprint(state) for state in states]
    return fingerprints[0] if len(states) == 1 else hashlib.sha256("".join(fingerprints).encode()).hexdigest()
