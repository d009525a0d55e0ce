"""The preview host: one a process, with a scene that is empty at the start of each test."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HOST_FOLDER = Path(__file__).resolve().parents[2] / "Host"
NEEDS = {"PySide6": "PySide6-Essentials", "slicer_core": "slicer-core"}
DRAWING_SECONDS = 60
WINDOW = (1040, 760)
"""Pixels of the window: the panel is as wide as ever, and four views are drawn in a third of the time."""
DRAW = """
import vtkmodules.vtkRenderingOpenGL2
from vtkmodules.vtkRenderingCore import vtkRenderWindow, vtkRenderer
window = vtkRenderWindow()
window.SetOffScreenRendering(True)
window.AddRenderer(vtkRenderer())
window.Render()
"""

sys.path.insert(0, str(HOST_FOLDER))


@pytest.fixture(scope="session")
def running_host():
    """The host of this process; skips where it cannot run."""
    missing = [package for module, package in NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"the preview host needs {' and '.join(missing)}")
    environment = {"VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow"} | os.environ
    drawn = subprocess.run([sys.executable, "-c", DRAW], env=environment, capture_output=True, timeout=DRAWING_SECONDS)
    if drawn.returncode != 0:
        pytest.skip("the preview host needs OpenGL without a screen (EGL): VTK cannot draw here")
    from preview_host.start import start

    host = start()
    host.window.resize(*WINDOW)
    host.process_events()
    return host


@pytest.fixture
def host(running_host):
    """The running host with an empty scene in four views; an exception in a slot during the test fails it."""
    import slicer
    from preview_host import answers

    running_host.close_scene()
    running_host.layout_manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    running_host.process_events()
    answers.forget()
    running_host.errors.clear()
    yield running_host
    running_host.process_events()
    errors, running_host.errors[:] = list(running_host.errors), []
    assert not errors, f"not caught: {errors!r}"
    assert not answers.waiting(), "an answer was given that nothing asked for"


@pytest.fixture
def add_volume(host):
    """Adds a volume node of an array and a 4x4 from voxels (i, j, k) to RAS, and shows it in the slice views."""
    import slicer

    def add(array: np.ndarray, ijk_to_ras: np.ndarray | None = None, name: str = "ct"):
        matrix = np.diag([-1.0, -1.0, 2.0, 1.0]) if ijk_to_ras is None else ijk_to_ras
        node = slicer.util.addVolumeFromArray(array, matrix, name)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevel(400, 0)
        slicer.util.setSliceViewerLayers(background=node, fit=True)
        return node

    return add
