"""Finding the parts of a model in what nnU-Net v2 writes.

``nnUNet_results/Dataset201_Nodes/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0/checkpoint_final.pth`` beside
``plans.json`` and ``dataset.json``; any folder of that path may be named where it leads to one model only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

LAYOUT = "Dataset.../Trainer__Plans__configuration/{plans.json, dataset.json, fold_0/checkpoint_final.pth}"
CHECKPOINTS = {"final": "checkpoint_final.pth", "best": "checkpoint_best.pth"}
_DEEPEST = 4
_FOLD = "fold_"
_ALL = "all"


@dataclass(frozen=True)
class ResultsFolder:
    """One trained configuration.

    Args:
        path: its folder.
        checkpoints: fold -> checkpoint, all of one name; a checkpoint that lies in no fold is that of the fold ``""``.
        notes: sentences on folds that lie there and are no part of it, and on checkpoints that are not the usual ones.
    """

    path: Path
    checkpoints: dict[str, Path]
    notes: tuple[str, ...] = ()

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
        path: a checkpoint, which is then the only one, a fold's folder, a configuration's folder or one above it.
        fold: a fold's number or ``"all"`` (nnU-Net's ``fold_all``); None for every numbered fold.
        checkpoint: ``"final"``, ``"best"`` or a file name; None for final where any chosen fold has it, else best.

    Raises:
        InputError: nothing, or more than one configuration, is found there; fold or checkpoint is not there, or is
            another than the one that ``path`` names.
    """
    if path.is_file():
        return _named_checkpoint(path, fold, checkpoint)
    if path.name.startswith(_FOLD):
        path, fold = path.parent, _named_fold(path, fold)
    folder = _only_configuration(path)
    folds = _chosen_folds(folder, fold)
    checkpoints = _checkpoints_in(folds, checkpoint)
    passed_over = [] if fold is not None else _notes_on_passed_over(folder, folds)
    return ResultsFolder(folder, checkpoints, (*passed_over, *_notes_on_checkpoints(folds, checkpoints, checkpoint)))


def _named_checkpoint(path: Path, fold: int | str | None, checkpoint: str | None) -> ResultsFolder:
    if checkpoint is not None and CHECKPOINTS.get(checkpoint, checkpoint) != path.name:
        raise InputError(f"{path} is a checkpoint itself, but {checkpoint} was asked for; name its fold instead.")
    in_fold = path.parent.name.startswith(_FOLD)
    return ResultsFolder(path.parent.parent if in_fold else path.parent, {_named_fold(path.parent, fold): path})


def _named_fold(folder: Path, fold: int | str | None) -> str:
    """The fold whose folder this is; ``""`` for a folder of no fold."""
    name = folder.name.removeprefix(_FOLD) if folder.name.startswith(_FOLD) else ""
    if fold is not None and str(fold) != name:
        here = f"fold {name}" if name else "the folder of no fold"
        raise InputError(f"{folder} is {here}, but fold {fold} was asked for; leave out the fold, or name its folder.")
    return name


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
        raise InputError(f"{path} holds several models ({names}); name one of them, as {chosen[0]}.")
    return chosen[0]


def _configurations(path: Path, levels: int) -> Iterator[Path]:
    """Folders that hold folds with checkpoints, at most ``levels`` below."""
    if any(path.glob(f"{_FOLD}*/*.pth")):
        yield path
    elif levels > 0:
        for child in path.iterdir():
            if child.is_dir() and not child.name.startswith((".", _FOLD)):
                yield from _configurations(child, levels - 1)


def _chosen_folds(folder: Path, fold: int | str | None) -> dict[str, Path]:
    """Fold -> its folder: the one asked for, else the numbered ones, else ``all``, else the only one there is.

    Raises:
        InputError: the one asked for has no checkpoint, or there are only folds of other names, more than one.
    """
    folds = {path.parent.name.removeprefix(_FOLD): path.parent for path in sorted(folder.glob(f"{_FOLD}*/*.pth"))}
    if fold is not None:
        if str(fold) not in folds:
            raise InputError(f"{folder} has no fold {fold} with a checkpoint; it has {', '.join(folds)}.")
        return {str(fold): folds[str(fold)]}
    numbered = {name: path for name, path in folds.items() if name.isdigit()}
    chosen = numbered or {name: path for name, path in folds.items() if name == _ALL} or folds
    if not numbered and len(chosen) > 1:
        raise InputError(f"{folder} has no numbered fold; name one of {', '.join(folds)} (--fold).")
    return chosen


def _notes_on_passed_over(folder: Path, chosen: Mapping[str, Path]) -> list[str]:
    notes = []
    for path in sorted(folder.glob(f"{_FOLD}*")):
        name = path.name.removeprefix(_FOLD)
        if not path.is_dir() or name in chosen:
            continue
        if not any(path.glob("*.pth")):
            why = "it holds no checkpoint"
        elif name == _ALL:
            why = "the numbered folds are the ensemble"
        else:
            why = "its name is no number"
        notes.append(f"The folder {path.name} is passed over: {why}.")
    return notes


def _notes_on_checkpoints(folds: Mapping[str, Path], found: Mapping[str, Path], asked: str | None) -> list[str]:
    name = next(iter(found.values())).name
    notes = [
        f"Fold {fold} is left out of the ensemble: it has no {name}, its training may not have ended."
        for fold in folds
        if fold not in found
    ]
    if asked is None and name == CHECKPOINTS["best"]:
        which = f"Fold {', '.join(found)} has" if len(found) == 1 else f"Folds {', '.join(found)} have"
        notes.append(f"{which} no final checkpoint: the best is taken ({name}), its training may not have ended.")
    return notes


def _checkpoints_in(folds: dict[str, Path], checkpoint: str | None) -> dict[str, Path]:
    """Fold -> its checkpoint, all of one name: every fold must have what was asked for; else those that have final, or
    where none has, best. Networks of different ages make no ensemble."""
    wanted = list(CHECKPOINTS.values()) if checkpoint is None else [CHECKPOINTS.get(checkpoint, checkpoint)]
    for name in wanted:
        found = {fold: path / name for fold, path in folds.items() if (path / name).is_file()}
        if len(found) == len(folds) or (found and checkpoint is None):
            return found
    lacking = next(path for fold, path in folds.items() if fold not in found)
    raise InputError(
        f"{lacking} has no {' or '.join(wanted)}; copy the model again, or name one of its checkpoint files."
    )
