"""Where a case lies, and what an unmarked voxel of it means. Standard library only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..errors import InputError

COMPLETENESS = {
    "marked": "Only some lymph nodes are marked; others may exist, so unmarked is unknown.",
    "region": "Every lymph node inside the boxes is marked; outside is unknown.",
    "all": "Every lymph node of the scan is marked.",
}


@dataclass(frozen=True)
class CaseFiles:
    """Where a case lies.

    Args:
        image: CT file or DICOM folder.
        annotation: segmentation of marked nodes, any value above 0 unless ``labels`` says otherwise.
        completeness: a name in ``COMPLETENESS``; nothing is assumed beyond what is marked by default.
        region: for ``region``: boxes ``x0 y0 z0 x1 y1 z1`` (LPS mm), several separated by ``;``, or a mask file.
        rejected: segmentation of findings, and parts of them, that the user refused: known background from then on.
        name: how messages call the case; the image's file name by default.
        labels: the annotation's values that are lymph nodes, where others are not; those mean what unmarked means.
    """

    image: str
    annotation: str
    completeness: str = "marked"
    region: str | None = None
    rejected: str | None = None
    name: str | None = None
    labels: tuple[int, ...] | None = None

    @property
    def title(self) -> str:
        return self.name or Path(self.image).name

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CaseFiles:
        """Raises:
        InputError: the image or the annotation is missing, there is a field that a case does not have, or labels are
            none.
        """
        unknown = set(data) - {f.name for f in fields(cls)}
        if unknown:
            raise InputError(f"A case has no field {', '.join(sorted(unknown))}; remove it.")
        missing = [name for name in ("image", "annotation") if not data.get(name)]
        if missing:
            raise InputError(f"The case {data} names no {' and no '.join(missing)}; a case is a CT and its annotation.")
        return cls(**{**data, "labels": label_values(data.get("labels"))})


def told_apart(cases: Sequence[CaseFiles]) -> list[CaseFiles]:
    """The cases, named so that no two are called alike: by as many folders above the image as that needs, and by a
    number where that does not help."""
    parts = {case.image: Path(case.image).parts for case in cases if not case.name}
    needed = own_ends(parts.values())
    seen: Counter[str] = Counter()
    apart = []
    for case in cases:
        name = case.name or "/".join(parts[case.image][-needed[parts[case.image]] :])
        seen[name] += 1
        name = name if seen[name] == 1 else f"{name} ({seen[name]})"
        apart.append(case if name == case.title else replace(case, name=name))
    return apart


def own_ends(paths: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """How many of its last parts tell each path from all others; one is the file's name, more are folders above it."""
    left, needed, length = set(paths), {}, 0
    while left:
        length += 1
        ends = Counter(path[-length:] for path in left)
        enough = {path: length for path in left if ends[path[-length:]] == 1 or len(path) <= length}
        needed |= enough
        left -= enough.keys()
    return needed


def label_values(given: str | Iterable[int] | None) -> tuple[int, ...] | None:
    """The values of an annotation that are meant by ``1 2``, in rising order; None where nothing is given.

    Raises:
        InputError: they are no whole numbers above 0.
    """
    if given is None:
        return None
    words = re.split(r"[\s,;]+", given.strip()) if isinstance(given, str) else [str(value) for value in given]
    if not words or not all(re.fullmatch(r"0*[1-9]\d{0,9}", word, re.ASCII) for word in words):
        raise InputError(f"Labels are whole numbers above 0, as in 1 2, not {' '.join(words)!r}.")
    return tuple(sorted({int(word) for word in words}))
