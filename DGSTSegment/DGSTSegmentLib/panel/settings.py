"""What belongs to the machine and not to a case: folders, device, added models. Kept by Slicer's settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import qt

from ..training.study import STUDY_FILE

_GROUP = "DGSTSegment"


class Settings:
    """Slicer's settings under ``DGSTSegment/``."""

    @property
    def studyFolder(self) -> str:
        """Where the study lies; by default a folder beside the user's documents, which many systems copy to a cloud.
        One that was begun among them stays."""
        place = qt.QStandardPaths.writableLocation
        old = f"{place(qt.QStandardPaths.DocumentsLocation)}/DGSTSegment"
        new = f"{place(qt.QStandardPaths.HomeLocation)}/DGSTSegment study"
        return self._get("studyFolder") or (old if Path(old, STUDY_FILE).is_file() else new)

    @studyFolder.setter
    def studyFolder(self, folder: str) -> None:
        self._set("studyFolder", folder)

    @property
    def device(self) -> str:
        """``auto``, ``cpu`` or ``cuda``."""
        return self._get("device") or "auto"

    @device.setter
    def device(self, name: str) -> None:
        self._set("device", name)

    @property
    def addedModels(self) -> list[dict[str, Any]]:
        """Models that the user added: ``spec`` (a path) and ``card`` of each."""
        try:
            return json.loads(self._get("addedModels") or "[]")
        except ValueError:
            return []  # written by another program: the list starts anew, the models themselves stay where they are

    @addedModels.setter
    def addedModels(self, models: list[dict[str, Any]]) -> None:
        self._set("addedModels", json.dumps(models))

    def _get(self, key: str) -> str:
        return str(qt.QSettings().value(f"{_GROUP}/{key}", "") or "")

    def _set(self, key: str, value: str) -> None:
        qt.QSettings().setValue(f"{_GROUP}/{key}", value)
