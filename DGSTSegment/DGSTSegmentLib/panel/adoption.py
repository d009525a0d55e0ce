"""Segments of other segmentations, taken into the annotation of a scan as lymph nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from ..errors import InputError
from ..imaging.geometry import Geometry
from ..imaging.volume import Volume
from . import bridge, lymphnode, origin, roles
from .placed import PlacedMask
from .signal import Signal


@dataclass(frozen=True)
class Candidate:
    """A segment that may be taken.

    Args:
        isEmpty: nothing is drawn in it.
        isLymphNode: it is called so, by its name or its terminology.
    """

    id: str
    name: str
    isEmpty: bool
    isLymphNode: bool


@dataclass(frozen=True)
class Adopted:
    """What became of segments, by their names.

    Args:
        added: they are lymph nodes of the annotation now.
        cut: those of them that reach beyond the scan, and end there.
        outside: no voxel of them lies in the scan; they were not added.
        overlapping: they share voxels with nodes that were there already, and were not added.
        empty: nothing is drawn in them.
    """

    added: list[str]
    cut: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    overlapping: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    @property
    def isWhole(self) -> bool:
        """Whether everything that was chosen was taken as it is."""
        return not (self.cut or self.outside or self.overlapping or self.empty)


@dataclass(frozen=True, eq=False)
class _OnGrid(PlacedMask):
    """A segment on the scan's grid."""

    name: str
    isCut: bool


def sourcesFor(scan) -> list:
    """The segmentations of the scene that hold segments, without those that the panel keeps of this very scan."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    strangers = [node for node in nodes if roles.roleOf(node) is None or roles.scanOf(node) is not scan]
    return [node for node in strangers if not node.GetHideFromEditors() and bridge.segmentIds(node)]


def candidatesIn(node) -> list[Candidate]:
    """The segments of a segmentation, in their order."""
    segmentation = node.GetSegmentation()
    filled = set(bridge.storedMasks(node)) if _isLabelmap(segmentation) else _filledShapes(segmentation)
    return [_candidateOf(node, id_, id_ not in filled) for id_ in bridge.segmentIds(node)]


def _candidateOf(node, id_: str, isEmpty: bool) -> Candidate:
    segment = node.GetSegmentation().GetSegment(id_)
    terms = origin.tagOf(node, id_, segment.GetTerminologyEntryTagName())
    return Candidate(id_, segment.GetName(), isEmpty, "lymph" in f"{segment.GetName()} {terms}".lower())


class Adoption:
    """Segments on their way into an annotation. Nothing is changed before ``carryOut``.

    Args:
        scan: CT volume node.
        node: the segmentation that they lie in.
        ids: the segments to take; all where None.

    Raises:
        InputError: there is no such segment, they cannot be turned into voxels, or a transform moves the scan or its
            annotation.
    """

    def __init__(self, scan, node, ids: list[str] | None = None):
        self._scan, self._geometry = scan, bridge.geometryOf(scan)
        annotation = roles.nodeOf(scan, roles.ANNOTATION)
        bridge.refuseMoved(annotation)
        chosen = _chosen(node, ids)
        self._empty = [one.name for one in chosen if one.isEmpty]
        names = {one.id: one.name for one in chosen if not one.isEmpty}
        self._placed, self._outside = [], []
        for id_, drawn in _drawnIn(node, list(names), scan):
            placed = _onGrid(drawn, names[id_], self._geometry)
            self._placed += [placed] if placed is not None else []
            self._outside += [] if placed is not None else [names[id_]]
        marked = bridge.unionMask(annotation, scan) if annotation is not None else np.zeros(self._geometry.shape, bool)
        self._overlapping = [one for one in self._placed if (marked[one.slices] & one.mask).any()]

    @property
    def overlapping(self) -> list[str]:
        """Names of the segments that share voxels with nodes of the annotation."""
        return [one.name for one in self._overlapping]

    def carryOut(self, withOverlapping: bool, aboutToChange: Signal) -> Adopted:
        """Add the segments to the annotation, which one undo takes back.

        Args:
            withOverlapping: also those that share voxels with nodes that are there already.
            aboutToChange: called with the annotation node before it is changed.
        """
        left = [] if withOverlapping else self._overlapping
        taken = [one for one in self._placed if one not in left]
        if taken:
            annotation = roles.annotationOf(self._scan)
            aboutToChange(annotation)
            for one in taken:
                self._add(annotation, one)
        cut, overlapping = [one.name for one in taken if one.isCut], [one.name for one in left]
        return Adopted([one.name for one in taken], cut, self._outside, overlapping, self._empty)

    def _add(self, annotation, one: _OnGrid) -> None:
        id_ = lymphnode.addLymphNode(annotation)
        lymphnode.keepName(annotation, id_, one.name)
        bridge.setSegmentMask(annotation, id_, one, self._geometry)


def _chosen(node, ids: list[str] | None) -> list[Candidate]:
    candidates = {one.id: one for one in candidatesIn(node)}
    unknown = [id_ for id_ in ids or () if id_ not in candidates]
    if unknown or not candidates:
        problem = _("{name} holds no segment {ids}; choose among those that it has.")
        raise InputError(problem.format(name=node.GetName(), ids=", ".join(unknown)))
    return list(candidates.values()) if ids is None else [candidates[id_] for id_ in ids]


def _isLabelmap(segmentation) -> bool:
    return segmentation.GetSourceRepresentationName() == bridge.labelmapName()


def _filledShapes(segmentation) -> set[str]:
    """Ids of the segments that have points where they are drawn as surfaces or contours."""
    source, filled = segmentation.GetSourceRepresentationName(), set()
    for n in range(segmentation.GetNumberOfSegments()):
        shape = segmentation.GetNthSegment(n).GetRepresentation(source)
        if shape is not None and (not hasattr(shape, "GetNumberOfPoints") or shape.GetNumberOfPoints()):
            filled.add(segmentation.GetNthSegmentID(n))
    return filled


def _drawnIn(node, ids: list[str], scan) -> Iterator[tuple[str, Volume]]:
    """Each segment's voxels (1, else 0) where they lie in the world, without the empty space around them."""
    toWorld = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, toWorld)
    isMoved = node.GetParentTransformNode() is not None
    stored = bridge.storedMasks(node if _isLabelmap(node.GetSegmentation()) else _converted(node, ids, scan))
    for id_ in (id_ for id_ in ids if id_ in stored):
        placed = stored[id_]
        place = bridge.placeOf(placed.labelmap, placed.first, placed.mask.shape)
        drawn = Volume(placed.mask.astype(np.uint8), place)
        yield id_, _moved(drawn, toWorld) if isMoved else drawn


