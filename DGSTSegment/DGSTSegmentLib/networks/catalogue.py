"""The models that are at hand without naming a file. No torch here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Protocol, TypeVar

from .card import ModelCard
from .description import CARD_FILE, read_description

STARTER = "starter"
MODELS_VARIABLE = "DGST_MODELS"
"""Environment variable with further folders of models, separated as in PATH."""


@dataclass(frozen=True)
class InstalledModel:
    """A package in one of the model folders: what to pass as MODEL, where it lies, its card."""

    name: str
    path: Path
    card: ModelCard


class Carded(Protocol):
    """Whatever has a model's card."""

    @property
    def card(self) -> ModelCard: ...


Listed = TypeVar("Listed", bound=Carded)


def lasting_spec(spec: str | os.PathLike) -> str:
    """A MODEL, or where one was moved to, as it may be kept: ``starter``, else the absolute path, which means the same
    from any working folder.

    ``starter`` is always the one that is shipped; a folder of that name is ``./starter``.
    """
    return STARTER if os.fspath(spec) == STARTER else os.path.abspath(os.path.expanduser(spec))


def base_among(models: Iterable[Listed], card: ModelCard) -> Listed | None:
    """The one that a fine-tuned model stands on: it is known by its weights, whatever it is called and wherever it was
    moved to; None where it is not among them."""
    wanted = (card.base or {}).get("fingerprint")
    return next((model for model in models if wanted and model.card.fingerprint == wanted), None)


def models_folder() -> Path:
    """The folder of the models that come with the project: beside the code, or where pip has put them."""
    beside = Path(__file__).resolve().parents[2] / "Resources" / "Models"
    return beside if beside.is_dir() else _installed_folder() or beside


@cache
def _installed_folder() -> Path | None:
    try:
        files = metadata.files("DGSTSegment") or []
    except metadata.PackageNotFoundError:
        return None
    card = next((file for file in files if file.match(f"Models/{STARTER}/{CARD_FILE}")), None)
    return None if card is None else Path(card.locate()).resolve().parents[1]


def starter_path() -> Path:
    """Folder of the small demonstration model that comes with the project."""
    return models_folder() / STARTER


def model_folders() -> list[Path]:
    """Folders that are searched for models: the project's, then those of ``DGST_MODELS``."""
    further = os.environ.get(MODELS_VARIABLE, "").split(os.pathsep)
    return [models_folder(), *(Path(folder) for folder in further if folder)]


def installed_models() -> list[InstalledModel]:
    """Packages in the model folders, starter first, then by name.

    Raises:
        InputError: a package there has a damaged card.
    """
    paths = sorted(path.parent for folder in model_folders() for path in folder.glob(f"*/{CARD_FILE}"))
    paths.sort(key=lambda path: path != starter_path())
    return [
        InstalledModel(STARTER if path == starter_path() else str(path), path, read_description(path).card)
        for path in paths
    ]
