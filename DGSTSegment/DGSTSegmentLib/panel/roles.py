"""Which nodes of the scene belong to a scan, and as what; kept in the nodes, so the scene saves and restores it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import slicer
from slicer.i18n import tr as _

ANNOTATION, REJECTED, BEFORE, AFTER = "annotation", "rejected", "before", "after"
PREDICTIONS = (BEFORE, AFTER)
BOTH = "both"
"""Not a role: both predictions, where the user chooses what is shown."""
_NAMES = {ANNOTATION: _("{scan}: lymph nodes"), REJECTED: _("{scan}: no lymph nodes")}
_ROLE, _SCAN, _REGION, _CASES = "DGSTSegment.Role", "DGSTSegment.Scan", "DGSTSegment.Region", "DGSTSegment.Cases"
_FAMILY = "DGSTSegment.Family"
"""The reference to a scan ends with the scan; this attribute tells still which nodes had the same."""
_COMPLETENESS, _SELF = "DGSTSegment.Completeness", "DGSTSegment.Self"
"""A reference of a scan with cases to itself, and an attribute that says that there is one."""


def nodeOf(scan, role: str):
    """The segmentation node that is the scan's ``annotation``, ``rejected`` findings or prediction; None without."""
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if node.GetAttribute(_ROLE) == role and node.GetNodeReferenceID(_SCAN) == scan.GetID():
            return node
    return None


def markNodesOf(scan) -> tuple:
    """The nodes of the scan's annotation and of its rejected findings; None for one that there is not."""
    return nodeOf(scan, ANNOTATION), nodeOf(scan, REJECTED)


def makeNode(scan, role: str, name: str):
    """A new, empty segmentation node in that role."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(scan)
    claim(node, scan, role)
    return node


def annotationOf(scan):
    """The scan's annotation node, made when there is none."""
    return nodeOf(scan, ANNOTATION) or makeNode(scan, ANNOTATION, nameOf(scan.GetName(), ANNOTATION))


def rejectedOf(scan):
    """The node of the scan's rejected findings, made when there is none; hidden, as they would cover the scan."""
    node = nodeOf(scan, REJECTED)
    if node is None:
        node = makeNode(scan, REJECTED, nameOf(scan.GetName(), REJECTED))
        node.GetDisplayNode().SetVisibility(False)
    return node


def nameOf(scan: str, role: str) -> str:
    """What the annotation or the rejected findings of a scan of that name are called."""
    return _NAMES[role].format(scan=scan)


def claim(node, scan, role: str) -> None:
    """Give a segmentation node a role for a scan."""
    node.SetAttribute(_ROLE, role)
    node.SetAttribute(_FAMILY, _familyOf(scan))
    node.SetNodeReferenceID(_SCAN, scan.GetID())
    _putBeside(node, scan)


def _familyOf(scan) -> str:
    """What the segmentations of a scan have in common; ids of deleted scans are given to others again."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    known = (node.GetAttribute(_FAMILY) for node in nodes if node.GetNodeReferenceID(_SCAN) == scan.GetID())
    return next(filter(None, known), None) or uuid.uuid4().hex[:12]


def _putBeside(node, scan) -> None:
    """Put a node beside the scan in the Data module, where it goes with the scan's patient and study."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item, scanItem = (hierarchy.GetItemByDataNode(each) for each in (node, scan))
    if item and scanItem:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(scanItem))


def scanOf(node):
    """The scan that a node belongs to; None for a stranger's."""
    return node.GetNodeReference(_SCAN)


def roleOf(node) -> str | None:
    return node.GetAttribute(_ROLE)


def completenessOf(annotation) -> str:
    """What an unmarked voxel of the annotation means: a name in ``training.case_files.COMPLETENESS``."""
    return (annotation.GetAttribute(_COMPLETENESS) if annotation is not None else None) or "marked"


def setCompleteness(annotation, name: str) -> None:
    annotation.SetAttribute(_COMPLETENESS, name)


def regionOf(annotation):
    """The box (ROI node) inside which everything is marked; None without."""
    return annotation.GetNodeReference(_REGION)


def setRegion(annotation, roi) -> None:
    annotation.SetNodeReferenceID(_REGION, roi.GetID() if roi is not None else None)
    if roi is not None:
        _putBeside(roi, scanOf(annotation))


def giveUp(scan) -> None:
    """Take a scan's annotation, its box and its rejected findings out of the scene; another scan has them now."""
    nodes = markNodesOf(scan)
    for node in [*(regionOf(node) for node in nodes if node is not None), *nodes]:
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)


def caseOf(scan, study: str) -> str:
    """Id of the scan's case in the study of that key; empty where it is not in that training set."""
    return _casesOf(scan).get(study, "") if study else ""


def setCase(scan, study: str, id_: str) -> None:
    """A scan may be in the training sets of several studies."""
    if _isCopy(scan):
        scan.RemoveAttribute(_CASES)
    setByStudy(scan, _CASES, study, id_)
    scan.SetAttribute(_SELF, "referenced")
    scan.SetNodeReferenceID(_SELF, scan.GetID())


def _casesOf(scan) -> dict[str, str]:
    return {} if _isCopy(scan) else byStudy(scan, _CASES)


def byStudy(scan, attribute: str) -> dict[str, str]:
    """What an attribute of the scan holds for each study, by the study's key."""
    return json.loads(scan.GetAttribute(attribute) or "{}")


def setByStudy(scan, attribute: str, study: str, value: str) -> None:
    """Keep what an attribute of the scan holds for the study of that key, beside what it holds for others."""
    scan.SetAttribute(attribute, json.dumps({**byStudy(scan, attribute), study: value}))


def _isCopy(scan) -> bool:
    """A copy takes all attributes along, and a reference to the original, which ends with that."""
    return scan.GetAttribute(_SELF) is not None and scan.GetNodeReferenceID(_SELF) != scan.GetID()


def showOnly(scan) -> None:
    """Hide what belongs to other scans: it would lie over this one. The scan's own annotation is shown."""
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if roleOf(node) is None or node.GetDisplayNode() is None:
            continue
        if scanOf(node) is not scan:
            node.GetDisplayNode().SetVisibility(False)
            if regionOf(node) is not None:
                regionOf(node).GetDisplayNode().SetVisibility(False)
        elif roleOf(node) == ANNOTATION:
            node.GetDisplayNode().SetVisibility(True)


def withoutScan() -> list[dict[str, Any]]:
    """The segmentations of each scan that has left the scene, by their roles. A scene that an earlier version saved
    does not tell which of them were one scan's: there each stands alone."""
    lost: dict[str, dict[str, Any]] = {}
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if roleOf(node) is not None and scanOf(node) is None:
            lost.setdefault(node.GetAttribute(_FAMILY) or node.GetID(), {})[roleOf(node)] = node
    return list(lost.values())


def scanOfCase(study: str, id_: str):
    """The open scan of a case; None where it is not in the scene."""
    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if caseOf(node, study) == id_:
            return node
    return None
