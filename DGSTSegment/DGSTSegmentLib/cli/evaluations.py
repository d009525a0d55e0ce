"""``dgst evaluate`` of folders: each prediction against the reference of its name, and what all scans come to."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import write_text
from ..errors import InputError
from .names import scan_name
from .outputs import VOLUME_ENDINGS
from .progress import progress_view

if TYPE_CHECKING:
    from ..training.evaluate import Evaluation

AVERAGED = ("dice", "surface_dice", "assd_mm")


@dataclass(frozen=True)
class Scan:
    """Paths of what belongs together."""

    reference: str
    prediction: str
    image: str | None = None


@dataclass
class Evaluations:
    """What was measured, by scan.

    Args:
        evaluations: of the scans that could be measured.
        failed: the others, and why.
        notes: sentences for the user.
    """

    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def over_scans(self) -> dict[str, Any]:
        """Means over the scans in which a number is defined, and findings of all scans together; plain values."""
        from ..imaging.matching import DetectionCounts
        from ..training.evaluate import detection_json

        each = list(self.evaluations.values())
        means = {f"mean_{name}": _mean([getattr(one, name) for one in each]) for name in AVERAGED}
        return {**means, "detection": detection_json(sum((one.detection for one in each), DetectionCounts()))}

    def lines(self) -> list[str]:
        """A line a scan."""
        return [
            f"{name:<36} dice {one.dice:.3f}, surface dice {one.surface_dice:.3f}, found "
            f"{sum(one.detection.found.values())} of {sum(one.detection.reference.values())}, false positives "
            f"{sum(one.detection.false_positives.values())}"
            for name, one in self.evaluations.items()
        ]

    def to_json(self) -> dict[str, Any]:
        scans = {name: one.to_json() for name, one in self.evaluations.items()}
        return {"scans": scans, "over_scans": self.over_scans(), "failed": self.failed, "notes": self.notes}


def scans_of(reference: str, prediction: str, image: str | None = None) -> tuple[dict[str, Scan], list[str]]:
    """The scans of folders, by the names of their predictions without endings; and what has no counterpart.

    Raises:
        InputError: there is no such folder, it holds two files of one name, or no prediction has a reference.
    """
    references, predictions = _volumes_in(reference), _volumes_in(prediction)
    images = {} if image is None else _volumes_in(image)
    names = sorted(set(references) & set(predictions))
    if not names:
        raise InputError(
            f"No file in {prediction} is called as one in {reference} is; the segmentations of a scan need one name."
        )
    lacking = next((name for name in names if image is not None and name not in images), None)
    if lacking is not None:
        raise InputError(f"{image} holds no CT called {lacking}; put it there, or leave out --image.")
    notes = [
        f"Of {len(own)} in {folder} {len(left)} have no counterpart in {other} and are left out: {', '.join(left)}."
        for own, folder, other, others in (
            (predictions, prediction, reference, references),
            (references, reference, prediction, predictions),
        )
        if (left := sorted(set(own) - set(others)))
    ]
    return {name: Scan(references[name], predictions[name], images.get(name)) for name in names}, notes


def evaluate_each(scans: Mapping[str, Scan], evaluate: Callable[[Scan], tuple[Evaluation, list[str]]]) -> Evaluations:
    """Scan after scan, with progress on stderr; one that cannot be measured ends nothing.

    Args:
        evaluate: of one scan, with notes; raises ``InputError`` where it cannot be measured.
    """
    result, began = Evaluations(), time.monotonic()
    with progress_view() as view:
        for n, (name, scan) in enumerate(scans.items(), 1):
            try:
                result.evaluations[name], notes = evaluate(scan)
                result.notes += [note for note in notes if note not in result.notes]
            except InputError as error:
                result.failed[name] = str(error)
                view.say(str(error))
            left = (time.monotonic() - began) / n * (len(scans) - n)
            view.on_event(
                {"event": "progress", "phase": "measure", "step": n, "steps": len(scans), "seconds_left": left}
            )
    return result


def write_table(evaluations: Mapping[str, Evaluation], path: str) -> None:
    """A row a scan; empty where a number is not defined. Cells are separated by commas, in a ``.tsv`` by tabs.

    Raises:
        InputError: the file could not be written.
    """
    rows = [{"scan": name, **flat(one.to_json(), "_")} for name, one in evaluations.items()]
    text = io.StringIO()
    separator = "\t" if path.lower().endswith(".tsv") else ","
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["scan"], delimiter=separator, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def flat(values: Mapping[str, Any], between: str = ", ", above: str = "") -> dict[str, Any]:
    """Values of values by one name each: ``detection, recall``."""
    found = {}
    for name, value in values.items():
        title = f"{above}{name if between == '_' else name.replace('_', ' ')}"
        found |= flat(value, between, title + between) if isinstance(value, Mapping) else {title: value}
    return found


def _volumes_in(folder: str) -> dict[str, str]:
    """Paths of the volumes in a folder by their names without endings.

    Raises:
        InputError: it is no folder, or holds two of one name.
    """
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is no folder; give either files or folders, of both or all three.")
    found: dict[str, str] = {}
    for path in sorted(Path(folder).iterdir()):
        if path.name.lower().endswith(VOLUME_ENDINGS) and not path.name.startswith("."):
            name = scan_name(path.name)
            if name in found:
                raise InputError(f"{folder} holds {Path(found[name]).name} and {path.name}; leave one of them.")
            found[name] = str(path)
    return found


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