def _converted(node, ids: list[str], scan):
    """A segmentation outside the scene with voxels, of the scan's size, for segments that are drawn as surfaces."""
    source, copy = node.GetSegmentation(), slicer.vtkMRMLSegmentationNode()
    copy.GetSegmentation().SetSourceRepresentationName(source.GetSourceRepresentationName())
    for id_ in ids:
        copy.GetSegmentation().CopySegmentFromSegmentation(source, id_)
    copy.SetReferenceImageGeometryParameterFromVolumeNode(scan)
    copy.GetSegmentation().SetConversionParameter("Crop to reference image geometry", "0")
    name = bridge.labelmapName()
    if ids and not copy.GetSegmentation().CreateRepresentation(name, True):
        if source.ContainsRepresentation(name):
            return node  # contours that this Slicer cannot convert, with the voxels that another one made of them
        problem = _("{name} could not be turned into voxels; export it as a binary labelmap (module Segmentations).")
        raise InputError(problem.format(name=node.GetName()))
    return copy


def _moved(drawn: Volume, toWorld) -> Volume:
    """As a transform moves it, which may also bend it."""
    image = bridge.orientedImage(drawn.array, drawn.geometry)
    slicer.vtkOrientedImageDataResample.TransformOrientedImage(image, toWorld)
    return bridge.volumeOfImage(image)


def _onGrid(drawn: Volume, name: str, geometry: Geometry) -> _OnGrid | None:
    """A segment on the scan's grid; None where it lies outside."""
    from ..imaging.resample import fraction_marked_outside, onto_grid_of  # not every Slicer has SimpleITK

    outside = fraction_marked_outside(drawn, geometry)
    reach = geometry.to_index(drawn.geometry.corners())
    low = np.floor(reach.min(axis=0)).astype(int).clip(0)
    high = (np.ceil(reach.max(axis=0)).astype(int) + 1).clip(0, geometry.shape)
    if outside == 1.0 or (low >= high).any():
        return None
    part = geometry.cropped(tuple(slice(first, end) for first, end in zip(low, high, strict=True)))
    frame = Volume(np.zeros(part.shape, np.uint8), part)
    mask = onto_grid_of(drawn, frame, name)[0].array > 0
    return _OnGrid(mask, tuple(int(first) for first in low), name, outside > 0) if mask.any() else None
