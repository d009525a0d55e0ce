"""Surfaces of findings for the 3D view, made one by one from the few voxels around each.

Slicer's own conversion walks through the whole labelmap that all segments share, once for each of them: half a minute
for forty findings in a large CT. Its joint smoothing takes half of that, and leaves points without polygons.
"""

from __future__ import annotations

from collections.abc import Iterable

import slicer

from ..imaging.geometry import Geometry
from . import bridge
from .placed import PlacedMask


def makeSurfaces(segmentationNode, masks: Iterable[tuple[str, PlacedMask]], geometry: Geometry) -> None:
    """Give segments the closed surfaces that Slicer would make of them.

    Args:
        segmentationNode: holds the segments.
        masks: each segment's id, and where it lies.
        geometry: of the grid that the masks lie on.
    """
    labelmap = bridge.labelmapName()
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    alone = slicer.vtkSegmentation()
    alone.SetSourceRepresentationName(labelmap)
    for id_, placed in masks:
        segment = slicer.vtkSegment()
        segment.AddRepresentation(labelmap, bridge.imageOf(placed, geometry))
        alone.AddSegment(segment, id_)
    alone.CreateRepresentation(surface)
    segmentation = segmentationNode.GetSegmentation()
    for id_ in (alone.GetNthSegmentID(n) for n in range(alone.GetNumberOfSegments())):
        segmentation.GetSegment(id_).AddRepresentation(surface, alone.GetSegment(id_).GetRepresentation(surface))
    segmentation.InvokeEvent(slicer.vtkSegmentation.ContainedRepresentationNamesModified)
