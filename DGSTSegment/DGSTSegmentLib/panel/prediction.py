"""What the model found in a scan: a segmentation of its own with one segment a finding, and what the user decided."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from ..errors import InputError
from ..imaging.finding import Box, Finding
from ..imaging.volume import Volume
from . import bridge, lymphnode, roles
from .casestate import imageState
from .measuring import measure
from .overlay import drawInSlices
from .placed import PlacedMask
from .surfaces import makeSurfaces

UNDECIDED, ACCEPTED, REJECTED = "undecided", "accepted", "rejected"
ANNOTATED, REJECTED_BEFORE = "annotated", "refused"
"""They need no decision: the annotation holds the finding already, or a finding at its place was rejected before, for
which scenes say ``refused``."""
_FINDINGS, _STATES, _MODEL, _TITLE, _NOTES, _TOKEN, _AXES, _TAKEN = (
    "DGSTSegment.Findings",
    "DGSTSegment.States",
    "DGSTSegment.Model",
    "DGSTSegment.ModelTitle",
    "DGSTSegment.Notes",
    "DGSTSegment.Prediction",
    "DGSTSegment.AxesMeasured",
    "DGSTSegment.TakenOver",
)


_MOST_REMEMBERED = 8
_SAME_AXES_MM = 1e-4
_masks: dict[str, tuple[tuple, dict[int, PlacedMask]]] = {}
"""By a prediction's token: state of its segments and of its scan, and where its findings lie by number."""
_measured: dict[str, tuple[tuple, dict[int, Finding]]] = {}
"""The same with what findings measure since their scan was turned or stretched for good."""
_NOWHERE = PlacedMask(np.zeros((0, 0, 0), dtype=bool), (0, 0, 0))


@dataclass(frozen=True)
class ReviewedFinding:
    """A finding with its segment and the user's decision.

    Args:
        isCut: it reaches the end of the scan, so that it may be larger than it measures.
    """

    finding: Finding
    segmentId: str
    state: str
    isCut: bool = False

    @property
    def number(self) -> int:
        return self.finding.number


