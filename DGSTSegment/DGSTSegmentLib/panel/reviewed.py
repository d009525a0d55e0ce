"""The reviewed result: the lymph nodes of a scan's annotation as they stand, each measured now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..imaging.finding import Finding
from ..imaging.volume import Volume
from . import bridge, origin, roles
from .corrections import findingsOf
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
    """

    finding: Finding
    segmentId: str
    name: str
    source: str

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
    nodes, sources = [], _Sources(scan, annotation)
    place = bridge.geometryOf(scan).ijk_to_world.tobytes()
    for number, (id_, placed) in enumerate(bridge.tightMasks(annotation, scan), start=1):
        shape = origin.shapeOf(placed)
        key = (id_, shape, place, scan.GetImageData().GetMTime())
        now[key] = before.get(key) or _measure(scan, placed)
        finding = replace(now[key], number=number, label=number)
        nodes.append(LymphNode(finding, id_, segmentation.GetSegment(id_).GetName(), sources.of(id_, shape)))
    _measured[scan.GetID()] = now
    return nodes


class _Sources:
    """Where each segment of an annotation comes from."""

    def __init__(self, scan, annotation):
        self._scan, self._annotation = scan, annotation
        self._names = {id_: name for name, id_ in _allOrigins(annotation)}

    def of(self, id_: str, shape: str) -> str:
        if id_ not in self._names:
            return BY_HAND
        copied = origin.tagOf(self._annotation, id_, origin.SHAPE) or self._shapeFound(self._names[id_])
        return ACCEPTED if copied in ("", shape) else CORRECTED

    def _shapeFound(self, name: str) -> str:
        """The shape of the finding itself, for scenes of old; empty where its prediction is gone."""
        prediction, item = findingsOf(self._scan).get(name, (None, None))
        if prediction is None:
            return ""
        return origin.shapeOf(prediction.masksOf([item])[item.number])


def _allOrigins(annotation) -> Iterator[tuple[str, str]]:
    for id_ in bridge.segmentIds(annotation):
        name = origin.tagOf(annotation, id_)
        if name:
            yield name, id_


def _measure(scan, placed: PlacedMask) -> Finding:
    from ..imaging.findings import find  # needs scipy, which starting the module does not wait for

    volume = bridge.volumeOf(scan)
    geometry = volume.geometry.cropped(placed.slices)
    voxels = Volume(volume.array[placed.slices], geometry)
    (finding,) = find(Volume(placed.mask, geometry), voxels, instances="values").items
    return replace(finding, box=placed.box)
