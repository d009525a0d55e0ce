"""Which nodes of the scene belong to a scan, and as what; kept in the nodes, so the scene saves and restores it."""

from __future__ import annotations

import slicer

ANNOTATION, REJECTED, BEFORE, AFTER = "annotation", "rejected", "before", "after"
PREDICTIONS = (BEFORE, AFTER)
_ROLE, _SCAN, _REGION, _CASE, _STUDY = (
    "DGSTSegment.Role",
    "DGSTSegment.Scan",
    "DGSTSegment.Region",
    "DGSTSegment.Case",
    "DGSTSegment.Study",
)


def nodeOf(scan, role: str):
    """The segmentation node that is the scan's ``annotation``, ``rejected`` findings or prediction; None without."""
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if node.GetAttribute(_ROLE) == role and node.GetNodeReferenceID(_SCAN) == scan.GetID():
            return node
    return None


def makeNode(scan, role: str, name: str):
    """A new, empty segmentation node in that role."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(scan)
    claim(node, scan, role)
    return node


def claim(node, scan, role: str) -> None:
    """Give a segmentation node a role for a scan."""
    node.SetAttribute(_ROLE, role)
    node.SetNodeReferenceID(_SCAN, scan.GetID())


def scanOf(node):
    """The scan that a node belongs to; None for a stranger's."""
    return node.GetNodeReference(_SCAN)


def roleOf(node) -> str | None:
    return node.GetAttribute(_ROLE)


def regionOf(annotation):
    """The box (ROI node) inside which everything is marked; None without."""
    return annotation.GetNodeReference(_REGION)


def setRegion(annotation, roi) -> None:
    annotation.SetNodeReferenceID(_REGION, roi.GetID() if roi is not None else None)


def caseOf(scan, study: str) -> str:
    """Id of the scan's case in the study of that folder; empty where it is not in that training set."""
    return (scan.GetAttribute(_CASE) or "") if scan.GetAttribute(_STUDY) == study else ""


def setCase(scan, study: str, id_: str) -> None:
    scan.SetAttribute(_CASE, id_)
    scan.SetAttribute(_STUDY, study)


def scanOfCase(study: str, id_: str):
    """The open scan of a case; None where it is not in the scene."""
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if caseOf(node, study) == id_:
            return node
    return None
