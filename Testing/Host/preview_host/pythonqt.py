"""The module ``qt``: PySide6's classes under PythonQt's rules.

``install()`` must come after the QApplication was made and before anything else uses the classes: they are patched in
place, so that the host's own code too reads ``label.text`` and connects by signature from then on.
"""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
import types
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from . import api, dialogs, pythonqt_rules, settings, timers
from .pythonqt_signals import HostSignal

__all__ = ["HostSignal", "install"]

LIBRARIES = (QtCore, QtGui, QtWidgets)


class QtModule(types.ModuleType):
    """Holds the Qt classes that Slicer's ``qt`` holds, and no others."""

    def __getattr__(self, name: str):
        if name not in api.qt_class_names() and name != "Qt":
            raise AttributeError(f"module 'qt' has no attribute {name!r}: Slicer has none")
        for library in LIBRARIES:
            if hasattr(library, name):
                setattr(self, name, getattr(library, name))  # found at once from now on
                return getattr(library, name)
        raise AttributeError(f"module 'qt' has no attribute {name!r}: Slicer has it, the preview host has not")


def install() -> types.ModuleType:
    """Patch the classes once and put ``qt`` into ``sys.modules``."""
    if "qt" in sys.modules:
        return sys.modules["qt"]
    folder = Path(tempfile.mkdtemp(prefix="preview_host_settings_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings.install(folder)
    pythonqt_rules.apply(_classes())
    dialogs.install()
    QtCore.QTimer.singleShot = staticmethod(timers.single_shot)
    module = QtModule("qt", __doc__)
    sys.modules["qt"] = module
    return module


def _classes() -> list[type]:
    """Every class of the three libraries; bases come with them."""
    shiboken_object = QtCore.QObject.__mro__[-2]
    found = (getattr(library, name) for library in LIBRARIES for name in dir(library) if name.startswith("Q"))
    return list(dict.fromkeys(c for c in found if isinstance(c, type) and issubclass(c, shiboken_object)))
