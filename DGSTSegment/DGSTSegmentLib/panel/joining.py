"""Marks of one scan from two places put together: nothing of either goes, and what is one node becomes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import slicer

from . import bridge, lymphnode, origin, roles
from .corrections import ERASED_FROM
from .region import boxOf, makeRegion

_LEAST_FIRST = ("marked", "region", "all")


@dataclass(frozen=True)
class Joined:
    """How many lymph nodes came beside those that were there, and how many lay at the same place as one of them."""

    added: int = 0
    merged: int = 0


@dataclass(frozen=True)
class Marks:
    """What is marked in a scan; ``None`` for a segmentation that there is not.

    Args:
        box: opposite corners, LPS mm, where the completeness is ``region``.
    """

    annotation: Any
    rejected: Any
    completeness: str
    box: list[float] | None = None


def marksOf(scan) -> Marks:
    """What an open scan has.

    Raises:
        InputError: a transform moves it, or its box is turned.
    """
    return marksIn(*roles.markNodesOf(scan))


def marksIn(annotation, rejected) -> Marks:
    """What an annotation and a node of rejected findings hold; None for one that there is not.

    Raises:
        InputError: as ``marksOf``.
    """
    completeness = roles.completenessOf(annotation)
    region = roles.regionOf(annotation) if completeness == "region" else None
    bridge.refuseMoved(annotation, rejected, region)
    return Marks(annotation, rejected, completeness, boxOf(region) if completeness == "region" else None)


def holdsNothing(scan) -> bool:
    """Whether neither marks nor rejections nor a word on completeness would come between the scan and other marks."""
    nodes = roles.markNodesOf(scan)
    return not any(bridge.countMarked(node) for node in nodes) and roles.completenessOf(nodes[0]) == "marked"


def joinMarks(scan, marks: Marks) -> Joined:
    """Put marks beside those of the scan. What unmarked means is what either says, the scan's own box first."""
    annotation, joined = roles.annotationOf(scan), Joined()
    if marks.annotation is not None:
        joined = _join(annotation, marks.annotation, scan, lymphnode.addLymphNode)
    if marks.rejected is not None and bridge.countMarked(marks.rejected):
        _join(roles.rejectedOf(scan), marks.rejected, scan, lymphnode.addRejected)
    _joinCompleteness(annotation, scan, marks)
    return joined


def _joinCompleteness(annotation, scan, marks: Marks) -> None:
    ours, region = roles.completenessOf(annotation), roles.regionOf(annotation)
    if marks.box is not None and ours != "region":
        if region is not None:
            slicer.mrmlScene.RemoveNode(region)
        roles.setRegion(annotation, makeRegion(scan.GetName(), marks.box))
    roles.setCompleteness(annotation, max(ours, marks.completeness, key=_LEAST_FIRST.index))


def _join(target, source, scan, add: Callable) -> Joined:
    ours, theirs = (list(bridge.tightMasks(node, scan)) for node in (target, source))
    merged, geometry = 0, bridge.geometryOf(scan)
    for theirId, mark in theirs:
        same = next((n for n, (_, other) in enumerate(ours) if mark.isSameNode(other)), None)
        if same is None:
            id_ = add(target)
            _describeAlike(target, id_, source, theirId)
        else:
            merged += 1
            id_, mark = ours[same][0], mark.united(ours[same][1])
            ours[same] = id_, mark
        _keepOrigin(target, id_, source, theirId)
        bridge.setSegmentMask(target, id_, mark, geometry)
    return Joined(len(theirs) - merged, merged)


def _describeAlike(target, id_: str, source, sourceId: str) -> None:
    segment = source.GetSegmentation().GetSegment(sourceId)
    lymphnode.keepName(target, id_, segment.GetName())
    target.GetSegmentation().GetSegment(id_).SetColor(segment.GetColor())


def _keepOrigin(target, id_: str, source, sourceId: str) -> None:
    """The finding that a mark came of is known also of the mark that it became part of."""
    for tag in (origin.FROM, origin.SHAPE, origin.HOLDS, ERASED_FROM):
        of = origin.tagOf(source, sourceId, tag)
        if of and not origin.tagOf(target, id_, tag):
            origin.write(target, id_, of, tag)
