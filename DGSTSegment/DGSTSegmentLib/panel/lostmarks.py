"""Marks that are in the scene still while their scan is not: it was deleted elsewhere, and loaded again perhaps.

Only their grid tells to which scan they may belong, so the user is asked before they become another scan's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer

from . import bridge, roles
from .joining import joinMarks, marksIn
from .signal import Signal


@dataclass(frozen=True)
class LostMarks:
    """What one scan had, without it.

    Args:
        nodes: its segmentations, by their roles.
    """

    nodes: dict[str, Any]

    @property
    def name(self) -> str:
        return next(iter(self._marks)).GetName()

    @property
    def count(self) -> int:
        """How many lymph nodes are marked."""
        return bridge.countMarked(self.nodes.get(roles.ANNOTATION))

    def liesIn(self, scan) -> bool:
        """Whether something is marked, all of it on the scan's grid."""
        return all(bridge.liesOnGridOf(node, scan) for node in self._marks) and any(
            map(bridge.countMarked, self._marks)
        )

    @property
    def _marks(self) -> list:
        return [self.nodes[role] for role in (roles.ANNOTATION, roles.REJECTED) if role in self.nodes]


def lostMarksIn(scan) -> LostMarks | None:
    """The marks without a scan that lie on the grid of this one; None where there are none, or nothing can be said."""
    found = [LostMarks(nodes) for nodes in roles.withoutScan()]
    if not found or scan is None or scan.GetImageData() is None or scan.GetParentTransformNode() is not None:
        return None
    return next((lost for lost in found if lost.liesIn(scan)), None)


def showOnly(scan) -> None:
    """Show what is marked in a scan, also by marks that have lost theirs, and hide what belongs to others."""
    roles.showOnly(scan)
    lost = lostMarksIn(scan)
    if lost is not None and roles.ANNOTATION in lost.nodes:
        lost.nodes[roles.ANNOTATION].GetDisplayNode().SetVisibility(True)


def goOnWith(lost: LostMarks, scan, aboutToChange: Signal) -> None:
    """Make lost marks the scan's: its annotation and its rejected findings, or beside what it has of these. What was
    found becomes its prediction where it has none in that role.

    Raises:
        InputError: a transform moves either, or the box of the lost marks is turned.
    """
    bridge.refuseMoved(scan, *roles.markNodesOf(scan), *lost.nodes.values())
    if any(node is not None for node in roles.markNodesOf(scan)):
        _putBeside(lost, scan, aboutToChange)
    for role, node in lost.nodes.items():
        if node.GetScene() is not None and roles.nodeOf(scan, role) is None:
            roles.claim(node, scan, role)
            node.SetReferenceImageGeometryParameterFromVolumeNode(scan)


def _putBeside(lost: LostMarks, scan, aboutToChange: Signal) -> None:
    annotation, rejected = (lost.nodes.get(role) for role in (roles.ANNOTATION, roles.REJECTED))
    marks = marksIn(annotation, rejected)
    aboutToChange(roles.annotationOf(scan))
    joinMarks(scan, marks)
    region = roles.regionOf(annotation) if annotation is not None else None
    for node in (region, annotation, rejected):
        if node is not None:
            slicer.mrmlScene.RemoveNode(node)
