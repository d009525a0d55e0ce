"""What a lymph node is called and colored in Slicer."""

from __future__ import annotations

from slicer.i18n import tr as _

TERMINOLOGY = (
    "Segmentation category and type - 3D Slicer General Anatomy list"
    "~SCT^123037004^Anatomical Structure~SCT^59441001^Lymph node~^^~Anatomic codes - DICOM master list~^^~^^"
)
"""SNOMED CT: anatomical structure, lymph node."""

SOFT_TISSUE_HU = (-50, 250)
"""What the brush may paint on: lymph nodes with or without contrast, neither fat nor bone."""

COLORS = {
    "annotation": (68 / 255, 172 / 255, 100 / 255),
    "before": (0.95, 0.62, 0.20),
    "after": (0.20, 0.60, 1.00),
    "annotated": (68 / 255, 172 / 255, 100 / 255),
    "accepted": (0.75, 0.95, 0.25),
    "refused": (0.60, 0.60, 0.60),
    "rejected": (0.60, 0.60, 0.60),
}


def addLymphNode(segmentationNode) -> str:
    """A new, empty segment with the lymph node's terminology and color; returns its id."""
    id_ = _add(segmentationNode, _("Lymph node {number}"), "annotation")
    segment = segmentationNode.GetSegmentation().GetSegment(id_)
    segment.SetTag(segment.GetTerminologyEntryTagName(), TERMINOLOGY)
    return id_


def keepName(segmentationNode, segmentId: str, name: str) -> None:
    """Call a new segment as it was called elsewhere, unless another one is called so already."""
    segmentation = segmentationNode.GetSegmentation()
    count = segmentation.GetNumberOfSegments()
    if name not in {segmentation.GetNthSegment(n).GetName() for n in range(count)}:
        segmentation.GetSegment(segmentId).SetName(name)


def describe(segment, name: str, color: str) -> None:
    """Give a segment its name, a color of ``COLORS`` and the lymph node's terminology."""
    segment.SetName(name)
    segment.SetColor(*COLORS[color])
    segment.SetTag(segment.GetTerminologyEntryTagName(), TERMINOLOGY)


def addRejected(segmentationNode) -> str:
    """A new, empty segment for a finding that is no lymph node; returns its id."""
    return _add(segmentationNode, _("Rejected finding {number}"), "rejected")


def addErased(segmentationNode) -> str:
    """A new, empty segment for what a finding had beside the lymph node; returns its id."""
    return _add(segmentationNode, _("Erased from a finding {number}"), "rejected")


def _add(segmentationNode, name: str, color: str) -> str:
    """A new, empty segment with the first number that no other segment's name has."""
    segmentation = segmentationNode.GetSegmentation()
    count = segmentation.GetNumberOfSegments()
    taken = {segmentation.GetNthSegment(n).GetName() for n in range(count)}
    number = next(n for n in range(count + 1, 2 * count + 2) if name.format(number=n) not in taken)
    return segmentation.AddEmptySegment("", name.format(number=number), COLORS[color])
