"""Stand-in for ``slicer.app``."""

from __future__ import annotations

import os
import sys

from PySide6 import QtCore, QtGui, QtWidgets

from .io_manager import CoreIOManager
from .pythonqt_signals import HostSignal

VERSION = (5, 8, 1)


class SlicerApplication(QtWidgets.QApplication):
    """What modules ask of the application.

    Args:
        folder: takes the place of Slicer's installation and of its temporary folder.
    """

    startupCompleted = HostSignal("startupCompleted()")
    mrmlSceneChanged = HostSignal("mrmlSceneChanged(vtkMRMLScene*)")
    applicationName = property(lambda self: "Slicer")
    applicationVersion = property(lambda self: ".".join(map(str, VERSION)))
    majorVersion = property(lambda self: VERSION[0])
    minorVersion = property(lambda self: VERSION[1])
    os = property(lambda self: {"darwin": "macosx", "win32": "win"}.get(sys.platform, "linux"))
    platformName = property(lambda self: self._platform)
    slicerHome = property(lambda self: self._folder)
    temporaryPath = property(lambda self: self._folder)

    def __init__(self, folder: str):
        super().__init__(["preview_host"])
        self._platform = QtGui.QGuiApplication.platformName()  # Qt's own, not yet an attribute as in PythonQt
        self._folder = folder
        self._layout_manager = None
        self._pauses = 0

    def _set_scene(self, scene, logic, module_logics: dict[str, object]) -> None:
        self._scene, self._logic, self._module_logics = scene, logic, module_logics
        self._io_manager = CoreIOManager(scene, logic, module_logics)

    def setLayoutManager(self, manager) -> None:
        """Say who arranges the views."""
        self._layout_manager = manager

    def layoutManager(self):
        """Who arranges the views."""
        return self._layout_manager

    def mrmlScene(self):
        """The scene."""
        return self._scene

    def applicationLogic(self):
        """Slicer's application logic."""
        return self._logic

    def moduleLogic(self, moduleName: str):
        """The logic of one of Slicer's modules, or None."""
        return self._module_logics.get(moduleName)

    def coreIOManager(self) -> CoreIOManager:
        """Who loads and saves."""
        return self._io_manager

    def ioManager(self) -> CoreIOManager:
        """Who loads and saves."""
        return self._io_manager

    def settings(self):
        """The host's own settings, never the user's."""
        return QtCore.QSettings()

    def userSettings(self):
        """The same as ``settings``."""
        return QtCore.QSettings()

    def testingEnabled(self) -> bool:
        """False: messages are to be shown, as to a user."""
        return False

    def startupEnvironment(self) -> dict[str, str]:
        """The environment that Slicer was started in."""
        return dict(os.environ)

    def environment(self) -> dict[str, str]:
        """The environment of this process."""
        return dict(os.environ)

    def pauseRender(self) -> None:
        """Let views wait until ``resumeRender``; calls nest."""
        self._pauses += 1

    def resumeRender(self) -> None:
        """Undo one ``pauseRender``."""
        self._pauses -= 1
        if self._pauses < 0:
            raise RuntimeError("resumeRender without pauseRender")
        self._layout_manager.viewport().update()