class Prediction:
    """A prediction's segmentation node, read and written through what the scene saves.

    Args:
        node: segmentation node made by ``makePrediction``.
    """

    def __init__(self, node):
        self.node = node

    @property
    def scan(self):
        return roles.scanOf(self.node)

    @property
    def role(self) -> str:
        """``before`` or ``after`` fine-tuning."""
        return roles.roleOf(self.node)

    @property
    def model(self) -> str:
        return self.node.GetAttribute(_MODEL) or ""

    @property
    def modelTitle(self) -> str:
        return self.node.GetAttribute(_TITLE) or ""

    @property
    def notes(self) -> list[str]:
        """Sentences on what makes these findings less certain than others."""
        return json.loads(self.node.GetAttribute(_NOTES) or "[]")

    @property
    def isThere(self) -> bool:
        """Whether it and its scan are in the scene still."""
        return self.node.GetScene() is not None and self.scan is not None

    @property
    def token(self) -> str:
        """Tells this prediction from every other one."""
        return self.node.GetAttribute(_TOKEN) or ""

    def findings(self) -> list[ReviewedFinding]:
        """All findings, in the order of their numbers, with the measurements of how they lie now: a transform that was
        hardened on scan and findings may have turned them in the axial plane."""
        items = self._asFound()
        if not self._isTurned():
            return items
        measured = self._measuredAnew(items)
        return [replace(item, finding=measured[item.number]) for item in items]

    def _asFound(self) -> list[ReviewedFinding]:
        states = self._states()
        described = json.loads(self.node.GetAttribute(_FINDINGS) or "[]")
        there, shape = set(bridge.segmentIds(self.node)), bridge.gridShapeOf(self.scan)
        items = []
        for item in (item for item in described if item["segment"] in there):
            found, state = Finding.from_json(item), states.get(str(item["number"]), UNDECIDED)
            isCut = shape is not None and found.reaches_end(shape)
            items.append(ReviewedFinding(found, item["segment"], state, isCut))
        return items

    def finding(self, number: int) -> ReviewedFinding:
        """Raises:
        InputError: its segment was deleted.
        """
        found = next((item for item in self.findings() if item.number == number), None)
        if found is None:
            raise InputError(_("Finding {number} was deleted; find lymph nodes again.").format(number=number))
        return found

    def setState(self, number: int, state: str) -> None:
        """Keep a decision, and show it by the segment's color."""
        segment = self.node.GetSegmentation().GetSegment(self.finding(number).segmentId)
        self.node.SetAttribute(_STATES, json.dumps({**self._states(), str(number): state}))
        segment.SetColor(*lymphnode.COLORS[self.role if state == UNDECIDED else state])

    @property
    def takenOver(self) -> set[int]:
        """Numbers of the findings that became annotation since they were accepted, whatever came of that."""
        return set(json.loads(self.node.GetAttribute(_TAKEN) or "[]"))

    def noteTakenOver(self, number: int, isTaken: bool = True) -> None:
        """Keep that a finding became annotation; or forget it, as another decision was made."""
        numbers = self.takenOver | {number} if isTaken else self.takenOver - {number}
        self.node.SetAttribute(_TAKEN, json.dumps(sorted(numbers)))

    def masksOf(self, items: list[ReviewedFinding]) -> dict[int, PlacedMask]:
        """Where each finding lies on the scan's grid as it is now, by number. A finding's own box tells that no more
        once Slicer has loaded the scan with its slices in the other order."""
        state, masks = _masks.get(self.token, (None, {}))
        if state != _stateOf(self):
            placed = dict(bridge.tightMasks(self.node, self.scan))
            masks = {item.number: placed.get(item.segmentId, _NOWHERE) for item in self._asFound()}
            _remember(self, masks)
        return {item.number: masks[item.number] for item in items}

    def centerOf(self, item: ReviewedFinding) -> list[float]:
        """The middle of a finding as it lies now, LPS mm: a transform may have been hardened on scan and findings."""
        placed = self.masksOf([item])[item.number]
        if not placed.mask.any():
            return list(item.finding.centroid)
        middle = np.argwhere(placed.mask).mean(axis=0) + placed.first
        return bridge.geometryOf(self.scan).to_world(middle).tolist()

    def _isTurned(self) -> bool:
        """Whether the axes of the scan's grid, and of its findings' too, are others than when these were measured."""
        measured, scan = json.loads(self.node.GetAttribute(_AXES) or "null"), self.scan
        if measured is None or scan is None or scan.GetImageData() is None or bridge.whyMoved(scan, self.node):
            return False
        axes = bridge.geometryOf(scan).ijk_to_world[:3, :3]
        return not _sameAxes(np.asarray(measured), axes) and not bridge.isBeside(self.node, scan)

    def _measuredAnew(self, items: list[ReviewedFinding]) -> dict[int, Finding]:
        """What the findings measure as they lie now, by number; one without a voxel keeps what it had."""
        state, measured = _measured.get(self.token, (None, {}))
        if state != _stateOf(self):
            masks = self.masksOf(items)
            measured = {item.number: self._measuredIn(masks[item.number], item.finding) for item in items}
            _keep(_measured, self.token, (_stateOf(self), measured))
        return measured

    def _measuredIn(self, placed: PlacedMask, old: Finding) -> Finding:
        new = measure(self.scan, placed) if placed.mask.any() else old
        return replace(new, number=old.number, label=old.label, confidence=old.confidence)

    def show(self, visible: bool, leastShortAxis: float, outlineOnly: bool, opacity: float) -> None:
        """Show the findings from ``leastShortAxis`` mm on; rejected ones fainter."""
        display = self.node.GetDisplayNode()
        wasModifying = display.StartModify()
        display.SetVisibility(visible)
        drawInSlices(display, outlineOnly, opacity)
        for item in self.findings():
            display.SetSegmentVisibility(item.segmentId, item.finding.short_axis_mm >= leastShortAxis)
            faint = 0.4 if item.state in (REJECTED, REJECTED_BEFORE) else 1.0
            display.SetSegmentOpacity2DOutline(item.segmentId, faint)
            display.SetSegmentOpacity2DFill(item.segmentId, faint)
        display.EndModify(wasModifying)

    def _states(self) -> dict[str, str]:
        return json.loads(self.node.GetAttribute(_STATES) or "{}")


