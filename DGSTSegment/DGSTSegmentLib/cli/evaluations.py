"""``dgst evaluate`` of folders: each prediction against the reference of its name, and what all scans come to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import atomic
from ..engine.faults import fault_of
from ..errors import InputError
from ..training.memory import give_back_memory, is_out_of_memory
from .names import first_of, scan_name
from .progress import progress_view

if TYPE_CHECKING:
    from ..imaging.matching import DetectionCounts
    from ..training.evaluate import Evaluation

SIZES = {"<5": "below_5_mm", "5-10": "5_to_10_mm", ">=10": "from_10_mm"}
"""Classes of the short axis as words that every program takes for a column's name."""


@dataclass(frozen=True)
class Scan:
    """Paths of what belongs together."""

    reference: str
    prediction: str
    image: str | None = None

    def names_one_in(self, sentence: str) -> bool:
        return any(path is not None and path in sentence for path in (self.reference, self.prediction, self.image))


@dataclass
class Paired:
    """The scans of folders.

    Args:
        scans: by the names of their predictions without endings.
        without_prediction, without_reference: names of what has no counterpart.
        notes: sentences for the user.
    """

    scans: dict[str, Scan]
    without_prediction: list[str] = field(default_factory=list)
    without_reference: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Evaluations:
    """What was measured, by scan.

    Args:
        evaluations: of the scans that could be measured.
        failed: the others, and why.
        notes: sentences for the user.
        interrupted: whether Ctrl-C came before the last scan was done.
    """

    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False

    def over_scans(self) -> dict[str, Any]:
        """Means, each with the number of scans that it is over, and the findings of all scans together; plain values.

        Dice and surface Dice are averaged over the scans whose reference marks a node: in the others they are 1 or 0
        by a single voxel. The distance is over those in which it is defined.
        """
        each = list(self.evaluations.values())
        marked = [one for one in each if one.reference_ml > 0]
        return {
            "scans": len(each),
            "both_empty": sum(one.reference_ml == one.prediction_ml == 0 for one in each),
            "mean_dice": _mean([one.dice for one in marked]),
            "mean_surface_dice": _mean([one.surface_dice for one in marked]),
            "mean_assd_mm": _mean([one.assd_mm for one in each if one.assd_mm is not None]),
            "detection": _pooled(self._counts()),
        }

    def lines(self) -> list[str]:
        """A line a scan, and what all come to; none where none was measured."""
        return [*map(_line_of, self.evaluations.items()), *self._lines_over_scans()]

    def to_json(self) -> dict[str, Any]:
        scans = {name: one.to_json() for name, one in self.evaluations.items()}
        return {"scans": scans, "over_scans": self.over_scans(), "failed": self.failed}

    def _counts(self) -> DetectionCounts:
        from ..imaging.matching import DetectionCounts

        return sum((one.detection for one in self.evaluations.values()), DetectionCounts())

    def _lines_over_scans(self) -> list[str]:
        if not self.evaluations:
            return []
        over, counts = self.over_scans(), self._counts()
        rows = {}
        for name, which in (("dice", True), ("surface_dice", True), ("assd_mm", False)):
            mean = over[f"mean_{name}"]
            words = f"{shown(mean['mean'])} over {mean['scans']} of {over['scans']} scans"
            rows[f"mean {name.replace('_', ' ')}"] = f"{words}, whose references mark nodes" if which else words
        rows["scans where both are empty"] = str(over["both_empty"])
        rows["recall, all nodes of all scans together"] = _found(counts)
        for size, words in SIZES.items():
            rows[f"recall, all nodes {words.replace('_', ' ')} together"] = _found(counts, size)
        rows["false positives per scan"] = shown(counts.false_positives_per_scan())
        return [f"{name:<40} {words}" for name, words in rows.items()]


def scans_of(reference: str, prediction: str, image: str | None = None) -> Paired:
    """The scans of folders, by the names of their files without endings.

    Args:
        image: a folder of CTs: files, or folders of a DICOM series each.

    Raises:
        InputError: there is no such folder, it holds two files of one name, or no prediction has a reference.
    """
    references, predictions = _volumes_in(reference), _volumes_in(prediction)
    images = {} if image is None else _volumes_in(image, series=True)
    names = sorted(set(references) & set(predictions))
    if not names:
        raise InputError(
            f"No file in {prediction} is called as one in {reference} is; the segmentations of a scan need one name."
        )
    lacking = next((name for name in names if image is not None and name not in images), None)
    if lacking is not None:
        raise InputError(f"{image} holds no CT called {lacking}; put it there, or leave out --image.")
    paired = Paired(
        {name: Scan(references[name], predictions[name], images.get(name)) for name in names},
        sorted(set(references) - set(predictions)),
        sorted(set(predictions) - set(references)),
    )
    paired.notes = [
        f"Of {len(own)} in {folder} {len(left)} have no counterpart in {other} and are left out: {first_of(left)}."
        for own, folder, other, left in (
            (predictions, prediction, reference, paired.without_reference),
            (references, reference, prediction, paired.without_prediction),
        )
        if left
    ]
    return paired


