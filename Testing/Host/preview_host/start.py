"""Starts the preview host: what is Slicer's own, and stand-ins for the rest, in the order that they need."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile

FOLDER_PREFIX = "preview_host_"
_host = None


def start():
    """The host of this process, started with the first call.

    Raises:
        ImportError: without PySide6 or slicer-core.
    """
    global _host
    if _host is None:
        _set_environment()
        _host = _started()
    return _host


def _set_environment() -> None:
    """Before Qt and VTK are loaded, which read it once."""
    if sys.platform.startswith("linux"):
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
        os.environ.setdefault("LIBGL_ALWAYS_SOFTWARE", "1")
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def _started():
    folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    import slicer
    import vtk  # noqa: F401 Slicer has it loaded whole before any module

    from . import logics, pythonqt
    from .application import SlicerApplication
    from .subject_hierarchy import SubjectHierarchyPlugins

    application = SlicerApplication(folder)
    qt = pythonqt.install()
    scene = logics.new_scene()
    logic = logics.application_logic(scene, folder)
    keep = [*logics.remote_io_logics(scene, logic), SubjectHierarchyPlugins(scene)]
    module_logics = logics.module_logics(scene, logic, folder)
    application._set_scene(scene, logic, module_logics)
    slicer.mrmlScene = scene
    slicer.app = application
    _install_modules(slicer, module_logics)
    _install_stand_ins(slicer, qt)

    from .host import Host

    return Host(application, scene, keep)


def _install_modules(slicer, module_logics: dict[str, object]) -> None:
    from .modules import CoreModule, Modules

    slicer.modules = Modules()
    for name, logic in module_logics.items():
        setattr(slicer.modules, name.lower(), CoreModule(name, logic))


def _install_stand_ins(slicer, qt) -> None:
    from . import ctk_widgets, gui_util, parameter_node, scripted

    ctk = ctk_widgets.install()
    scripted.install(slicer)
    parameter_node.install(slicer)
    gui_util.install(slicer, qt, ctk)

    from .node_combo_box import qMRMLNodeComboBox
    from .plot_widget import qMRMLPlotView, qMRMLPlotWidget
    from .segment_editor import qMRMLSegmentEditorWidget
    from .widget_base import qMRMLWidget

    for cls in (qMRMLNodeComboBox, qMRMLPlotView, qMRMLPlotWidget, qMRMLSegmentEditorWidget, qMRMLWidget):
        setattr(slicer, cls.__name__, cls)
        gui_util.WIDGET_CLASSES[cls.__name__] = cls
