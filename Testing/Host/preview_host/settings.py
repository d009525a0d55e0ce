"""``qt.QSettings`` and the standard folders of the host: in its own temporary folder, never the user's."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore

ORGANIZATION, APPLICATION = "DGSTSegmentPreview", "PreviewHost"


def install(folder: Path) -> None:
    """From now on a QSettings made without a file name keeps its values under ``folder``."""
    core, settings = QtCore.QCoreApplication, QtCore.QSettings
    core.setOrganizationName(ORGANIZATION)
    core.setApplicationName(APPLICATION)
    settings.setDefaultFormat(settings.Format.IniFormat)
    for scope in (settings.Scope.UserScope, settings.Scope.SystemScope):
        for kind in (settings.Format.IniFormat, settings.Format.NativeFormat):
            settings.setPath(kind, scope, str(folder))
    settings.value = _without_type(settings.value)
    QtCore.QStandardPaths.writableLocation = staticmethod(lambda kind: str(folder / kind.name))


def _without_type(value):
    """PySide6 can convert a value to a type that is named; Slicer's QSettings can not."""
    return lambda self, key, default=None: value(self, key, default)
