"""Review: accept or reject findings, and turn the decisions into annotation and known background of the case."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from . import bridge, lymphnode, origin, roles
from .placed import HALF, PlacedMask, sameNodeIn
from .prediction import ACCEPTED, ANNOTATED, REJECTED, REJECTED_BEFORE, UNDECIDED, Prediction, ReviewedFinding
from .reviewed import CORRECTED, LymphNode, lymphNodesOf
from .signal import Signal
from .sliceviews import bringIntoView

NEARLY_ALL = 0.9
MOST_LEFT_ML = 0.5
"""About the ball of 10 mm from which on a short axis is called enlarged."""


@dataclass(frozen=True)
class Applied:
    """How many decisions were carried out, each once.

    Args:
        annotated: became annotation.
        rejected: became known background.
        removed: left the annotation again.
        kept: were to leave it, but the user has corrected them there.
        merged: of ``annotated``, became one with the lymph node that lay at their place.
    """

    annotated: int
    rejected: int
    removed: int = 0
    kept: int = 0
    merged: int = 0


class Review:
    """Decisions on one prediction. The prediction's own segments never change, the annotation's are only added to.

    Args:
        prediction: what is reviewed.
        aboutToChange: called with the annotation node before each change, so that it can be undone.

    Attributes:
        changed: signal after each decision and each change of the annotation.
    """

    def __init__(self, prediction: Prediction, aboutToChange: Signal):
        self.prediction = prediction
        self._aboutToChange = aboutToChange
        self.changed = Signal()

    @property
    def scan(self):
        return self.prediction.scan

    @property
    def moved(self) -> str | None:
        """Why what is decided and shown would lie beside the anatomy, as a sentence: a transform moves the scan or its
        findings, or was hardened on one of them only. None where they lie as they were found."""
        moved = bridge.whyMoved(self.scan, self.prediction.node)
        isSeen = self.prediction.isThere and self.scan.GetImageData() is not None
        if moved is not None or not isSeen or not bridge.isBeside(self.prediction.node, self.scan):
            return moved
        return _(
            "{scan} does not lie any more where {findings} lies; harden the same transform on both (module Data), or "
            "find lymph nodes again."
        ).format(scan=self.scan.GetName(), findings=self.prediction.node.GetName())

    def refuseMoved(self) -> None:
        """Raises:
        InputError: ``moved`` says why.
        """
        if self.moved is not None:
            raise InputError(self.moved)

    def accept(self, number: int) -> None:
        """The finding is a lymph node; ``apply`` makes it annotation.

        Raises:
            InputError: a transform moves the scan or its findings; so for ``reject`` and ``undecide``.
        """
        self._decide(number, ACCEPTED)

    def reject(self, number: int) -> None:
        """The finding is no lymph node; ``apply`` makes it known background of the case."""
        self._decide(number, REJECTED)

    def undecide(self, number: int) -> None:
        """Take a decision back."""
        self._decide(number, UNDECIDED)

    def pending(self) -> list[ReviewedFinding]:
        """Decisions that ``apply`` has not carried out, or that were undone since."""
        done = self._applied()
        wanted = {ANNOTATED: UNDECIDED, REJECTED_BEFORE: UNDECIDED}
        return [
            item
            for item in self.prediction.findings()
            if wanted.get(item.state, item.state) != done.get(item.number, UNDECIDED)
        ]

    def comingBack(self) -> list[ReviewedFinding]:
        """Decisions that ``apply`` would carry out once more: their lymph nodes were removed, or undone, since."""
        taken = self.prediction.takenOver
        return [item for item in self.pending() if item.state == ACCEPTED and item.number in taken]

    def leftOut(self, leastShortAxis: float = 0.0) -> list[ReviewedFinding]:
        """Findings of that short axis (mm) and more that the annotation does not hold, and that nobody rejected.

        Raises:
            InputError: a transform moves the scan or its findings.
        """
        self.refuseMoved()
        self.settle()
        done = self._applied()
        left = [item for item in self.prediction.findings() if item.state in (UNDECIDED, ACCEPTED)]
        return [i for i in left if i.number not in done and i.finding.short_axis_mm >= leastShortAxis]

    def settle(self) -> dict[int, float]:
        """Find out what needs no decision: findings that the annotation holds, or that were rejected before.

        Returns the share of each finding that the annotation covers, 0 to 1, by number.
        """
        items, done = self.prediction.findings(), self._applied()
        annotated, rejected = (self._sharesIn(node, items) for node in roles.markNodesOf(self.scan))
        for item in items:
            if item.state in (ACCEPTED, REJECTED) or item.number in done:
                continue
            state = self._known(item, annotated[item.number], rejected[item.number])
            if state != item.state:
                self.prediction.setState(item.number, state)
        return annotated

    def _known(self, item: ReviewedFinding, annotated: float, rejected: float) -> str:
        """The state of a finding of which these shares are annotated and rejected. Where the user has cut its lymph
        node down, the rest of it was rejected, and the finding is the annotated node all the same."""
        if _isSettled(item, annotated):
            return ANNOTATED
        if annotated and _isSettled(item, annotated + rejected) and self._segmentAtPlaceOf(item) is not None:
            return ANNOTATED
        return REJECTED_BEFORE if _isSettled(item, rejected) else UNDECIDED

    def apply(self) -> Applied:
        """Each accepted finding becomes a segment of the annotation, or part of the one at its place; each rejected
        one known background. A decision that was taken back takes its segment out again, unless the user has worked on
        that: it stays accepted.

        Raises:
            InputError: a transform moves one of them, or a finding holds no voxel; the marks are as they were then.
        """
        self.refuseMoved()
        bridge.refuseMoved(*roles.markNodesOf(self.scan))
        removed, kept = self._takenBack()
        for item in kept:
            self.prediction.setState(item.number, ACCEPTED)
        pending, done = self.pending(), self._applied()
        accepted = self._notAnnotated([item for item in pending if item.state == ACCEPTED])
        rejected = [item for item in pending if item.state == REJECTED]
        masks = self._placed(accepted + rejected)
        if accepted or removed:
            self._aboutToChange(roles.annotationOf(self.scan))
        for item in pending:
            if item.number in done:
                self._remove(item)
        merged = self._annotate(accepted, masks)
        for item in rejected:
            self._copy(item, masks[item.number], roles.rejectedOf(self.scan), lymphnode.addRejected)
        self.changed()
        return Applied(len(accepted), len(rejected), len(removed), len(kept), merged)

    def _annotate(self, items: list[ReviewedFinding], masks: dict[int, PlacedMask]) -> int:
        """Take findings into the annotation. One that lies over a lymph node, as over one that was cut down or drawn in
        some slices only, becomes one with it: a second segment there would be the same node once more.

        Returns how many did.
        """
        if not items:
            return 0
        annotation, merged = roles.annotationOf(self.scan), 0
        marks = dict(bridge.tightMasks(annotation, self.scan))
        for item in items:
            there = sameNodeIn(marks, masks[item.number])
            if there is None:
                self._copy(item, masks[item.number], annotation)
                continue
            merged += 1
            marks[there] = self._merge(item, masks[item.number], there, marks)
        return merged

    def _merge(self, item: ReviewedFinding, found: PlacedMask, there: str, marks: dict[str, PlacedMask]) -> PlacedMask:
        """Make what no lymph node holds of a finding part of one of them; returns what that holds now."""
        annotation, rest = roles.annotationOf(self.scan), found
        for id_, mark in marks.items():
            rest = rest if id_ == there else rest.without(mark)
        whole = marks[there].united(rest)
        bridge.setSegmentMask(annotation, there, whole, bridge.geometryOf(self.scan))
        if not origin.tagOf(annotation, there, origin.SHAPE):
            origin.write(annotation, there, origin.shapeOf(found), origin.SHAPE)  # not by hand alone any more
        origin.addHeld(annotation, there, self._nameOf(item))
        self.prediction.noteTakenOver(item.number)
        return whole

    def removals(self) -> int:
        """How many lymph nodes ``apply`` takes out of the annotation."""
        return len(self._takenBack()[0])

    def corrected(self) -> dict[int, LymphNode]:
        """The lymph nodes that the user has worked on since they were taken over from a finding, by its number."""
        annotation = roles.nodeOf(self.scan, roles.ANNOTATION)
        ids = {} if annotation is None else origin.read(annotation)
        numbers = {ids[name]: item.number for item in self.prediction.findings() if (name := self._nameOf(item)) in ids}
        nodes = lymphNodesOf(self.scan) if numbers else []
        return {
            numbers[node.segmentId]: node for node in nodes if node.source == CORRECTED and node.segmentId in numbers
        }

    def isCorrected(self, number: int) -> bool:
        """Whether ``corrected`` has a finding; quick where nothing came of it."""
        annotation = roles.nodeOf(self.scan, roles.ANNOTATION)
        there = annotation is not None and self._segmentFrom(annotation, self.prediction.finding(number))
        return bool(there) and number in self.corrected()

    def isMerged(self, number: int) -> bool:
        """Whether a finding became part of a lymph node that was there before it."""
        annotation = roles.nodeOf(self.scan, roles.ANNOTATION)
        return annotation is not None and origin.nameOf(self.prediction.token, number) in origin.readHeld(annotation)

    def _takenBack(self) -> tuple[list[ReviewedFinding], list[ReviewedFinding]]:
        """Findings whose lymph node is to leave the annotation, and those whose node stays, as it was corrected or was
        there before the finding."""
        done = self._applied()
        items = [item for item in self.pending() if done.get(item.number) == ACCEPTED]
        corrected = self.corrected() if items else {}
        stay = [item for item in items if item.number in corrected or self.isMerged(item.number)]
        return [item for item in items if item not in stay], stay

    def _notAnnotated(self, accepted: list[ReviewedFinding]) -> list[ReviewedFinding]:
        """Those that the annotation does not hold already, as where the finding of another model was accepted too."""
        shares = self._sharesIn(roles.nodeOf(self.scan, roles.ANNOTATION), accepted)
        held = [item for item in accepted if _isSettled(item, shares[item.number])]
        for item in held:
            self.prediction.setState(item.number, ANNOTATED)
        return [item for item in accepted if item not in held]

    def edit(self, number: int) -> str:
        """The segment of the annotation where a finding is corrected: the one that came of it, else the one that lies
        at its place already, as after another model found it again; else it is accepted and copied there at once.

        Returns the segment's id.

        Raises:
            InputError: a transform moves the scan, its findings or the annotation, or the finding holds no voxel.
        """
        self.refuseMoved()
        bridge.refuseMoved(roles.nodeOf(self.scan, roles.ANNOTATION))
        self.settle()
        item, annotation = self.prediction.finding(number), roles.annotationOf(self.scan)
        there = self._segmentFrom(annotation, item)
        if there is None:
            there = self._segmentAtPlaceOf(item)
            if there is not None:
                self._notAnnotated([item])
                self.changed()
                return there
        self.prediction.setState(number, ACCEPTED)
        if there is None:
            self._aboutToChange(annotation)
            if self._applied().get(number) == REJECTED:
                self._remove(item)
            there = self._copy(item, self._placeOf(item), annotation)
        self.changed()
        return there

    def _segmentAtPlaceOf(self, item: ReviewedFinding) -> str | None:
        """The lymph node that shares most voxels with a finding, where one of the two lies mostly in the other."""
        marks = dict(bridge.tightMasks(roles.annotationOf(self.scan), self.scan))
        return sameNodeIn(marks, self._placeOf(item))

    def _placeOf(self, item: ReviewedFinding) -> PlacedMask:
        return self._placed([item])[item.number]

    def _placed(self, items: list[ReviewedFinding]) -> dict[int, PlacedMask]:
        """Where findings lie on the scan's grid, by number.

        Raises:
            InputError: one of them holds no voxel there, so that nothing can be made of it.
        """
        masks = self.prediction.masksOf(items) if items else {}
        for number, placed in masks.items():
            if not placed.mask.any():
                problem = _(
                    "Finding {number} holds no voxel of {scan}; take its decision back, or find lymph nodes again."
                )
                raise InputError(problem.format(number=number, scan=self.scan.GetName()))
        return masks

    def _sharesIn(self, node, items: list[ReviewedFinding]) -> dict[int, float]:
        """Share of each finding that a segmentation of the scan covers; 0 of None."""
        marked = None if node is None else bridge.unionMask(node, self.scan)
        if marked is None or not marked.any():
            return dict.fromkeys((item.number for item in items), 0.0)
        masks = self.prediction.masksOf(items)
        return {item.number: _covered(masks[item.number], marked) for item in items}

    def forgetRejection(self, number: int) -> None:
        """Take back what was rejected before at a finding's place, in this prediction or an earlier one: segments that
        cover half of the finding, or half of which lies in it.

        Raises:
            InputError: a transform moves the scan, its findings or the rejected ones, or the finding holds no voxel.
        """
        self.refuseMoved()
        node = roles.nodeOf(self.scan, roles.REJECTED)
        bridge.refuseMoved(node)
        found = self._placeOf(self.prediction.finding(number))
        taken = [id_ for id_, rejected in bridge.tightMasks(node, self.scan) if found.isSameNode(rejected)]
        for id_ in taken:
            node.GetSegmentation().RemoveSegment(id_)
        self.changed()

    def jump(self, number: int) -> None:
        """Center every view on a finding, and show its scan where no slice view does."""
        bringIntoView(self.scan)
        jumpTo(bridge.toRas(self.prediction.centerOf(self.prediction.finding(number))))

    def _decide(self, number: int, state: str) -> None:
        self.refuseMoved()
        self.prediction.noteTakenOver(number, False)
        self.prediction.setState(number, state)
        self.changed()

    def _applied(self) -> dict[int, str]:
        """What became of each finding, read from the segments that came of it: an undo shows here at once."""
        done = {}
        for role, state in ((roles.REJECTED, REJECTED), (roles.ANNOTATION, ACCEPTED)):
            node = roles.nodeOf(self.scan, role)
            there = {} if node is None else origin.segmentsOf(node)
            done |= {item.number: state for item in self.prediction.findings() if self._nameOf(item) in there}
        return done

    def _segmentFrom(self, node, item: ReviewedFinding) -> str | None:
        """The segment that came of a finding, or that it became part of."""
        return origin.segmentsOf(node).get(self._nameOf(item))

    def _nameOf(self, item: ReviewedFinding) -> str:
        return origin.nameOf(self.prediction.token, item.number)

    def _copy(self, item: ReviewedFinding, placed: PlacedMask, node, add=lymphnode.addLymphNode) -> str:
        id_ = add(node)
        self.prediction.noteTakenOver(item.number, roles.roleOf(node) == roles.ANNOTATION)
        origin.write(node, id_, self._nameOf(item))
        origin.write(node, id_, origin.shapeOf(placed), origin.SHAPE)
        bridge.setSegmentMask(node, id_, placed, bridge.geometryOf(self.scan))
        return id_

    def _remove(self, item: ReviewedFinding) -> None:
        for node in roles.markNodesOf(self.scan):
            id_ = None if node is None else origin.read(node).get(self._nameOf(item))
            if id_ is not None:
                node.GetSegmentation().RemoveSegment(id_)


def jumpTo(ras: list[float]) -> None:
    """Center every slice view on a point, and let the 3D cameras turn around it; RAS mm."""
    for sliceNode in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        sliceNode.JumpSliceByCentering(*ras)
    for camera in slicer.util.getNodesByClass("vtkMRMLCameraNode"):
        moved = np.asarray(ras) - camera.GetFocalPoint()
        camera.SetPosition(*(np.asarray(camera.GetPosition()) + moved))
        camera.SetFocalPoint(*ras)
        camera.ResetClippingRange()


def _isSettled(item: ReviewedFinding, share: float) -> bool:
    """Most of the finding is decided on already, and what is left is a rim, or too little for another lymph node."""
    isLittle = (1 - share) * item.finding.volume_ml < MOST_LEFT_ML
    return share >= NEARLY_ALL or (share >= HALF and isLittle)


def _covered(placed: PlacedMask, marked: np.ndarray) -> float:
    inside = marked[placed.slices][placed.mask]
    return float(inside.mean()) if inside.size else 0.0
