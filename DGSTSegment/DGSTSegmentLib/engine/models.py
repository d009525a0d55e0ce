"""The model that the engine keeps opened, so that a second prediction does not read it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class OpenedModel:
    """Keeps the last opened model; it is read again when another is asked for or its files have changed."""

    def __init__(self):
        self._key: tuple | None = None
        self._model: Any = None

    def get(self, spec: str, base: str | None = None, fold: int | str | None = None) -> Any:
        """The ``networks.foundation.FoundationModel`` of ``spec``.

        Raises:
            InputError: it cannot be opened.
        """
        from ..networks.foundation import open_model

        key = (spec, base, fold)
        if self._model is not None and self._key == (*key, _stamp(self._model.location)):
            return self._model
        self._key = self._model = None  # frees the old one first
        model = open_model(spec, fold=fold, base=base)
        self._key, self._model = (*key, _stamp(model.location)), model
        return model


def _stamp(location: Path) -> tuple:
    """Changes when a file of the model is replaced."""
    location = Path(location)
    files = [location] if location.is_file() else sorted(path for path in location.glob("*") if path.is_file())
    return tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in files)
