"""The model that the engine keeps opened, so that a second prediction does not read it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..networks.archive import MODEL_FILES, archive_of
from ..training.run_files import refuse_unfinished
from .imports import large_imports

if TYPE_CHECKING:
    from ..networks.model import FoundationModel


class OpenedModel:
    """Keeps the last opened model; it is read again when another is asked for or its files have changed."""

    def __init__(self):
        self._key: tuple | None = None
        self._model: Any = None

    def get(
        self,
        spec: str,
        base: str | None = None,
        fold: int | str | None = None,
        checkpoint: str | None = None,
        orientation: str | None = None,
    ) -> FoundationModel:
        """The model of ``spec``.

        Raises:
            InputError: it cannot be opened, or is a run that is not finished.
        """
        with large_imports():
            from ..networks.foundation import open_model

        key = (spec, base, fold, checkpoint, orientation)
        if self._model is not None and self._key == (*key, _stamp(self._model)):
            return self._model
        self._key = self._model = None  # frees the old one first
        refuse_unfinished(spec)
        model = open_model(spec, fold=fold, checkpoint=checkpoint, base=base, orientation=orientation)
        self._key, self._model = (*key, _stamp(model)), model
        return model


def _stamp(model: FoundationModel) -> tuple:
    """Changes when a file of the model, or of the base it stands on, is replaced."""
    places = [Path(one.location) for one in (model, model.base) if one is not None]
    places = [archive_of(place) or place for place in places]
    files = [file for place in places for file in ([place] if place.is_file() else _files_of(place))]
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


def _files_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix in MODEL_FILES and file.is_file())
