"""What the preview host can be told to do: load, select and reload a module, close the scene."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path

import qt
import slicer

from .layout import qMRMLLayoutManager
from .module_panel import ModulePanel
from .modules import ScriptedModule
from .window import PreviewWindow


class Host:
    """A running preview host. One a process: see ``start.start``.

    Attributes:
        window: the main window.
        errors: exceptions that nobody caught, such as those of slots; VTK and Qt only print them.
    """

    def __init__(self, application, scene, keep: list):
        self.application, self.scene = application, scene
        self.errors: list[BaseException] = []
        self._keep = keep
        self._module: ScriptedModule | None = None
        self._selected: ScriptedModule | None = None
        sys.excepthook = self._collect
        self.window = PreviewWindow()
        self.layout_manager = qMRMLLayoutManager(self.window.viewport, scene, application.applicationLogic())
        application.setLayoutManager(self.layout_manager)
        self.layout_manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self.window.show()
        self.process_events()

    def load_module(self, path: str | Path):
        """Import a scripted module's file, make its widget and enter it, as selecting it in Slicer does.

        Returns:
            the Python widget, which ``slicer.modules.<name>.widgetRepresentation().self()`` is too.
        """
        path = Path(path).resolve()
        self.leave()
        self._module = ScriptedModule(path.stem, str(path))
        self._make(path)
        self.application.startupCompleted.emit()
        self.enter()
        return self.widget

    def reload_module(self):
        """What "Reload" in Slicer's developer section does.

        Returns:
            the new Python widget.
        """
        self.widget.onReload()
        return self.widget

    def make_again(self) -> None:
        """What is left to Slicer of a reload: end the panel, read the module's file again, make a new panel. The module
        stays selected all the while, and is neither left nor entered."""
        self.widget.cleanup()
        self._make(Path(self._module.path), entered=self._selected is not None)

    @property
    def widget(self):
        """The loaded module's Python widget."""
        return self._module.widgetRepresentation().self()

    def enter(self) -> None:
        """Select the loaded module."""
        if self._selected is None and self._module is not None:
            self._selected = self._module
            self._module.widgetRepresentation().enter()

    def leave(self) -> None:
        """Select another module."""
        if self._selected is not None:
            selected, self._selected = self._selected, None
            selected.widgetRepresentation().exit()

    def close_scene(self) -> None:
        """What "Close scene" in Slicer's menu does."""
        self.scene.Clear(0)
        self.process_events()

    def process_events(self) -> None:
        """Let Qt do what waits, deferred deletions included."""
        self.application.processEvents()
        self.application.sendPostedEvents(None, qt.QEvent.DeferredDelete)

    def _make(self, path: Path, entered: bool = False) -> None:
        module = _imported(path)
        name = self._module.name
        declared = getattr(module, name)(self._module)
        setattr(slicer.modules, name.lower(), self._module)
        setattr(slicer.modules, f"{name}Instance", declared)
        panel = ModulePanel(self.scene, entered=entered)
        widget = getattr(module, f"{name}Widget")(panel)
        panel.hold(widget)
        self._module.represent(panel)
        setattr(slicer.modules, f"{name}Widget", widget)
        self.window.show_panel(panel, self._module.title)
        widget.setup()

    def _collect(self, kind, error, trace) -> None:
        self.errors.append(error)
        traceback.print_exception(kind, error, trace)


def _imported(path: Path):
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
