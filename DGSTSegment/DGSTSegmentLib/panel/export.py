"""Findings, and the lymph nodes of the annotation, as files that other programs read."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..atomic import atomic_path, write_table
from ..errors import InputError
from ..imaging.finding import CSV_COLUMNS, csv_cells
from . import bridge, roles
from .prediction import ACCEPTED, Prediction
from .reviewed import BY_HAND, CORRECTED, LymphNode, lymphNodesOf

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
    items = [item for item in prediction.findings() if item.number in numbers]
    if not items:
        raise InputError(_("No finding is shown, so there is nothing to save; show smaller ones too."))
    made = ("AUTOMATIC", _longString(prediction.modelTitle))
    rows = {item.segmentId: (item.number, *made) for item in items}
    _save(_Segments(prediction.node, prediction.scan, rows), path)


def saveReviewedSegmentation(scan, path: Path) -> None:
    """Write the annotation of a scan as a segmentation on the scan's grid, each lymph node with its number as value.

    Args:
        scan: whose lymph nodes.
        path: as for ``saveSegmentation``.

    Raises:
        InputError: as ``saveSegmentation``, or a transform moves the annotation.
    """
    made = {
        ACCEPTED: ("AUTOMATIC", "DGSTSegment"),
        CORRECTED: ("SEMIAUTOMATIC", "DGSTSegment"),
        BY_HAND: ("MANUAL", ""),
    }
    rows = {node.segmentId: (node.number, *made[node.source]) for node in reviewedNodes(scan)}
    _save(_Segments(roles.nodeOf(scan, roles.ANNOTATION), scan, rows), path)


def reviewedNodes(scan) -> list[LymphNode]:
    """The lymph nodes of a scan's annotation.

    Raises:
        InputError: there is none, or a transform moves the annotation.
    """
    bridge.refuseMoved(roles.nodeOf(scan, roles.ANNOTATION))
    nodes = lymphNodesOf(scan)
    if not nodes:
        raise InputError(_("The annotation is empty; accept findings and add them, or mark lymph nodes."))
    return nodes


def saveFindings(
    prediction: Prediction, numbers: list[int], overlaps: dict[int, float], corrected: Iterable[int], path: Path
) -> None:
    """Write a row a finding as the model made it: ``imaging.finding.CSV_COLUMNS``, share in the annotation, decision,
    and whether the user has corrected it there (``corrected`` has its number).

    Raises:
        InputError: the file could not be written.
    """
    items = [item for item in prediction.findings() if item.number in numbers]
    shares = {item.number: f"{overlaps.get(item.number, 0.0):.3f}" for item in items}
    rows = [
        [
            *csv_cells(replace(item.finding, centroid=prediction.centerOf(item))),
            shares[item.number],
            item.state,
            "yes" if item.number in corrected else "no",
        ]
        for item in items
    ]
    write_table(path, [[*CSV_COLUMNS, "annotated_share", "decision", "corrected"], *rows])


def saveReviewed(scan, path: Path) -> None:
    """Write a row a lymph node of the annotation, measured now: ``imaging.finding.CSV_COLUMNS``, where it comes from
    (accepted, corrected or by hand), and the name of its segment.

    Raises:
        InputError: there is none, a transform moves the annotation, or the file could not be written.
    """
    rows = [[*csv_cells(node.finding), node.source, node.name] for node in reviewedNodes(scan)]
    write_table(path, [[*CSV_COLUMNS, "source", "segment"], *rows])


@dataclass(frozen=True)
class _Segments:
    """What goes into the file of a segmentation.

    Args:
        node: holds the segments.
        scan: on whose grid they are written.
        rows: value in the file, and DICOM's algorithm type and name, by the segments' ids.
    """

    node: Any
    scan: Any
    rows: dict[str, tuple[int, str, str]]


def _save(segments: _Segments, path: Path) -> None:
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), None)
    if ending is None or (ending == ".dcm" and not canWriteDicom()):
        raise InputError(
            _("{path} is no segmentation that can be written; name it .seg.nrrd or .nii.gz.").format(path=path)
        )
    if ending == ".dcm":
        _saveDicom(segments, path)
    else:
        writer = _writeSegNrrd if ending == ".seg.nrrd" else _writeNifti
        with atomic_path(path) as partial:
            writer(segments, partial)


def _writeSegNrrd(segments: _Segments, path: Path) -> None:
    """A copy with the wanted segments only, through a storage node of its own."""
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(_copied(segments, slicer.vtkMRMLSegmentationNode())):
        raise OSError(_("the disk may be full"))


def _writeNifti(segments: _Segments, path: Path) -> None:
    """A labelmap by Slicer's own writer."""
    places = bridge.numbersOf(segments.node, list(segments.rows), segments.scan)
    values = np.array([0, *(number for number, _type, _name in segments.rows.values())], dtype=np.int16)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(bridge.labelmapOf(values[places], segments.scan)):
        raise OSError(_("the disk may be full"))


def _saveDicom(segments: _Segments, path: Path) -> None:
    """By the extension's plugin; the scan must have been loaded from DICOM, since a DICOM segmentation refers to it."""
    import DICOMSegmentationPlugin

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(segments.scan))
    if not study or study == hierarchy.GetSceneItemID():
        raise InputError(
            _("{scan} was not loaded from DICOM, so no DICOM segmentation can refer to it; save .seg.nrrd.").format(
                scan=segments.scan.GetName()
            )
        )
    node = _copied(segments, slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"))
    node.SetReferenceImageGeometryParameterFromVolumeNode(segments.scan)
    for id_, (_number, kind, name) in segments.rows.items():  # else the plugin says that all were drawn by hand
        segment = node.GetSegmentation().GetSegment(id_)
        segment.SetTag("DICOM.SegmentAlgorithmType", kind)
        if name:
            segment.SetTag("DICOM.SegmentAlgorithmName", name)
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


def _copied(segments: _Segments, node):
    """``node`` with copies of the wanted segments."""
    source, copy = segments.node.GetSegmentation(), node.GetSegmentation()
    node.SetName(segments.node.GetName())
    geometry = "Reference image geometry"
    copy.SetConversionParameter(geometry, source.GetConversionParameter(geometry))
    for id_ in segments.rows:
        copy.CopySegmentFromSegmentation(source, id_)
    return node
