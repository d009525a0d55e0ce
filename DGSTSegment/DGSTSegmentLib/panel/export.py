"""Findings as files that other programs read."""

from __future__ import annotations

import csv
import importlib.util
import io
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..atomic import atomic_path, write_text
from ..errors import InputError
from ..imaging.finding import CSV_COLUMNS, csv_cells
from . import bridge
from .prediction import Prediction, ReviewedFinding

ENDINGS = (".seg.nrrd", ".nii.gz", ".dcm")


def withEnding(path: Path, ending: str) -> Path:
    """``path`` named by that ending, in the place of another format's or of the part of it that a dialog put there."""
    name = path.name
    for known in (ending, *ENDINGS, ending[ending.rindex(".") :]):
        if name.lower().endswith(known) and len(name) > len(known):
            name = name[: -len(known)]
            break
    return path.with_name(name + ending)


def proposedName(scanName: str, name: str) -> str:
    """A name for a file of a scan's findings that every system takes; a series may be called "4: Thorax/Abdomen"."""
    return re.sub(r'[\\/:*?"<>|\s]+', "-", f"{scanName}-{name}")


def canWriteDicom() -> bool:
    """Whether Slicer's plugin for DICOM segmentations is installed (extension QuantitativeReporting)."""
    return hasattr(slicer.modules, "dicom") and importlib.util.find_spec("DICOMSegmentationPlugin") is not None


def saveSegmentation(prediction: Prediction, numbers: list[int], path: Path) -> None:
    """Write findings as a segmentation on the scan's grid, each with its number as value.

    Args:
        prediction: whose findings.
        numbers: of the findings to write.
        path: ends in ``.seg.nrrd``, ``.nii.gz``, or ``.dcm`` where ``canWriteDicom``.

    Raises:
        InputError: another ending, nothing to write, or the file could not be written; ``path`` is then as it was.
    """
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), None)
    if ending is None or (ending == ".dcm" and not canWriteDicom()):
        raise InputError(
            _("{path} is no segmentation that can be written; name it .seg.nrrd or .nii.gz.").format(path=path)
        )
    items = [item for item in prediction.findings() if item.number in numbers]
    if not items:
        raise InputError(_("No finding is shown, so there is nothing to save; show smaller ones too."))
    if ending == ".dcm":
        _saveDicom(prediction, items, path)
    else:
        writer = _writeSegNrrd if ending == ".seg.nrrd" else _writeNifti
        with atomic_path(path) as partial:
            writer(prediction, items, partial)


def saveFindings(prediction: Prediction, numbers: list[int], overlaps: dict[int, float], path: Path) -> None:
    """Write a row a finding: ``imaging.finding.CSV_COLUMNS``, share in the annotation, decision.

    Raises:
        InputError: the file could not be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, "annotated_share", "decision"])
    for item in prediction.findings():
        if item.number in numbers:
            writer.writerow([*csv_cells(item.finding), f"{overlaps.get(item.number, 0.0):.3f}", item.state])
    write_text(path, text.getvalue())


def _writeSegNrrd(prediction: Prediction, items: list[ReviewedFinding], path: Path) -> None:
    """A copy with the wanted segments only, through a storage node of its own."""
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(_copied(prediction, items, slicer.vtkMRMLSegmentationNode())):
        raise OSError(_("the disk may be full"))


def _writeNifti(prediction: Prediction, items: list[ReviewedFinding], path: Path) -> None:
    """A labelmap by Slicer's own writer."""
    places = bridge.numbersOf(prediction.node, [item.segmentId for item in items], prediction.scan)
    values = np.array([0, *(item.number for item in items)], dtype=np.int16)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(bridge.labelmapOf(values[places], prediction.scan)):
        raise OSError(_("the disk may be full"))


def _saveDicom(prediction: Prediction, items: list[ReviewedFinding], path: Path) -> None:
    """By the extension's plugin; the scan must have been loaded from DICOM, since a DICOM segmentation refers to it."""
    import DICOMSegmentationPlugin

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(prediction.scan))
    if not study or study == hierarchy.GetSceneItemID():
        raise InputError(
            _("{scan} was not loaded from DICOM, so no DICOM segmentation can refer to it; save .seg.nrrd.").format(
                scan=prediction.scan.GetName()
            )
        )
    node = _copied(prediction, items, slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"))
    node.SetReferenceImageGeometryParameterFromVolumeNode(prediction.scan)
    for id_ in bridge.segmentIds(node):  # else the plugin says that they were drawn by hand
        segment = node.GetSegmentation().GetSegment(id_)
        segment.SetTag("DICOM.SegmentAlgorithmType", "AUTOMATIC")
        segment.SetTag("DICOM.SegmentAlgorithmName", _longString(prediction.modelTitle))
    try:
        item = hierarchy.GetItemByDataNode(node)
        hierarchy.SetItemParent(item, study)
        _exportItem(DICOMSegmentationPlugin.DICOMSegmentationPluginClass(), item, path)
    finally:
        slicer.mrmlScene.RemoveNode(node)


def _longString(text: str) -> str:
    """``text`` as DICOM's value representation LO takes it in its default character set."""
    return text.encode("ascii", "replace").decode().replace("\\", "/")[:64] or "DGSTSegment"


def _exportItem(plugin, item: int, path: Path) -> None:
    """The plugin names the file itself, so it works in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="dgst-dicom-") as folder:
        exportables = plugin.examineForExport(item)
        for exportable in exportables:
            exportable.directory = folder
        reason = plugin.export(exportables) if exportables else _("the segmentation cannot be exported")
        made = sorted(Path(folder).rglob("*.dcm"))
        if reason or not made:
            raise InputError(_("The DICOM segmentation was not written: {reason}.").format(reason=reason or "?"))
        with atomic_path(path) as partial:
            shutil.copyfile(made[0], partial)


def _copied(prediction: Prediction, items: list[ReviewedFinding], node):
    """``node`` with copies of some of a prediction's segments."""
    source, copy = prediction.node.GetSegmentation(), node.GetSegmentation()
    node.SetName(prediction.node.GetName())
    geometry = "Reference image geometry"
    copy.SetConversionParameter(geometry, source.GetConversionParameter(geometry))
    for item in items:
        copy.CopySegmentFromSegmentation(source, item.segmentId)
    return node
