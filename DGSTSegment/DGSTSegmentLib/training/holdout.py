"""Measuring a model on annotated cases that it did not learn from."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..imaging.components import components_of
from ..imaging.findings import tell_apart
from ..imaging.matching import match_numbers
from ..imaging.volume import Volume
from .case import Case
from .knowledge import NODE, UNKNOWN
from .overlap import dice

RULE = (
    "Dice over the voxels of which the annotation says something, and the share of marked lymph nodes that were found; "
    "what nobody marked is neither right nor wrong."
)


@dataclass(frozen=True)
class HeldOutMeasure:
    """One model on one held-out case.

    Args:
        case: its name.
        dice: over known voxels; 1 where no node is marked and none is predicted there.
        nodes: marked findings.
        found: how many of them a predicted finding matches (IoU > 0.1).
        findings: how many findings the model has in the whole scan, right, wrong or of what nobody said anything.
        complete: whether every node of the scan is marked, so that all findings can be judged.
    """

    case: str
    dice: float
    nodes: int
    found: int
    findings: int
    complete: bool


def choose_held_out(
    has_nodes: Sequence[bool], wanted: int | None, seed: int, scans: Sequence[Set[str]] | None = None
) -> list[int]:
    """Positions of the cases to hold out, drawn by ``seed`` from those with marked nodes: ``wanted``, or one in five.

    Fewer, where otherwise no case with marked nodes would be left to learn from.

    Args:
        has_nodes: of each case.
        scans: as of ``with_twins``, which are held out too; None where no two cases show the same scan.
    """
    count = len(has_nodes)
    number = count // 5 if wanted is None else wanted
    scans = [{str(n)} for n in range(count)] if scans is None else scans
    chosen: list[int] = []
    for n in np.random.default_rng([seed, count]).permutation(count):
        held = with_twins([*chosen, n], scans)
        if len(chosen) < number and has_nodes[n] and any(has_nodes[m] for m in range(count) if m not in held):
            chosen.append(int(n))
    return sorted(chosen)


def with_twins(chosen: Sequence[int], scans: Sequence[Set[str]]) -> list[int]:
    """Positions of ``chosen`` and of all others that show the same scan: what was learned from measures nothing.

    Args:
        scans: what each case's image is known by; two that share something show the same scan.
    """
    held = {mark for n in chosen for mark in scans[n]}
    return [n for n, scan in enumerate(scans) if held & scan]


def findings_beside_marks(predicted: Volume, annotation: Volume) -> np.ndarray:
    """Voxels (bool) of predicted findings that hold no voxel of a marked node: each may be a node that nobody marked.

    What a finding has beyond the marked node that it covers is not among them: it is too much of that node.
    """
    components, count = components_of(predicted.array > 0)
    beside = np.ones(count + 1, dtype=bool)
    beside[components[annotation.array > 0]] = beside[0] = False
    return beside[components]


def measure(predicted: Volume, case: Case, knowledge: np.ndarray) -> HeldOutMeasure:
    """Compare a prediction with a case's annotation.

    Args:
        predicted: label values on the case's grid, by the very model that is offered.
        case: not used in training.
        knowledge: its knowledge map, on its own grid, nothing left open in it (``settled``).
    """
    known = knowledge != UNKNOWN
    wanted, given = knowledge == NODE, (predicted.array > 0) & known
    marked = tell_apart(case.annotation)
    found = tell_apart(predicted.with_array((predicted.array > 0).astype(np.uint8)))
    return HeldOutMeasure(
        case=case.name,
        dice=dice(wanted, given),
        nodes=int(marked.array.max()),
        found=len(match_numbers(marked, found)),
        findings=int(found.array.max()),
        complete=case.completeness == "all" and bool(known.all()),
    )


def summary(before: list[HeldOutMeasure], after: list[HeldOutMeasure]) -> dict[str, Any] | None:
    """What a card says was measured; None when nothing was held out."""
    if not before:
        return None
    return {
        "rule": RULE,
        "cases": [
            {"name": old.case, "before": _plain(old), "after": _plain(new)}
            for old, new in zip(before, after, strict=True)
        ],
        "dice_before": float(np.mean([m.dice for m in before])),
        "dice_after": float(np.mean([m.dice for m in after])),
        "recall_before": recall(before),
        "recall_after": recall(after),
        "findings_before": sum(m.findings for m in before),
        "findings_after": sum(m.findings for m in after),
        "complete": all(m.complete for m in after),
    }


def recall(measures: list[HeldOutMeasure]) -> float | None:
    """Share of marked findings that were found over all cases; None where none is marked."""
    nodes = sum(m.nodes for m in measures)
    return sum(m.found for m in measures) / nodes if nodes else None


def _plain(measured: HeldOutMeasure) -> dict[str, Any]:
    return {key: value for key, value in asdict(measured).items() if key != "case"}
