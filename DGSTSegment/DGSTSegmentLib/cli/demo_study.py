"""The scans of the demonstration: made up, or a user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..atomic import write_text
from ..imaging.files import write_volume
from ..imaging.phantoms import Domain, make_phantom
from ..imaging.volume import Volume
from ..training.case import read_case
from ..training.case_files import CaseFiles

_MOST_EMPTY_IN_A_ROW = 50


@dataclass(frozen=True)
class Scan:
    """A scan of the demonstration.

    Args:
        name: how the report calls it.
        image: path of the CT.
        annotation: path of the segmentation shown beside predictions.
    """

    name: str
    image: str
    annotation: str


@dataclass(frozen=True)
class Study:
    """What the demonstration learns from and what it shows.

    Args:
        cases: annotated scans to learn from.
        shown: scans that are predicted before and after.
        unseen: ``shown`` were not learned from and all their nodes are known, so that they measure.
        made_up: phantoms.
        marked: how many nodes are marked in ``cases``; None where nobody counted.
        training: the scans of ``cases`` with every node that is in them, for who plays the reader; phantoms only.
        rejected: how many findings are refused in ``cases``.
    """

    cases: list[CaseFiles]
    shown: list[Scan]
    unseen: bool
    made_up: bool
    marked: int | None
    training: tuple[Scan, ...] = ()
    rejected: int = 0


def phantom_study(
    folder: Path, domain: str | Domain, seed: int, training_scans: int, marked_nodes: int, unseen_scans: int
) -> Study:
    """Phantoms to learn from, with a few marked nodes each, and further ones to measure on, written to ``folder``.

    Phantoms without nodes are passed over: nothing could be marked in them. ``seed`` numbers the first one.

    Raises:
        InputError: the disk is full.
        ValueError: the domain makes phantoms without nodes only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cases, training, shown, marked = [], [], [], 0
    for scan in range(training_scans + unseen_scans):
        seed, ct, nodes = _next_with_nodes(domain, seed)
        is_training = scan < training_scans
        name = f"training scan {scan + 1}" if is_training else f"unseen scan {scan - training_scans + 1}"
        image, annotation = (str(folder / f"{name.replace(' ', '-')}-{part}.nii.gz") for part in ("ct", "nodes"))
        write_volume(ct, image)
        if is_training:
            everything = annotation.replace("-nodes", "-all-nodes")
            write_volume(nodes, everything)
            training.append(Scan(name, image, everything))
            nodes, count = a_few_of(nodes, marked_nodes, seed)
            marked += count
            cases.append(CaseFiles(image, annotation, "marked", name=name))
        else:
            shown.append(Scan(name, image, annotation))
        write_volume(nodes, annotation)
        seed += 1
    write_text(folder / "README.txt", "Made-up scans (phantoms) and their lymph nodes; they show nobody.\n")
    return Study(cases, shown, unseen=True, made_up=True, marked=marked, training=tuple(training))


def own_study(image: str, annotation: str) -> Study:
    """A user's own scan, to learn from and to show; nothing is left to measure on.

    Raises:
        InputError: the scan or its annotation cannot be used.
    """
    files = CaseFiles(image, annotation, "marked")
    read_case(files)
    return Study([files], [Scan(Path(image).name, image, annotation)], unseen=False, made_up=False, marked=None)


def a_few_of(nodes: Volume, count: int, seed: int) -> tuple[Volume, int]:
    """``count`` of the nodes, drawn by ``seed``, and how many there were to draw; label values stay."""
    values = np.unique(nodes.array[nodes.array > 0])
    kept = np.random.default_rng(seed).permutation(values)[:count]
    return nodes.with_array(np.where(np.isin(nodes.array, kept), nodes.array, 0).astype(nodes.array.dtype)), len(kept)


def _next_with_nodes(domain: str | Domain, seed: int) -> tuple[int, Volume, Volume]:
    for candidate in range(seed, seed + _MOST_EMPTY_IN_A_ROW):
        phantom = make_phantom(domain, candidate)
        if phantom.nodes.array.any():
            return candidate, phantom.ct, phantom.nodes
    raise ValueError(f"No phantom of {_MOST_EMPTY_IN_A_ROW} from number {seed} on has a node.")
