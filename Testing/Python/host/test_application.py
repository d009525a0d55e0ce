"""``slicer.app``, ``slicer.modules`` and the coming and going of a scripted module."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

MODULE = """
import qt
import slicer
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin
from TinyLib import part


class Tiny(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "Tiny module"


class TinyWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    heard = []

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.label = qt.QLabel(part.TEXT)
        self.layout.addWidget(self.label)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onEndClose)

    def onStartClose(self, caller, event):
        self.heard.append("start close")

    def onEndClose(self, caller, event):
        self.heard.append(f"end close, entered {self.parent.isEntered}")

    def enter(self):
        self.heard.append("enter")

    def exit(self):
        self.heard.append("exit")

    def cleanup(self):
        self.removeObservers()
        self.heard.append("cleanup")
"""


@pytest.fixture
def tiny(host, tmp_path, monkeypatch):
    """A module of a file and a package beside it, loaded; returns its widget."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "TinyLib").mkdir()
    (tmp_path / "TinyLib" / "__init__.py").touch()
    (tmp_path / "TinyLib" / "part.py").write_text('TEXT = "one"\n', encoding="utf-8")
    (tmp_path / "Tiny.py").write_text(MODULE, encoding="utf-8")
    yield host.load_module(tmp_path / "Tiny.py")
    host.leave()
    host.widget.cleanup()
    for name in [name for name in sys.modules if name.split(".")[0] in ("Tiny", "TinyLib")]:
        del sys.modules[name]


def test_a_module_is_found_where_slicer_keeps_it(host, tiny):
    import slicer

    assert slicer.modules.tiny.widgetRepresentation().self() is tiny
    assert slicer.modules.TinyWidget is tiny
    assert slicer.modules.tiny.title == "Tiny module"
    assert Path(slicer.util.modulePath("Tiny")).name == "Tiny.py"
    host.process_events()
    assert tiny.label.visible


def test_a_module_hears_of_coming_and_going(host, tiny):
    host.close_scene()
    host.leave()
    host.close_scene()
    assert tiny.heard == [
        "enter",
        "start close",
        "end close, entered True",
        "exit",
        "start close",
        "end close, entered False",
    ]


def test_reload_cleans_up_and_reads_the_file_again_but_not_what_it_imports(host, tiny, tmp_path):
    import slicer

    (tmp_path / "TinyLib" / "part.py").write_text('TEXT = "another"\n', encoding="utf-8")
    (tmp_path / "Tiny.py").write_text(MODULE.replace("Tiny module", "Tinier module"), encoding="utf-8")
    again = host.reload_module()
    assert tiny.heard == ["enter", "cleanup"], "the module stays selected"
    assert again is not tiny
    assert again.label.text == "one"
    assert slicer.modules.tiny.title == "Tinier module"
    assert again.heard == []


def test_an_exception_in_a_slot_is_collected(host, capsys):
    import qt

    def fail() -> None:
        raise RuntimeError("in a slot")

    button = qt.QPushButton()
    button.connect("clicked()", fail)
    button.click()
    assert [str(error) for error in host.errors] == ["in a slot"]
    assert "in a slot" in capsys.readouterr().err
    host.errors.clear()


def test_the_application_is_qts_own_with_what_slicer_adds(host):
    import qt
    import slicer

    heard = []
    slicer.app.connect("aboutToQuit()", lambda: heard.append("quit"))
    slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
    slicer.app.restoreOverrideCursor()
    slicer.app.processEvents()
    assert qt.QApplication.overrideCursor() is None
    assert Path(slicer.app.temporaryPath).is_dir()
    assert (slicer.app.majorVersion, slicer.app.minorVersion) >= (5, 8)
    assert slicer.app.applicationLogic().GetMRMLScene() is slicer.mrmlScene
    assert slicer.util.mainWindow() is host.window
    assert "not 3D Slicer" in host.window.windowTitle
    slicer.util.showStatusMessage("done")
    assert host.window.statusBar().currentMessage() == "done"


def test_what_slicer_has_not_is_refused(host):
    import slicer

    assert not hasattr(slicer.app, "noSuchThing")
    assert not hasattr(slicer.modules, "nosuchmodule")


def test_segmentation_logic_works_both_ways(add_volume):
    import slicer

    array = np.zeros((6, 8, 10), np.int16)
    volume = add_volume(array)
    labels = slicer.util.addVolumeFromArray(array, np.diag([-1.0, -1.0, 2.0, 1.0]), "l", "vtkMRMLLabelMapVolumeNode")
    slicer.util.arrayFromVolume(labels)[2:4, 2:4, 2:4] = 2
    slicer.util.arrayFromVolumeModified(labels)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    logic = slicer.modules.segmentations.logic()
    assert logic.ImportLabelmapToSegmentationNode(labels, segmentation)
    again = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    assert logic.ExportVisibleSegmentsToLabelmapNode(segmentation, again, volume)
    expected = slicer.util.arrayFromVolume(labels) > 0
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(again) > 0, expected)


def test_a_region_is_drawn_and_dragged_in_a_slice_view(add_volume):
    import slicer
    from preview_host.probes import drag_in_slice, pixels

    add_volume(np.full((30, 60, 60), -300, np.int16))
    before = pixels("Red")
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    roi.SetCenter(-30, -30, 30)
    roi.SetSize(20, 20, 20)
    roi.CreateDefaultDisplayNodes()
    assert (pixels("Red") != before).any()
    drag_in_slice("Red", [(-30, -30, 30), (-32, -30, 30), (-36, -30, 30)])
    assert roi.GetCenter() == pytest.approx((-36, -30, 30), abs=1)


def test_every_view_renders_when_told(add_volume):
    import slicer

    add_volume(np.zeros((6, 8, 10), np.int16))
    slicer.util.forceRenderAllViews()
    slicer.util.resetSliceViews()
    picture = slicer.app.layoutManager().sliceWidget("Red").sliceView().grab()
    assert picture.width() > 100


def test_nodes_get_a_place_in_the_subject_hierarchy(add_volume):
    import slicer

    volume = add_volume(np.zeros((6, 8, 10), np.int16))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    assert hierarchy.GetItemName(hierarchy.GetItemByDataNode(volume)) == "ct"
