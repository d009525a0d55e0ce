"""What a scripted module's widget lies in."""

from __future__ import annotations

import qt


class ModulePanel(qt.QWidget):
    """Stand-in for qSlicerScriptedLoadableModuleWidget: the ``parent`` of a module's Python widget."""

    def __init__(self, scene, parent=None, entered: bool = False):
        super().__init__(parent)
        self._scene = scene
        self._python_widget = None
        self._entered = entered
        qt.QVBoxLayout(self)

    def hold(self, python_widget) -> None:
        """Say which Python object fills this panel."""
        self._python_widget = python_widget

    isEntered = property(lambda self: self._entered)

    def enter(self) -> None:
        """The module was selected."""
        self._entered = True
        self._python_widget.enter()

    def exit(self) -> None:
        """Another module was selected."""
        self._entered = False
        self._python_widget.exit()

    def self(self):
        """The module's Python widget."""
        return self._python_widget

    def mrmlScene(self):
        """The scene."""
        return self._scene

    def setMRMLScene(self, scene) -> None:
        """The scene is one for all; here since Slicer's template calls it."""
        self._scene = scene