def evaluate_each(scans: Mapping[str, Scan], evaluate: Callable[[Scan], tuple[Evaluation, list[str]]]) -> Evaluations:
    """Scan after scan, with progress on stderr; one that cannot be measured ends nothing, and Ctrl-C keeps the others.

    Args:
        evaluate: of one scan, with notes; raises ``InputError`` where it cannot be measured.
    """
    result, began = Evaluations(), time.monotonic()
    try:
        with progress_view() as view:
            for n, (name, scan) in enumerate(scans.items(), 1):
                try:
                    evaluation, notes = evaluate(scan)
                    result.evaluations[name] = evaluation
                    result.notes += notes
                except Exception as error:
                    if is_out_of_memory(error):
                        give_back_memory()
                    elif not isinstance(error, InputError):
                        raise
                    result.failed[name] = sentence = fault_of(error)["message"]
                    view.say(sentence if scan.names_one_in(sentence) else f"{name}: {sentence}")
                left = (time.monotonic() - began) / n * (len(scans) - n)
                view.on_event(
                    {"event": "progress", "phase": "measure", "step": n, "steps": len(scans), "seconds_left": left}
                )
    except KeyboardInterrupt:
        result.interrupted = True
    return result


def write_table(result: Evaluations, path: str) -> None:
    """A row a scan; empty where a number is not defined, and for a scan that failed, of which the last column says why.

    Cells are separated by commas, in a ``.tsv`` by tabs.

    Raises:
        InputError: the file could not be written.
    """
    rows = {name: _row(one) for name, one in result.evaluations.items()}
    columns = ["scan", *dict.fromkeys(column for row in rows.values() for column in row), "failed"]
    scans = [
        {"scan": name, **rows.get(name, {}), "failed": result.failed.get(name)}
        for name in sorted([*rows, *result.failed])
    ]
    atomic.write_table(path, [columns, *([scan.get(column) for column in columns] for scan in scans)])


def shown(value: Any) -> str:
    """A number for people; None is not defined."""
    if value is None:
        return "not defined here"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _row(one: Evaluation) -> dict[str, Any]:
    plain = one.to_json()
    detection = plain.pop("detection")
    by_size = {
        f"{what}_{SIZES[size]}": counts[what]
        for what in ("reference", "found", "false_positives")
        for size, counts in detection["by_short_axis_mm"].items()
    }
    totals = {f"detection_{name}": detection[name] for name in ("recall", "false_positives_per_scan")}
    return {**plain, **totals, **by_size}


def _line_of(item: tuple[str, Evaluation]) -> str:
    name, one = item
    return (
        f"{name:<40} dice {one.dice:.3f}, surface dice {one.surface_dice:.3f}, found "
        f"{sum(one.detection.found.values())} of {sum(one.detection.reference.values())}, false positives "
        f"{sum(one.detection.false_positives.values())}"
    )


def _pooled(counts: DetectionCounts) -> dict[str, Any]:
    """Findings of all scans as if they were of one; recall is not the mean of the scans' own."""
    from ..training.evaluate import detection_json

    plain = detection_json(counts)
    by_size = {
        size: {**values, "pooled_recall": counts.recall(size)} for size, values in plain["by_short_axis_mm"].items()
    }
    return {
        "pooled_recall": plain["recall"],
        "false_positives_per_scan": plain["false_positives_per_scan"],
        "by_short_axis_mm": by_size,
    }


def _found(counts: DetectionCounts, size: str | None = None) -> str:
    found, there = (sum(of.values()) if size is None else of.get(size, 0) for of in (counts.found, counts.reference))
    return f"{shown(counts.recall(size))} ({found} of {there})"


def _volumes_in(folder: str, series: bool = False) -> dict[str, str]:
    """Paths of the volumes in a folder by their names without endings.

    Args:
        series: whether folders in it are volumes too.

    Raises:
        InputError: it is no folder, or holds two of one name.
    """
    from ..imaging.image_io import is_named_as_volume

    if not Path(folder).is_dir():
        raise InputError(f"{folder} is no folder; give either files or folders, of both or all three.")
    found: dict[str, str] = {}
    for path in sorted(Path(folder).iterdir()):
        wanted = series if path.is_dir() else is_named_as_volume(path)
        if wanted and not path.name.startswith("."):
            name = scan_name(path.name)
            if name in found:
                raise InputError(f"{folder} holds {Path(found[name]).name} and {path.name}; keep only one of them.")
            found[name] = str(path)
    return found


def _mean(values: Sequence[float]) -> dict[str, Any]:
    return {"mean": sum(values) / len(values) if values else None, "scans": len(values)}
