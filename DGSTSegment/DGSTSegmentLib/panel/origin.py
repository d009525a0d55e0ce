"""Which finding a segment came of, in a tag that the scene and the segmentation's file keep."""

from __future__ import annotations

import vtk

from . import bridge

FROM = "DGSTSegment.From"


def nameOf(token: str, number: int) -> str:
    """A finding's name in a tag: its prediction's token and its number there."""
    return f"{token}-{number}"


def write(segmentationNode, segmentId: str, of: str, tag: str = FROM) -> None:
    """Note the finding of that name as the segment's origin."""
    segmentationNode.GetSegmentation().GetSegment(segmentId).SetTag(tag, of)


def read(segmentationNode, tag: str = FROM) -> dict[str, str]:
    """Ids of the segments that came of a finding, by its name; of several the first."""
    segmentation, found = segmentationNode.GetSegmentation(), {}
    for id_ in bridge.segmentIds(segmentationNode):
        value = vtk.mutable("")
        if segmentation.GetSegment(id_).GetTag(tag, value) and str(value.get()):
            found.setdefault(str(value.get()), id_)
    return found
