"""Writing a model as nnU-Net v2 leaves one, so that nnU-Net predicts with it and trains on from it."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..atomic import atomic_folder, flush_to_disk
from ..dgst.identity import fingerprint
from ..errors import InputError
from .foundation import files_of
from .model import FoundationModel
from .nnunet import Trained, open_nnunet, trained_as
from .nnunet_folder import CHECKPOINTS, find_results
from .nnunet_own_plans import CONFIGURATION, TRAINER, dataset_of, plans_of
from .nnunet_plans import RAS_READERS
from .state import own_state


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: with ``plans.json``, ``dataset.json`` and the fold.
        fold: its number, or ``"all"``.
        notes: sentences on where nnU-Net's answers will differ, and on what it needs for them.
    """

    folder: Path
    fold: str
    notes: tuple[str, ...]

    @property
    def command(self) -> str:
        """That predicts with it, in nnU-Net's words, for ``SCANS`` and ``ANSWERS`` in the user's."""
        return f'nnUNetv2_predict_from_modelfolder -i SCANS -o ANSWERS -m "{self.folder}" -f {self.fold}'


def export_nnunet(model: FoundationModel, folder: str | os.PathLike) -> Exported:
    """Write a model as a folder of nnU-Net v2's results with one fold, and read it back to be sure of it.

    What was fine-tuned on a model of nnU-Net's keeps that one's plans, data set description, trainer and fold to the
    letter; for others (``starter``) they are written from the preprocessing plan and the network's description. The
    weights are all there, in fp32: nnU-Net needs neither this project nor the base.

    Args:
        model: a single network.
        folder: a new or empty one.

    Raises:
        InputError: the model is an ensemble, or nnU-Net has no word for a part of it, or the folder holds something or
            cannot be written to; nothing is left there.
    """
    folder = Path(folder)
    trained, fold = _as_trained(model)
    network = model.network()
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": trained.trainer,
        "inference_allowed_mirroring_axes": model.foundation.mirrored_axes or None,
        "init_args": {
            "plans": trained.plans,
            "configuration": trained.configuration,
            "fold": int(fold) if fold.isdecimal() else fold,
            "dataset_json": trained.dataset,
        },
    }
    try:
        with atomic_folder(folder) as partial:
            _write(partial, trained, checkpoint, fold)
            _refuse_another(model, network, partial)
    except OSError as error:
        raise InputError(
            f"{folder} could not be written ({error.strerror or error}); give a new folder where there is room."
        ) from error
    return Exported(folder, fold, tuple(_notes(model, trained)))


def _as_trained(model: FoundationModel) -> tuple[Trained, str]:
    """How nnU-Net would have come by the model, and its fold.

    Raises:
        InputError: its network is none that nnU-Net's plans describe, or its base is no longer where it was opened.
    """
    foundation = model.foundation
    if foundation.checkpoint is None:
        return _described(model), "0"
    results = find_results(files_of(foundation.location), foundation.fold, foundation.checkpoint)
    return trained_as(results), foundation.fold or "0"


def _described(model: FoundationModel) -> Trained:
    name = re.sub(r"\W+", "", model.card.name.title()) or "Model"
    plans = plans_of(f"Dataset000_{name}", model.plan, model.architecture)
    dataset = dataset_of(model.labels, 0, plans["image_reader_writer"])
    return Trained(plans, dataset, CONFIGURATION, TRAINER)


def _write(folder: Path, trained: Trained, checkpoint: Mapping[str, Any], fold: str) -> None:
    """Raises:
    OSError: the disk is full, or does not take it.
    """
    for name, content in (("plans.json", trained.plans), ("dataset.json", trained.dataset)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    path = folder / f"fold_{fold}" / CHECKPOINTS["final"]
    content = io.BytesIO()  # torch hides a full disk behind an error of its own
    torch.save(dict(checkpoint), content)
    path.parent.mkdir()
    path.write_bytes(content.getbuffer())
    flush_to_disk(path)


def _refuse_another(model: FoundationModel, network: nn.Module, folder: Path) -> None:
    """Raises:
    InputError: what was written is not the same model.
    """
    written = open_nnunet(folder, folder)
    ours, theirs = model.plan.to_json(), replace(written.plan, orientation=model.plan.orientation).to_json()
    unused = () if model.plan.normalization == "ct" else ("lower", "upper", "mean", "std")
    lost = [name for name, value in ours.items() if theirs[name] != value and name not in unused]
    if written.fingerprint != fingerprint(own_state(network)):
        lost.append("weights")
    if lost:
        raise InputError(
            f"{model.card.name} cannot be written for nnU-Net, which has no word for its {', '.join(lost)}; nothing "
            "was written, use it here."
        )


def _notes(model: FoundationModel, trained: Trained) -> list[str]:
    notes = []
    shows = "ras" if trained.plans.get("image_reader_writer") in RAS_READERS else "as-stored"
    if model.plan.orientation != shows:
        theirs = "in RAS order" if shows == "ras" else "as it is stored"
        ours = {"lps": "in LPS order", "ras": "in RAS order"}.get(model.plan.orientation, "as it is stored")
        notes.append(
            f"nnU-Net shows the model a scan {theirs}, this program {ours}: where these differ, so do the answers."
        )
    if trained.trainer != TRAINER:
        notes.append(f"nnU-Net needs the trainer {trained.trainer}, as for the model that this one came from.")
    return notes
