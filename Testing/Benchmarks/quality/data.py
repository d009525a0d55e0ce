"""Pools of cases: what is learned from, what configurations are chosen on, and what is measured on once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging.phantoms import DOMAINS, make_phantom
from DGSTSegmentLib.imaging.volume import Volume

from .circumstances import DATA_VARIABLE, digest_of_texts, shared_data
from .guard import SealedSplit
from .nnunet_json import DESCRIPTION_FILE, Wanted
from .nnunet_raw import FileScan, refuse_choice, scans_in
from .rows import Rows
from .splits import ANNOTATED, Most, parts_of, with_nodes

FIRST_PHANTOM = {"training": 30_000, "validation": 40_000, "test": 50_000}
"""Numbers of the first phantoms; far from those that the starter and the demonstration use."""

STS_FOLDER = "sts_ct_gtv_CCBY3"
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

    @property
    def fingerprint(self) -> str:
        """Differs where CT or annotation do."""

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

    @property
    def fingerprint(self) -> str:
        return repr(self)

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
class Choices:
    """What is read of folders.

    Args:
        target: of the data set that is learned from.
        source: of the source domain's; what it leaves open is as ``target`` says.
        annotated: of ``ANNOTATED``, the data set's training scans.
        most: scans of each part; of phantoms as well.
    """

    target: Wanted = Wanted()
    source: Wanted = Wanted(options="--source-")
    annotated: str = ANNOTATED[0]
    most: Most = Most()


ANY = Choices()


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
        read: what of files it comes from: ``label``, ``channel``, ``annotated`` and a digest of every ``annotation``;
            empty for phantoms.
    """

    name: str
    description: str
    training: tuple[Scan, ...]
    validation: tuple[Scan, ...]
    source_validation: tuple[Scan, ...]
    test: SealedSplit
    split: dict[str, list[str]]
    read: dict[str, Any] = field(default_factory=dict)


def open_pool(data: str, rows: Rows, sizes: Sizes, source: str | None = None, choices: Choices = ANY) -> Pool:
    """The pool called ``phantoms`` or ``sts``, or the one in a folder.

    Args:
        data: ``phantoms``, ``sts``, an nnU-Net raw data set folder, or a folder of ``x_ct.nii.gz`` with
            ``x_gtv.nii.gz``.
        rows: where the sealed test split looks up choices and writes results.
        sizes: of phantoms.
        source: ``phantoms``, a folder as for ``data``, or None for no measure of forgetting.
        choices: of what is read of folders.

    Raises:
        InputError: there is no such data, too little of it, or a choice has no effect on it.
    """
    around = _source(source, sizes, choices)
    if data != "phantoms":
        return _pool_in(data, around, rows, choices)
    refuse_choice(choices.target, data)
    if choices.annotated != ANNOTATED[0]:
        raise InputError(f"--annotated {choices.annotated} has no effect on phantoms, whose nodes are all known.")
    parts = {part: phantoms("target", part, _count(sizes, part, part, choices.most)) for part in FIRST_PHANTOM}
    return _pool(data, PHANTOM_DESCRIPTION, parts, around, rows, {})


def phantoms(domain: str, part: str, count: int) -> tuple[PhantomScan, ...]:
    """The phantoms of one part of the pool. To learn from, only some with nodes; to measure on, empty ones as well."""
    first = FIRST_PHANTOM[part]
    return tuple(PhantomScan(domain, seed, occupied=part == "training") for seed in range(first, first + count))


def _count(sizes: Sizes, size: str, part: str, most: Most) -> int:
    return min(getattr(sizes, size), getattr(most, part))


def _pool_in(data: str, source: Source, rows: Rows, choices: Choices) -> Pool:
    """Of ``sts`` or a folder."""
    is_sts = data == "sts"
    folder = shared_data() / STS_FOLDER if is_sts else Path(data).expanduser().resolve()
    if is_sts and not folder.is_dir():
        raise InputError(f"There is no folder {folder}; set {DATA_VARIABLE} to the folder that {STS_FOLDER} lies in.")
    scans = scans_in(folder, choices.target, qualified=not is_sts)
    parts = parts_of(scans, choices.annotated, choices.most, str(folder))
    parts["training"] = with_nodes(parts["training"], choices.most.training, rows.scratch)
    read = {"label": scans.label, "channel": scans.channel, "annotated": choices.annotated}
    if is_sts:
        return _pool(data, STS_DESCRIPTION, parts, source, rows, read)
    of_label = "" if scans.label is None else f", label {scans.label}, channel {scans.channel}"
    description = f"The data set in the folder {folder.name}{of_label}."
    if choices.annotated == "marked":
        description += " Of its training scans only some nodes are annotated; all else was measured on its test scans."
    return _pool(folder.name, description, parts, source, rows, read)


def _source(source: str | None, sizes: Sizes, choices: Choices) -> Source:
    if source is None or source == "phantoms":
        refuse_choice(choices.source, f"--source {source or 'none'}")
    if source is None:
        return Source()
    if source == "phantoms":
        counts = {part: _count(sizes, f"source_{part}", part, choices.most) for part in ("validation", "test")}
        return Source(**{part: phantoms("source", part, count) for part, count in counts.items()})
    folder = Path(source).expanduser().resolve()
    wanted = choices.source
    if (folder / DESCRIPTION_FILE).is_file():
        label, channel = wanted.label or choices.target.label, wanted.channel or choices.target.channel
        wanted = replace(wanted, label=label, channel=channel)
    parts = parts_of(scans_in(folder, wanted), ANNOTATED[0], choices.most, str(folder))
    return Source(parts["validation"], parts["test"])


def _pool(
    name: str, description: str, parts: dict[str, tuple[Scan, ...]], source: Source, rows: Rows, read: dict[str, Any]
) -> Pool:
    everything = {**parts, "source validation": source.validation, "source test": source.test}
    _refuse_shared(everything)
    files = [scan for scans in everything.values() for scan in scans if isinstance(scan, FileScan)]
    if files:
        read = {**read, "annotation": digest_of_texts(scan.fingerprint for scan in files)}
    return Pool(
        name=name,
        description=description,
        training=parts["training"],
        validation=parts["validation"],
        source_validation=source.validation,
        test=SealedSplit(parts["test"], source.test, rows),
        split={part: [scan.name for scan in scans] for part, scans in everything.items()},
        read=read,
    )


def _refuse_shared(parts: dict[str, tuple[Scan, ...]]) -> None:
    """Cases of different data sets may have the same name; what counts is where they come from."""
    seen: dict[str, str] = {}
    for part, scans in parts.items():
        for scan in scans:
            place = str(scan.annotation.resolve()) if isinstance(scan, FileScan) else scan.name
            if place in seen:
                raise InputError(f"{scan.name} is in both {seen[place]} and {part}; keep the parts apart.")
            seen[place] = part
