"""Stand-in for the base class of Slicer's widgets that follow a scene."""

from __future__ import annotations

import qt

from .pythonqt_signals import HostSignal


class qMRMLWidget(qt.QWidget):
    """A widget that is told of the scene, most often by a connection of the ``.ui`` file."""

    mrmlSceneChanged = HostSignal("mrmlSceneChanged(vtkMRMLScene*)")

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self):
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene) -> None:
        """Follow a scene."""
        if scene is self._scene:
            return
        self._scene = scene
        self._scene_changed()
        self.mrmlSceneChanged.emit(scene)

    def _scene_changed(self) -> None:
        """For derived classes."""