def makePrediction(
    scan,
    role: str,
    numbers: Volume,
    items: list[dict[str, Any]],
    model: str,
    title: str,
    token: str,
    notes: Sequence[str] = (),
) -> Prediction:
    """Put what the engine found into a segmentation of its own, in place of the one in that role.

    Args:
        scan: its volume node.
        role: ``before`` or ``after``.
        numbers: labelmap of the findings' numbers, on the scan's grid.
        items: the findings as JSON.
        model: MODEL that found them.
        title: how that model is called.
        token: tells this prediction from every other one.
        notes: sentences on what makes the findings less certain than others.
    """
    node = roles.makeNode(scan, role, _("{scan}: found by {model}").format(scan=scan.GetName(), model=title))
    findings = [Finding.from_json(item) for item in items]
    segments = bridge.importNumbers(numbers, node, scan, [finding.number for finding in findings])
    for number, id_ in segments.items():
        lymphnode.describe(node.GetSegmentation().GetSegment(id_), _("Finding {number}").format(number=number), role)
    described = json.dumps([{**item, "segment": segments[item["number"]]} for item in items])
    masks = {finding.number: _where(numbers.array, finding.number, finding.box) for finding in findings}
    axes = json.dumps(numbers.geometry.ijk_to_world[:3, :3].tolist())
    keys = (_FINDINGS, _MODEL, _TITLE, _NOTES, _TOKEN, _AXES)
    for key, value in zip(keys, (described, model, title, json.dumps([*notes]), token, axes), strict=True):
        node.SetAttribute(key, value)
    makeSurfaces(node, [(segments[number], placed) for number, placed in masks.items()], numbers.geometry)
    made = Prediction(node)
    _remember(made, masks)
    return made


def _where(numbers: np.ndarray, number: int, box: Box) -> PlacedMask:
    """Where an array on the scan's grid has a number in a finding's box."""
    part = numbers[tuple(slice(first, end) for first, end in box)]
    return PlacedMask(part == number, tuple(first for first, _end in box))


def _stateOf(prediction: Prediction) -> tuple:
    """Changes with the segments, and with the voxels and the place of the scan that they are looked for in."""
    return bridge.paintedState(prediction.node), imageState(prediction.scan)


def _sameAxes(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two grids have the same axes (3x3, columns i, j, k in mm); Slicer turns the slices of a scan around when
    it loads a left-handed one."""
    return any(np.allclose(one * (1, 1, sense), other, atol=_SAME_AXES_MM) for sense in (1, -1))


def _remember(prediction: Prediction, masks: dict[int, PlacedMask]) -> None:
    """Keep where the findings lie: merging their segments takes seconds on a large scan, at every look at them."""
    _keep(_masks, prediction.token, (_stateOf(prediction), masks))


def _keep(remembered: dict[str, tuple], token: str, value: tuple) -> None:
    """Remember a value for a prediction, and of few others."""
    remembered.pop(token, None)
    remembered[token] = value
    while len(remembered) > _MOST_REMEMBERED:
        remembered.pop(next(iter(remembered)))


def predictionOf(scan, role: str) -> Prediction | None:
    """The scan's prediction ``before`` or ``after``; None where there is none."""
    node = roles.nodeOf(scan, role)
    return None if node is None else Prediction(node)
