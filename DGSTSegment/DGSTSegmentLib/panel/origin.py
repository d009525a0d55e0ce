"""Which finding a segment came of, in a tag that the scene and the segmentation's file keep."""

from __future__ import annotations

import hashlib

import numpy as np
import vtk

from . import bridge
from .placed import PlacedMask

FROM, SHAPE, HOLDS = "DGSTSegment.From", "DGSTSegment.ShapeFound", "DGSTSegment.Holds"
"""Tags: the finding's name; ``shapeOf`` it, which tells a lymph node that the user has worked on since; the names of
further findings that became part of the segment."""


def nameOf(token: str, number: int) -> str:
    """A finding's name in a tag: its prediction's token and its number there."""
    return f"{token}-{number}"


def write(segmentationNode, segmentId: str, of: str, tag: str = FROM) -> None:
    """Note in a segment's tag what it came of."""
    segmentationNode.GetSegmentation().GetSegment(segmentId).SetTag(tag, of)


def read(segmentationNode, tag: str = FROM) -> dict[str, str]:
    """Ids of the segments that came of a finding, by its name; of several the first."""
    found = {}
    for id_ in bridge.segmentIds(segmentationNode):
        of = tagOf(segmentationNode, id_, tag)
        if of:
            found.setdefault(of, id_)
    return found


def addHeld(segmentationNode, segmentId: str, of: str) -> None:
    """Note that a finding became part of a segment."""
    write(segmentationNode, segmentId, " ".join([*tagOf(segmentationNode, segmentId, HOLDS).split(), of]), HOLDS)


def readHeld(segmentationNode) -> dict[str, str]:
    """Ids of the segments that a finding became part of, by its name."""
    ids = bridge.segmentIds(segmentationNode)
    return {of: id_ for id_ in ids for of in tagOf(segmentationNode, id_, HOLDS).split()}


def segmentsOf(segmentationNode) -> dict[str, str]:
    """Ids of the segments that came of a finding, or that it became part of, by its name."""
    return readHeld(segmentationNode) | read(segmentationNode)


def tagOf(segmentationNode, segmentId: str, tag: str = FROM) -> str:
    """What a segment's tag says; empty without."""
    value = vtk.mutable("")
    has = segmentationNode.GetSegmentation().GetSegment(segmentId).GetTag(tag, value)
    return str(value.get()) if has else ""


def shapeOf(placed: PlacedMask) -> str:
    """Tells the voxels of a mask from any others of the scan."""
    return hashlib.sha256((np.argwhere(placed.mask) + placed.first).astype("<i4").tobytes()).hexdigest()[:16]


def isAsFound(segmentationNode, segmentId: str, placed: PlacedMask, slices: int) -> bool:
    """Whether a segment has the shape of the finding still that it came of.

    Args:
        placed: where it lies on the scan's grid now.
        slices: of that grid, along k; Slicer may have turned their order since, as it does with left-handed scans.
    """
    found = tagOf(segmentationNode, segmentId, SHAPE)
    return bool(found) and any(shapeOf(one) == found for one in (placed, placed.turned(slices)))
