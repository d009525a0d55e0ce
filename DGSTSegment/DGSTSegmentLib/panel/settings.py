"""What belongs to the machine and not to a case: folders, device, added models. Kept by Slicer's settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import qt

_GROUP = "DGSTSegment"


class Settings:
    """Slicer's settings under ``DGSTSegment/``."""

    @property
    def studyFolder(self) -> str:
        """Where the study lies; by default a folder beside the user's documents, which many systems copy to a cloud."""
        home = qt.QStandardPaths.writableLocation(qt.QStandardPaths.HomeLocation)
        return self._get("studyFolder") or f"{home}/DGSTSegment study"

    @studyFolder.setter
    def studyFolder(self, folder: str) -> None:
        self._set("studyFolder", folder)

    @property
    def saveFolder(self) -> str:
        """The folder of the last file that was saved; empty where none was, or where it is gone."""
        folder = self._get("saveFolder")
        return folder if folder and Path(folder).is_dir() else ""

    @saveFolder.setter
    def saveFolder(self, folder: str) -> None:
        self._set("saveFolder", folder)

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
