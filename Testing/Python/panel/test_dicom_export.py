"""Findings as a DICOM segmentation, where Slicer's plugin for it is installed."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Geometry, Volume

from .conftest import balls, mark, predicted, save_as


@pytest.fixture
def plugin(monkeypatch):
    """A stand-in for QuantitativeReporting's plugin: it names the file itself and takes a whole node, as that does."""
    import slicer
    import vtk

    exported = []

    class Plugin:
        def examineForExport(self, item):
            return [types.SimpleNamespace(item=item, directory="")]

        def export(self, exportables):
            hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
            for exportable in exportables:
                node = hierarchy.GetItemDataNode(exportable.item)
                if node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is None:
                    return "Referenced volume is not found for the segmentation"
                kinds = []
                for n in range(node.GetSegmentation().GetNumberOfSegments()):
                    kind = vtk.mutable("")  # without it the plugin writes MANUAL
                    node.GetSegmentation().GetNthSegment(n).GetTag("DICOM.SegmentAlgorithmType", kind)
                    kinds.append(str(kind.get()))
                exported.append(kinds)
                (Path(exportable.directory) / "subject_hierarchy_export.SEG.dcm").write_bytes(b"DICM")
            return ""

    module = types.ModuleType("DICOMSegmentationPlugin")
    module.__spec__ = importlib.machinery.ModuleSpec("DICOMSegmentationPlugin", None)
    module.DICOMSegmentationPluginClass = Plugin
    monkeypatch.setitem(sys.modules, "DICOMSegmentationPlugin", module)
    monkeypatch.setattr(slicer.modules, "dicom", object(), raising=False)
    return exported


@pytest.fixture
def found(host, panel):
    shape = (30, 40, 40)
    array = balls(shape, [(10, 10, 10), (10, 30, 30), (22, 20, 20)], [6, 5, 4]).astype(np.uint16)
    return predicted(panel, host, Volume(array, Geometry.from_parts(shape, (1, 1, 1))))


def under_a_study(node):
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), study)


def test_the_findings_shown_go_into_the_file_that_was_asked_for(found, panel, ui, plugin, tmp_path):
    import slicer
    from preview_host import answers

    under_a_study(found.scan)
    panel.review.goTo(panel.review.table.numbers[0])
    ui.rejectButton.click()
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    answers.give(str(tmp_path / "mine.dcm"))
    assert not any("QuantitativeReporting" in action.text for action in ui.exportSegmentationButton.menu().actions())
    save_as(ui, "DICOM")
    assert (tmp_path / "mine.dcm").read_bytes() == b"DICM"
    assert plugin == [["AUTOMATIC", "AUTOMATIC"]], "three findings, one of them rejected"
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == before


def test_the_reviewed_result_says_what_a_model_and_what_the_reader_outlined(found, panel, ui, logic, plugin, tmp_path):
    from preview_host import answers

    under_a_study(found.scan)
    panel.review.review.accept(panel.review.table.numbers[0])
    panel.review.review.apply()
    drawn = np.zeros((30, 40, 40), bool)
    drawn[2:6, 20:24, 20:24] = True
    mark(logic, found.scan, drawn)
    panel.review.reload()
    answers.give(str(tmp_path / "mine.dcm"))
    save_as(ui, "DICOM", "Reviewed result")
    assert plugin == [["AUTOMATIC", "MANUAL"]] and (tmp_path / "mine.dcm").exists()


def test_a_scan_that_did_not_come_from_dicom_is_refused_in_a_sentence(plugin, found, ui, tmp_path):
    from preview_host import answers

    answers.give(str(tmp_path / "mine"))
    save_as(ui, "DICOM")
    assert any("was not loaded from DICOM" in text for text in answers.shown)
    assert list(tmp_path.glob("*.dcm")) == []


def test_without_the_plugin_dicom_is_not_written_and_its_entry_names_the_extension(found, panel, ui, tmp_path, refusal):
    from DGSTSegmentLib.panel import export

    assert not export.canWriteDicom()
    entries = [action for action in ui.exportSegmentationButton.menu().actions() if "DICOM" in action.text]
    assert len(entries) == 2 and all(entry.visible and not entry.enabled for entry in entries)
    assert all("QuantitativeReporting" in entry.text for entry in entries)
    with pytest.raises(refusal, match="no segmentation that can be written"):
        export.saveSegmentation(panel.review.review.prediction, [1], tmp_path / "mine.dcm")
