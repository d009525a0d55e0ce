"""Opening a foundation model, whatever it was written by."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from .archive import archive_of, unpacked
from .catalogue import STARTER, lasting_spec, starter_path
from .description import read_description
from .model import FoundationModel
from .nnunet import open_nnunet
from .package import is_package, open_package


def open_model(
    spec: str | os.PathLike,
    *,
    fold: int | str | None = None,
    checkpoint: str | None = None,
    base: str | os.PathLike | None = None,
    orientation: str | None = None,
) -> FoundationModel:
    """Open a model by name, folder or zip.

    Args:
        spec: ``starter``, one of our packages, or what nnU-Net v2 wrote (its results folder or one above it, a fold,
            a checkpoint, its export); as a folder, a zip, or a folder in a zip (``export.zip/Dataset.../...``).
        fold: nnU-Net: a fold's number or ``"all"``; None for the ensemble of all numbered folds.
        checkpoint: nnU-Net: ``"final"``, ``"best"`` or a file name; None for final where there is one.
        base: fine-tuned package: where its base lies, when it is not where the package says.
        orientation: of ``networks.plan.ORIENTATIONS``, in which the network wants to see scans, where the model's own
            files do not tell it (nnU-Net's do not say how its training scans were stored); None for the model's own.

    Raises:
        InputError: there is no model, a part of it is missing, damaged, not supported or refused, or the base is not
            found or is another model.
    """
    model = _opened(spec, fold, checkpoint, base)
    return model if orientation is None else model.oriented(orientation)


def _opened(
    spec: str | os.PathLike, fold: int | str | None, checkpoint: str | None, base: str | os.PathLike | None
) -> FoundationModel:
    place = lasting_spec(spec)
    location = starter_path() if place == STARTER else Path(place)
    archive = archive_of(location)
    if archive is None:
        return _opened_at(location, location, fold, checkpoint, base)
    folder = unpacked(archive)
    try:
        return _opened_at(files_of(location), location, fold, checkpoint, base)
    except InputError as error:  # nobody knows the folder of the cache
        raise InputError(str(error).replace(str(folder), str(archive))) from error


def files_of(location: Path) -> Path:
    """Where the files of a model are: at ``location`` itself, or where those of the zip that it leads into are.

    Raises:
        InputError: a zip cannot be unpacked.
    """
    archive = archive_of(location)
    return location if archive is None else unpacked(archive) / location.relative_to(archive)


def _opened_at(
    path: Path, location: Path, fold: int | str | None, checkpoint: str | None, base: str | os.PathLike | None
) -> FoundationModel:
    """The model whose files lie at ``path``, where they were unpacked or at ``location`` itself, as the user named it.

    Raises:
        InputError: as ``open_model``.
    """
    if not path.exists():
        raise InputError(f"The model {location} does not exist; give 'starter', a folder or a zip.")
    package = _package_in(path)
    if base is not None and (package is None or read_description(package).card.base is None):
        raise InputError(f"{location} is no fine-tuned model, so it stands on no other; leave its base out (--base).")
    if package is None:
        return open_nnunet(path, location, fold, checkpoint)
    if fold is not None or checkpoint is not None:
        raise InputError(
            f"{location} is a single network, not an nnU-Net results folder; leave fold and checkpoint out."
        )
    return open_package(package, location, base, open_model)


def _package_in(path: Path) -> Path | None:
    """The folder itself, or the only folder in it as zips are often made, where it is a package."""
    if is_package(path):
        return path
    children = [child for child in path.iterdir() if child.is_dir()] if path.is_dir() else []
    return children[0] if len(children) == 1 and is_package(children[0]) else None
