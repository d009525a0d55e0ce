"""Our own model packages: full weights, or a delta on a named base; safetensors and JSON, a folder or a zip of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from ..atomic import atomic_pair, is_cut_off
from ..dgst.delta import BaseMismatch, Delta, NotADelta
from ..dgst.identity import fingerprint
from ..errors import InputError
from .architectures import build_blank
from .card import ModelCard
from .catalogue import STARTER, base_among, installed_models, starter_path
from .description import CARD_FILE, DELTA_FILE, WEIGHTS_FILE, Description, read_description
from .model import FoundationModel, completed_card
from .plan import Plan
from .state import State, fitting_state, own_state

OpenModel = Callable[..., FoundationModel]


def write_full(
    directory: str | os.PathLike,
    network: nn.Module,
    card: ModelCard,
    plan: Plan,
    architecture: Mapping[str, Any],
    dtype: torch.dtype = torch.float32,
    deep_supervision: bool = True,
) -> ModelCard:
    """Write a package with all weights, stored as ``dtype`` (``torch.float16`` halves it); returns the card as written.

    Raises:
        InputError: the folder cannot be written to; the model that lay there is as it was.
    """
    directory = _made(directory)
    state = {name: _stored(tensor, dtype) for name, tensor in own_state(network).items()}
    card = replace(completed_card(card, plan, dict(architecture)), fingerprint=fingerprint(state), base=None)
    description = Description(card, plan, dict(architecture), deep_supervision)
    with atomic_pair(directory / WEIGHTS_FILE, directory / CARD_FILE) as (weights_file, card_file):
        weights_file.write_bytes(safetensors.torch.save(state))  # save_file hides a full disk behind its own error
        card_file.write_text(description.to_text(), encoding="utf-8")
    return card


def write_delta(
    directory: str | os.PathLike, delta: Delta, card: ModelCard, plan: Plan, base_model: FoundationModel
) -> ModelCard:
    """Write a package that holds what fine-tuning changed on ``base_model``; returns the card as written.

    The card is completed with the base's name, fingerprint and location, and the fingerprint of the result.

    Raises:
        InputError: the folder cannot be written to; the model that lay there is as it was.
        BaseMismatch: the delta was made on another model; ``base_model.delta_to`` makes a right one.
        ValueError: the base is itself a fine-tuned model.
    """
    if base_model.base is not None:
        raise ValueError("A delta stands on a foundation model; use the fine-tuned model's own base.")
    if delta.base != base_model.fingerprint:
        raise BaseMismatch(f"The delta was not made on {base_model.card.name}; make it by its delta_to().")
    directory = _made(directory)
    result = replace(base_model, delta=delta).network()
    card = replace(
        completed_card(card, plan, base_model.architecture),
        labels=card.labels or base_model.labels,
        base=_base_record(base_model),
        fingerprint=fingerprint(own_state(result)),
    )
    description = Description(card, plan, base_model.architecture, base_model.deep_supervision)
    with atomic_pair(directory / DELTA_FILE, directory / CARD_FILE) as (delta_file, card_file):
        delta.save(delta_file)
        card_file.write_text(description.to_text(), encoding="utf-8")
    return card


def is_package(directory: Path) -> bool:
    """Whether a folder is one of our packages."""
    return (directory / CARD_FILE).is_file()


def open_package(
    directory: Path, location: Path, base: str | os.PathLike | None, open_model: OpenModel
) -> FoundationModel:
    """Open a package from its folder; ``location`` is what the user named, ``base`` where the base may lie.

    Raises:
        InputError: a part is missing or damaged, or the base is not found or is another model, or the package was not
            written completely.
    """
    description = read_description(directory)
    if (directory / DELTA_FILE).is_file():
        return _open_delta(directory, location, description, base, open_model)
    with _refusals_of(directory, location):
        return _open_full(directory, location, description)


def _open_full(directory: Path, location: Path, description: Description) -> FoundationModel:
    if not (directory / WEIGHTS_FILE).is_file():
        raise InputError(f"{location} has neither {WEIGHTS_FILE} nor {DELTA_FILE}; copy the model again.")
    state = fitting_state(build_blank(description.architecture), _read_weights(directory / WEIGHTS_FILE), location)
    if fingerprint(state) != description.card.fingerprint:
        raise InputError(f"{location} is damaged: its weights are not those its card names; copy the model again.")
    return FoundationModel(
        card=description.card,
        plan=description.plan,
        architecture=description.architecture,
        states=(state,),
        deep_supervision=description.deep_supervision,
        location=location,
    )


def _open_delta(
    directory: Path, location: Path, description: Description, base: str | os.PathLike | None, open_model: OpenModel
) -> FoundationModel:
    base_model = find_base(location, description.card, base, open_model)
    with _refusals_of(directory, location):
        model = FoundationModel(
            card=description.card,
            plan=description.plan,
            architecture=description.architecture,
            states=base_model.states,
            deep_supervision=description.deep_supervision,
            location=location,
            delta=_read_delta(directory / DELTA_FILE),
            base=base_model.oriented(description.plan.orientation),  # what it was fine-tuned with
        )
        _refuse_other_weights(model)
    return model


def _refuse_other_weights(model: FoundationModel) -> None:
    try:
        complete = fingerprint(own_state(model.network())) == model.fingerprint
    except (BaseMismatch, NotADelta) as error:
        raise InputError(f"{model.location} cannot be applied to its base {model.base.card.name}: {error}") from error
    if not complete:
        raise InputError(
            f"{model.location} is damaged: its weights are not those its card names; copy the model again."
        )


@contextmanager
def _refusals_of(directory: Path, location: Path) -> Iterator[None]:
    """Where the last write of a package was cut off, that is what is said of weights that do not fit its card."""
    try:
        yield
    except InputError as error:
        if not any(is_cut_off(directory / name) for name in (DELTA_FILE, WEIGHTS_FILE)):
            raise
        raise InputError(
            f"{location} was not written completely, its weights and its card are not of one model; go on with the run "
            "that wrote it (--resume), or make it again."
        ) from error


def find_base(
    location: Path, card: ModelCard, base: str | os.PathLike | None, open_model: OpenModel
) -> FoundationModel:
    """The foundation model that a fine-tuned one stands on: ``base`` where given, else where the card says that it
    was, else among the installed models.

    Raises:
        InputError: it is nowhere, or what was given is another model.
    """
    record = card.base or {}
    name, wanted = record.get("name", "an unnamed model"), record.get("fingerprint")
    part = {"fold": record.get("fold"), "checkpoint": record.get("checkpoint")}
    if base is not None:
        is_checkpoint = os.fspath(base).lower().endswith(".pth")  # which needs no part of it named
        given = open_model(base, **({} if is_checkpoint else part))
        if given.fingerprint != wanted:
            raise InputError(
                f"{location} was fine-tuned from {name} ({_short(wanted)}), but {base} is {given.card.name} "
                f"({_short(given.fingerprint)}); give the right model with --base."
            )
        return given
    found, reason = _recorded_base(record, part, open_model)
    if found is not None:
        return found
    installed = base_among(installed_models(), card)
    if installed is not None:
        return open_model(installed.path)
    raise InputError(
        f"{location} was fine-tuned from {name} ({_short(wanted)}), which is not among the installed models, and "
        f"{reason}; say where it is (--base at a terminal), or, in Slicer, add it to the list of models."
    )


def _recorded_base(
    record: Mapping[str, Any], part: Mapping[str, Any], open_model: OpenModel
) -> tuple[FoundationModel | None, str]:
    """The base where the package says that it was, or None and why not."""
    place = record.get("location")
    if not place:
        return None, "the package does not say where it was"
    try:
        found = open_model(place, **part)
    except InputError as error:
        return None, f"it cannot be opened where it was: {str(error).rstrip('.')}"
    if found.fingerprint != record.get("fingerprint"):
        return None, f"{place} holds another model now"
    return found, ""


def _base_record(base_model: FoundationModel) -> dict[str, Any]:
    at_starter = base_model.location == starter_path()
    return {
        "name": base_model.card.name,
        "fingerprint": base_model.fingerprint,
        "location": STARTER if at_starter else str(base_model.location),
        "fold": base_model.fold,
        "checkpoint": base_model.checkpoint,
    }


def _short(fingerprint_: str | None) -> str:
    return f"fingerprint {(fingerprint_ or 'missing')[:12]}"


def _stored(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype if tensor.is_floating_point() else tensor.dtype).cpu().clone().contiguous()


def _read_weights(path: Path) -> State:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or truncated ({error}); copy the model again.") from error


def _read_delta(path: Path) -> Delta:
    try:
        return Delta.load(path)
    except NotADelta as error:
        raise InputError(f"The model's delta is damaged: {error}") from error


def _made(directory: str | os.PathLike) -> Path:
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory} cannot be made ({error.strerror}); choose another folder.") from error
    return directory
