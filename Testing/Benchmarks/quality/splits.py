"""Which scans are learned from, chosen on and tested on: always the same for the same names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock

from DGSTSegmentLib.atomic import write_text
from DGSTSegmentLib.errors import InputError

from .nnunet_raw import FileScan, Scans

SPLIT_SEED = 2025
ANNOTATED = ("all", "marked")
"""What the training annotation of a data set is: every node of each scan, or some of them."""
KNOWN_FILE = "nodes.json"
Parts = dict[str, tuple[FileScan, ...]]
_Scan = TypeVar("_Scan")


@dataclass(frozen=True)
class Most:
    """At most so many scans of a data set are taken for each part, drawn from all of them by ``SPLIT_SEED``.

    A full benchmark measures hundreds of models at some 10 s a scan, so that thousands of scans never end. Scans' Dice
    differs by about .2, so that its mean is known to .03 on 50 scans; every strategy is measured on the same ones.

    Args:
        validation, test: to choose and to measure on.
        training: to draw the few cases from; ten draws of 5 and those that choose take 60 without sharing any.
    """

    validation: int = 20
    test: int = 50
    training: int = 200


MOST = Most()


def split(scans: Sequence[_Scan], most: Most = MOST) -> dict[str, tuple[_Scan, ...]]:
    """Scans by part: a fifth to choose on, three in ten to test on, at most as many as ``most`` says.

    Raises:
        InputError: fewer than four scans.
    """
    if len(scans) < 4:
        raise InputError(f"{len(scans)} annotated scans are too few to learn, choose and test on; give at least four.")
    test = _share(0.3, len(scans), most.test)
    return _cut(scans, {"validation": _share(0.2, len(scans), most.validation), "test": test}, rest="training")


def parts_of(scans: Scans, annotated: str, most: Most, name: str) -> Parts:
    """The parts of a folder, whose own test scans are kept as such.

    Args:
        scans: of the folder.
        annotated: of ``ANNOTATED``; where only some nodes of the training scans are, no other scans than the folder's
            own test scans are measured on.
        most: of each part.
        name: of the folder, for errors.

    Raises:
        InputError: too few scans.
    """
    if annotated == "marked":
        return {"training": scans.training, **_measured_parts(scans.test, most, name)}
    if not scans.test:
        return split(scans.training, most)
    if len(scans.training) < 2:
        raise InputError(f"{name} has one annotated training scan; learning and choosing need at least two.")
    test = _cut(scans.test, {"test": min(most.test, len(scans.test))}, rest="left out")["test"]
    chosen_on = {"validation": _share(0.2, len(scans.training), most.validation)}
    return {**_cut(scans.training, chosen_on, rest="training"), "test": test}


def with_nodes(scans: Sequence[FileScan], most: int, folder: Path) -> tuple[FileScan, ...]:
    """Those in which a node is annotated, at most so many, drawn by ``SPLIT_SEED``; in the order of their names.

    Args:
        scans: to look into, each once as long as its annotation stays the same.
        most: how many.
        folder: where what was found is kept for every later process.

    Raises:
        InputError: an annotation cannot be read, or none has a node.
    """
    found: list[int] = []
    with FileLock(folder / f"{KNOWN_FILE}.lock"):
        known = _known(folder / KNOWN_FILE)
        before = len(known)
        for place in np.random.default_rng([SPLIT_SEED, len(scans)]).permutation(len(scans)):
            if len(found) == most:
                break
            fingerprint = scans[place].fingerprint
            if fingerprint not in known:
                known[fingerprint] = scans[place].has_nodes()
            if known[fingerprint]:
                found.append(int(place))
        if len(known) > before:
            write_text(folder / KNOWN_FILE, json.dumps(known) + "\n")
    if not found:
        raise InputError(f"None of {len(scans)} training scans ({scans[0].annotation}, ...) has a node to learn from.")
    return tuple(scans[place] for place in sorted(found))


def drawn_cases(pool_size: int, shots: int, draw: int) -> tuple[int, ...]:
    """Positions in the training part of the few cases of a draw.

    Draws share no case as long as the pool lasts; then it is shuffled anew. What is drawn depends on nothing else, so
    that every strategy gets the same cases.

    Args:
        pool_size: scans in the training part.
        shots: how many cases, at most ``pool_size``.
        draw: its number.
    """
    if not 1 <= shots <= pool_size:
        raise InputError(f"{shots} cases cannot be drawn from {pool_size} scans to learn from; ask for fewer shots.")
    shuffle, block = divmod(draw, pool_size // shots)
    order = np.random.default_rng([SPLIT_SEED, shots, shuffle]).permutation(pool_size)
    return tuple(int(place) for place in order[block * shots : (block + 1) * shots])


def _measured_parts(scans: Sequence[FileScan], most: Most, name: str) -> Parts:
    if len(scans) < 2:
        raise InputError(
            f"{name} has {len(scans)} annotated scans in imagesTs and labelsTs; with --annotated marked at least two "
            "fully annotated ones are needed there, to choose and to test on."
        )
    validation = _share(0.4, len(scans), most.validation)
    counts = {"validation": validation, "test": min(most.test, len(scans) - validation)}
    parts = _cut(scans, counts, rest="left out")
    return {part: parts[part] for part in counts}


def _share(share: float, of: int, most: int) -> int:
    return min(most, max(1, round(share * of)))


def _cut(scans: Sequence[_Scan], counts: Mapping[str, int], rest: str) -> dict[str, tuple[_Scan, ...]]:
    """So many of the scans, shuffled, for each part, and what remains as ``rest``; by name within a part."""
    ordered = sorted(scans, key=lambda scan: scan.name)
    order = np.random.default_rng([SPLIT_SEED, len(ordered)]).permutation(len(ordered))
    parts, first = {}, 0
    for part, count in {**counts, rest: len(ordered) - sum(counts.values())}.items():
        parts[part] = tuple(ordered[place] for place in sorted(order[first : first + count]))
        first += count
    return parts


def _known(path: Path) -> dict[str, bool]:
    """What was found of annotations, by fingerprint; what cannot be read is found anew."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
