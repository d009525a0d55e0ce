"""Pools of cases: what is learned from, what configurations are chosen on, and what is measured on once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging.phantoms import DOMAINS, make_phantom
from DGSTSegmentLib.imaging.volume import Volume

from .guard import SealedSplit
from .nnunet_raw import FileScan, paired_scans, raw_scans
from .rows import Rows

SPLIT_SEED = 2025
FIRST_PHANTOM = {"training": 30_000, "validation": 40_000, "test": 50_000}
"""Numbers of the first phantoms; far from those that the starter and the demonstration use."""

STS_FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "sts_ct_gtv_CCBY3"
PHANTOM_DESCRIPTION = (
    "Phantoms: computed images of two domains that imitate what makes lymph nodes hard to see. They show no patient, "
    "and results on them say nothing about patients."
)
STS_DESCRIPTION = (
    "CTs of soft-tissue sarcomas of the limbs with their gross tumour volume (Vallieres 2015, CC BY 3.0): real images, "
    "but tumours and no lymph nodes, and few."
)


class Scan(Protocol):
    """A scan of which every node is known."""

    @property
    def name(self) -> str: ...

    def read(self) -> tuple[Volume, Volume]:
        """CT (HU) and label values on the same grid, above 0 where a node is."""


@dataclass(frozen=True)
class PhantomScan:
    """The phantom number ``seed`` of a domain, made when it is read; ``occupied`` makes sure that it has a node."""

    domain: str
    seed: int
    occupied: bool = False

    @property
    def name(self) -> str:
        return f"{self.domain} phantom {self.seed}"

    def read(self) -> tuple[Volume, Volume]:
        return _phantom(self)


@lru_cache(maxsize=48)
def _phantom(scan: PhantomScan) -> tuple[Volume, Volume]:
    domain = DOMAINS[scan.domain]
    phantom = make_phantom(replace(domain, empty_scans=0.0) if scan.occupied else domain, scan.seed)
    return phantom.ct, phantom.nodes


@dataclass(frozen=True)
class Sizes:
    """How many phantoms each part of the pool has."""

    training: int = 60
    validation: int = 6
    test: int = 16
    source_validation: int = 4
    source_test: int = 8


@dataclass(frozen=True)
class Source:
    """Scans of the domain that the foundation model comes from: what is forgotten shows there."""

    validation: tuple[Scan, ...] = ()
    test: tuple[Scan, ...] = ()


@dataclass(frozen=True)
class Pool:
    """One target domain, split once, and the source domain beside it.

    Args:
        name: how rows and report call it.
        description: for the report, what it is and what it does not show.
        training: scans that the few cases are drawn from.
        validation: target scans on which configurations are chosen.
        source_validation: source scans on which configurations are chosen; empty where the source domain is unknown.
        test: target and source scans of the final measure, sealed.
        split: names of the scans by part, test included.
    """

    name: str
    description: str
    training: tuple[Scan, ...]
    validation: tuple[Scan, ...]
    source_validation: tuple[Scan, ...]
    test: SealedSplit
    split: dict[str, list[str]]


def open_pool(data: str, rows: Rows, sizes: Sizes, source: str | None = None, label: str | None = None) -> Pool:
    """The pool called ``phantoms`` or ``sts``, or the one in a folder.

    Args:
        data: ``phantoms``, ``sts``, an nnU-Net raw data set folder, or a folder of ``x_ct.nii.gz`` with
            ``x_gtv.nii.gz``.
        rows: where the sealed test split looks up choices and writes results.
        sizes: of phantoms.
        source: ``phantoms``, an nnU-Net raw data set folder, or None for no measure of forgetting.
        label: name of the label to segment, where a data set has several.

    Raises:
        InputError: there is no such data, or too little of it.
    """
    around = _source(source, sizes)
    if data == "phantoms":
        parts = {part: phantoms("target", part, getattr(sizes, part)) for part in FIRST_PHANTOM}
        return _pool(data, PHANTOM_DESCRIPTION, parts, around, rows)
    folder = STS_FOLDER if data == "sts" else Path(data).expanduser()
    description = STS_DESCRIPTION if data == "sts" else f"The data set in the folder {folder.name}."
    return _pool(data if data == "sts" else folder.name, description, split(scans_in(folder, label)), around, rows)


def phantoms(domain: str, part: str, count: int) -> tuple[PhantomScan, ...]:
    """The phantoms of one part of the pool. To learn from, only some with nodes; to measure on, empty ones as well."""
    first = FIRST_PHANTOM[part]
    return tuple(PhantomScan(domain, seed, occupied=part == "training") for seed in range(first, first + count))


def scans_in(folder: Path, label: str | None = None) -> tuple[FileScan, ...]:
    """The annotated scans of a folder, in the order of their names.

    Raises:
        InputError: the folder has none of the layouts known.
    """
    if (folder / "dataset.json").is_file():
        return raw_scans(folder, label)
    return paired_scans(folder)


def split(scans: Sequence[Scan]) -> dict[str, tuple[Scan, ...]]:
    """Scans by part, always the same for the same names: a fifth to choose on, three in ten to test on.

    Raises:
        InputError: fewer than four scans.
    """
    if len(scans) < 4:
        raise InputError(f"{len(scans)} annotated scans are too few to learn, choose and test on; give at least four.")
    ordered = sorted(scans, key=lambda scan: scan.name)
    order = np.random.default_rng([SPLIT_SEED, len(ordered)]).permutation(len(ordered))
    validation, test = max(1, round(0.2 * len(ordered))), max(1, round(0.3 * len(ordered)))
    places = {
        "validation": order[:validation],
        "test": order[validation : validation + test],
        "training": order[validation + test :],
    }
    return {part: tuple(ordered[place] for place in sorted(chosen)) for part, chosen in places.items()}


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


def _source(source: str | None, sizes: Sizes) -> Source:
    if source is None:
        return Source()
    if source == "phantoms":
        counts = {"validation": sizes.source_validation, "test": sizes.source_test}
        return Source(**{part: phantoms("source", part, count) for part, count in counts.items()})
    parts = split(scans_in(Path(source).expanduser()))
    return Source(parts["validation"], parts["test"])


def _pool(name: str, description: str, parts: dict[str, tuple[Scan, ...]], source: Source, rows: Rows) -> Pool:
    names = {part: [scan.name for scan in scans] for part, scans in parts.items()}
    names |= {f"source {part}": [scan.name for scan in getattr(source, part)] for part in ("validation", "test")}
    _refuse_shared(names)
    return Pool(
        name=name,
        description=description,
        training=parts["training"],
        validation=parts["validation"],
        source_validation=source.validation,
        test=SealedSplit(parts["test"], source.test, rows),
        split=names,
    )


def _refuse_shared(names: dict[str, list[str]]) -> None:
    parts = list(names)
    for number, part in enumerate(parts):
        for other in parts[number + 1 :]:
            shared = set(names[part]) & set(names[other])
            if shared:
                raise InputError(f"{sorted(shared)[0]} is in both {part} and {other}; keep the parts apart.")
