"""The reviewed result: the lymph nodes of a scan's annotation as they stand, each measured now."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..imaging.finding import Finding
from . import bridge, origin, roles
from .measuring import measure
from .placed import PlacedMask
from .prediction import ACCEPTED

CORRECTED, BY_HAND = "corrected", "by hand"
"""Where a lymph node comes from, beside ``ACCEPTED``: drawn by the user, wholly or over what the model had found."""
_measured: dict[str, dict[tuple, Finding]] = {}
"""By a scan's id: what was measured of its lymph nodes, by all that the measurements depend on."""


@dataclass(frozen=True)
class LymphNode:
    """A lymph node of the annotation.

    Args:
        finding: its measurements; its number is its place among the lymph nodes, from 1, and its box lies in the scan.
        segmentId: of the annotation.
        name: of that segment.
        source: ``ACCEPTED``, ``CORRECTED`` or ``BY_HAND``.
        isCut: it reaches the end of the scan, so that it may be larger than it measures.
    """

    finding: Finding
    segmentId: str
    name: str
    source: str
    isCut: bool = False

    @property
    def number(self) -> int:
        return self.finding.number


def lymphNodesOf(scan) -> list[LymphNode]:
    """All lymph nodes of a scan's annotation that hold a voxel, in its order, measured as findings are.

    Raises:
        InputError: the scan or its annotation cannot be read where they lie.
    """
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    if annotation is None:
        return []
    segmentation, before, now = annotation.GetSegmentation(), _measured.get(scan.GetID(), {}), {}
    nodes = []
    grid = bridge.geometryOf(scan)
    place = grid.ijk_to_world.tobytes()
    for number, (id_, placed) in enumerate(bridge.tightMasks(annotation, scan), start=1):
        shape = origin.shapeOf(placed)
        key = (id_, shape, place, scan.GetImageData().GetMTime())
        now[key] = before.get(key) or measure(scan, placed)
        finding = replace(now[key], number=number, label=number)
        source, isCut = _sourceOf(annotation, id_, placed, grid.shape[0]), finding.reaches_end(grid.shape)
        nodes.append(LymphNode(finding, id_, segmentation.GetSegment(id_).GetName(), source, isCut))
    _measured[scan.GetID()] = now
    return nodes


def _sourceOf(annotation, id_: str, placed: PlacedMask, slices: int) -> str:
    """Where a segment comes from. A finding may have become part of one that was drawn by hand, and left its shape."""
    if not any(origin.tagOf(annotation, id_, tag) for tag in (origin.FROM, origin.SHAPE)):
        return BY_HAND
    return ACCEPTED if origin.isAsFound(annotation, id_, placed, slices) else CORRECTED
