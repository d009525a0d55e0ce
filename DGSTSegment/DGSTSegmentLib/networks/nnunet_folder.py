"""Finding the parts of a model in what nnU-Net v2 writes.

``nnUNet_results/Dataset201_Nodes/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0/checkpoint_final.pth`` beside
``plans.json`` and ``dataset.json``; any folder of that path may be named where it leads to one model only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

LAYOUT = "Dataset.../Trainer__Plans__configuration/{plans.json, dataset.json, fold_0/checkpoint_final.pth}"
CHECKPOINTS = {"final": "checkpoint_final.pth", "best": "checkpoint_best.pth"}
_DEEPEST = 4


@dataclass(frozen=True)
class ResultsFolder:
    """One trained configuration: its folder and the checkpoint of each chosen fold."""

    path: Path
    checkpoints: dict[str, Path]

    @property
    def trainer(self) -> str:
        return self.path.name.split("__")[0]

    @property
    def configuration(self) -> str | None:
        """The configuration's name as the folder's name has it; None where the folder was renamed."""
        parts = self.path.name.split("__")
        return parts[2] if len(parts) == 3 else None


def find_results(path: Path, fold: int | str | None = None, checkpoint: str | None = None) -> ResultsFolder:
    """The trained configuration that ``path`` leads to, and its folds' checkpoints.

    Args:
        path: a checkpoint, a fold's folder, a configuration's folder or one above it.
        fold: a fold's number or ``"all"`` (nnU-Net's ``fold_all``); None for every numbered fold.
        checkpoint: ``"final"``, ``"best"`` or a file name; None for final where there is one, else best.

    Raises:
        InputError: nothing, or more than one configuration, is found there; fold or checkpoint is not there.
    """
    if path.is_file():
        path, checkpoint = path.parent, path.name
    if path.name.startswith("fold_"):
        path, fold = path.parent, path.name.removeprefix("fold_")
    folder = _only_configuration(path)
    folds = _chosen_folds(folder, fold)
    return ResultsFolder(folder, {name: _checkpoint_in(fold_path, checkpoint) for name, fold_path in folds.items()})


def _only_configuration(path: Path) -> Path:
    try:
        found = sorted(_configurations(path, _DEEPEST))
    except OSError as error:
        reason = f"{error.filename} cannot be read: {error.strerror}"
        raise InputError(
            f"{path} could not be searched for a model ({reason}); name the model's own folder."
        ) from error
    supported = [folder for folder in found if not folder.name.endswith(("__2d", "__3d_cascade_fullres"))]
    chosen = supported or found
    if not chosen:
        has_plans = (path / "plans.json").is_file()
        missing = (
            "it has plans.json but no fold with a checkpoint" if has_plans else "no plans and no checkpoint are in it"
        )
        raise InputError(f"{path} is no model: {missing}; expected is a package with card.json, or nnU-Net's {LAYOUT}.")
    if len(chosen) > 1:
        names = ", ".join(str(folder.relative_to(path)) for folder in chosen)
        raise InputError(f"{path} holds several models ({names}); name one of them.")
    return chosen[0]


def _configurations(path: Path, levels: int) -> Iterator[Path]:
    """Folders that hold folds with checkpoints, at most ``levels`` below."""
    if any(path.glob("fold_*/*.pth")):
        yield path
    elif levels > 0:
        for child in path.iterdir():
            if child.is_dir() and not child.name.startswith((".", "fold_")):
                yield from _configurations(child, levels - 1)


def _chosen_folds(folder: Path, fold: int | str | None) -> dict[str, Path]:
    folds = {path.parent.name.removeprefix("fold_"): path.parent for path in sorted(folder.glob("fold_*/*.pth"))}
    if fold is not None:
        if str(fold) not in folds:
            raise InputError(f"{folder} has no fold {fold} with a checkpoint; it has {', '.join(folds)}.")
        return {str(fold): folds[str(fold)]}
    numbered = {name: path for name, path in folds.items() if name != "all"}
    return numbered or folds


def _checkpoint_in(fold_path: Path, checkpoint: str | None) -> Path:
    wanted = list(CHECKPOINTS.values()) if checkpoint is None else [CHECKPOINTS.get(checkpoint, checkpoint)]
    for name in wanted:
        if (fold_path / name).is_file():
            return fold_path / name
    raise InputError(f"{fold_path} has no {' or '.join(wanted)}; name another checkpoint or copy the model again.")
