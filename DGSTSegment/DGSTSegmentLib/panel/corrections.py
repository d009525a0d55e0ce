"""What was erased of findings that became annotation: background, which no unmarked voxel tells by itself."""

from __future__ import annotations

from . import bridge, lymphnode, origin, roles
from .placed import PlacedMask
from .prediction import Prediction, ReviewedFinding, predictionOf

ERASED_FROM = "DGSTSegment.ErasedFrom"


def noteErased(scan) -> int:
    """Keep what the annotation leaves out of findings that it took over as known background of the scan.

    What a finding had too much is nothing that the model can learn where unmarked means unknown: there it is asked
    itself. What was noted stays where the prediction has left the scene, and goes with the lymph node that it was of.

    Returns of how many findings something is kept.

    Raises:
        InputError: the scan or its annotation cannot be read where they lie.
    """
    annotation, rejected = roles.markNodesOf(scan)
    noted = _noted(rejected)
    taken = _originsIn(annotation)
    for of in noted.keys() - taken:
        rejected.GetSegmentation().RemoveSegment(noted[of])
    findings = {of: found for of, found in _findingsOf(scan).items() if of in taken}
    marked = bridge.unionMask(annotation, scan) if findings else None
    for of, (prediction, item) in findings.items():
        found = prediction.masksOf([item])[item.number]
        erased = PlacedMask(found.mask & ~marked[found.slices], found.first)
        if erased.mask.any():
            rejected = roles.rejectedOf(scan)
            id_ = noted.get(of) or _addErased(rejected, of)
            bridge.setSegmentMask(rejected, id_, erased, bridge.geometryOf(scan))
        elif of in noted:
            rejected.GetSegmentation().RemoveSegment(noted[of])
    return len(_noted(rejected))


def countRejected(rejected) -> int:
    """How many findings were rejected as a whole; 0 of None."""
    return bridge.countMarked(rejected) - len(_noted(rejected))


def _noted(rejected) -> dict[str, str]:
    """Ids of the segments of what was erased, by the finding it was erased from."""
    if rejected is None:
        return {}
    return origin.read(rejected, ERASED_FROM)


def _originsIn(annotation) -> set[str]:
    """The findings that a segment with voxels came of, or that became part of one."""
    if annotation is None:
        return set()
    filled = bridge.storedMasks(annotation)
    return {of for of, id_ in origin.segmentsOf(annotation).items() if id_ in filled}


def _findingsOf(scan) -> dict[str, tuple[Prediction, ReviewedFinding]]:
    """The findings of the scan's predictions, by their names in a tag, each with its prediction."""
    predictions = [predictionOf(scan, role) for role in (roles.BEFORE, roles.AFTER)]
    return {
        origin.nameOf(prediction.token, item.number): (prediction, item)
        for prediction in predictions
        if prediction is not None
        for item in prediction.findings()
    }


def _addErased(rejected, of: str) -> str:
    id_ = lymphnode.addErased(rejected)
    origin.write(rejected, id_, of, ERASED_FROM)
    return id_
