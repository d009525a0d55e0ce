"""``dgst evaluate``: a prediction against a reference, or a folder of them against theirs."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..training.case_files import label_values
from .arguments import add_instances, add_json, add_labels, existing, user_path
from .engine import Interrupted
from .evaluations import Evaluations, Scan, evaluate_each, scans_of, shown, write_table
from .names import first_of
from .outputs import print_json, table_path, told

if TYPE_CHECKING:
    from ..imaging.volume import Volume
    from ..training.evaluate import Evaluation

NAME = "evaluate"
HELP = "Measure a segmentation against a reference: overlap, surface distance, and findings met by size."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference", type=user_path, metavar="SEG", required=True, help="segmentation taken as the truth, or a folder"
    )
    parser.add_argument(
        "--prediction",
        type=user_path,
        metavar="SEG",
        required=True,
        help="segmentation to measure, or a folder, whose files are measured by those of the same names",
    )
    parser.add_argument(
        "--image",
        type=user_path,
        metavar="CT",
        help="their CT, or a folder of CTs (files, or folders of a DICOM series each): both are compared on its grid",
    )
    parser.add_argument("--out", type=user_path, metavar="CSV", help="of folders: table to write, a row a scan")
    parser.add_argument("--tolerance", type=float, metavar="MM", help="of the surface Dice, mm")
    add_labels(parser, "both segmentations")
    add_labels(parser, "the reference", "--reference-labels")
    add_instances(parser, "prediction")
    add_instances(parser, "reference", "--reference-instances")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    if options.tolerance is not None and not 0 < options.tolerance < float("inf"):
        raise InputError(f"The tolerance is a number of mm greater than 0, not {options.tolerance:g}.")
    if Path(options.prediction).is_dir() or Path(options.reference).is_dir():
        _folders(options)
        return
    if options.out:
        raise InputError("A table is written of folders; leave out --out, or give folders.")
    evaluation, notes = _evaluated(Scan(options.reference, options.prediction, options.image), options)
    notes = told(notes)
    if options.json:
        print_json({**evaluation.to_json(), "notes": notes})
    else:
        print("\n".join(lines_of(evaluation.to_json())))


def _folders(options: argparse.Namespace) -> None:
    """
    Raises:
        InputError: files cannot be told to belong together, or some could not be measured; the others were.
        Interrupted: Ctrl-C; what was measured until then is printed and written.
    """
    paired = scans_of(options.reference, options.prediction, options.image)
    table = table_path(options.out) if options.out else None
    result = evaluate_each(paired.scans, lambda scan: _evaluated(scan, options))
    notes = told([*paired.notes, *result.notes])
    if options.json:
        without = {name: getattr(paired, name) for name in ("without_prediction", "without_reference")}
        print_json({**result.to_json(), **without, "notes": notes})
    else:
        print("".join(f"{line}\n" for line in result.lines()), end="")
    if table and result.evaluations:
        write_table(result, table)
    _end(result, len(paired.scans), table)


def _end(result: Evaluations, count: int, table: str | None) -> None:
    """
    Raises:
        Interrupted, InputError: as ``_folders``.
    """
    tried, failed = len(result.evaluations) + len(result.failed), list(result.failed)
    if not result.evaluations:
        kept = "nothing was measured" + (f", and {table} was not written" if table else "")
    else:
        kept = "what was measured is told above" + (f" and in {table}" if table else "")
    if result.interrupted:
        raise Interrupted(f"Interrupted after {tried} of {count} scans; {kept}.")
    if failed:
        raise InputError(
            f"{len(failed)} of {count} scans could not be measured ({first_of(failed)}), and why was said above; "
            f"{kept}."
        )


def _evaluated(scan: Scan, options: argparse.Namespace) -> tuple[Evaluation, list[str]]:
    """What is measured of one scan, and what is to be known of it.

    Raises:
        InputError: a file cannot be used.
    """
    from ..imaging.findings import note_on_scattered_values
    from ..training.evaluate import evaluate

    reference, prediction, notes = _on_one_grid(scan, options)
    settings = {"instances": options.instances, "reference_instances": options.reference_instances}
    for segmentation, path, option in (
        (reference, scan.reference, "reference_instances"),
        (prediction, scan.prediction, "instances"),
    ):
        if settings[option] == "auto" and (note := note_on_scattered_values(segmentation)):
            notes.append(f"{path} {note}, add --{option.replace('_', '-')} components.")
    if options.tolerance is not None:
        settings["tolerance_mm"] = options.tolerance
    with warnings.catch_warnings():  # libraries tell each other what they will change
        warnings.simplefilter("ignore", FutureWarning)
        return evaluate(reference, prediction, **settings), notes


def _on_one_grid(scan: Scan, options: argparse.Namespace) -> tuple[Volume, Volume, list[str]]:
    """Lymph nodes of reference and prediction on the CT's grid, else on the reference's, continued where the prediction
    marks more; and what had to be done for that.

    Raises:
        InputError: one cannot be read, or they do not overlap.
    """
    from ..imaging.files import read_ct
    from ..imaging.resample import continued_over, onto_grid_of

    notes: list[str | None] = []
    of_reference = "--labels" if options.reference_labels is None else "--reference-labels"
    reference = _nodes(scan.reference, options.reference_labels or options.labels, of_reference, notes)
    prediction = _nodes(scan.prediction, options.labels, "--labels", notes)
    ct = read_ct(existing(scan.image)) if scan.image else None
    if ct is not None:
        reference, note = onto_grid_of(reference, ct, scan.reference, scan.image)
        notes.append(note)
    there, note = onto_grid_of(prediction, reference, scan.prediction, scan.image or scan.reference)
    if ct is None and (continued := continued_over(reference, prediction)) is not None:
        reference = continued
        there, _ = onto_grid_of(prediction, reference, scan.prediction)
        note = (
            f"{scan.prediction} marks what lies outside the grid of {scan.reference}, where nothing is taken as "
            "marked; give --image to compare both on the grid of their CT."
        )
    return reference, there, list(filter(None, [*notes, note]))


def _nodes(path: str, labels: list[str] | None, option: str, notes: list[str | None]) -> Volume:
    """The lymph nodes of a segmentation: the values that ``option`` names, else all above 0.

    Raises:
        InputError: it cannot be read, or labels are none.
    """
    from ..imaging.files import read_segmentation
    from ..imaging.findings import note_on_values
    from ..imaging.segments import only_values

    values, segmentation = label_values(labels), read_segmentation(existing(path))
    if values is None:
        if note := note_on_values(segmentation):
            notes.append(f"{path}: {note}; where some are something else, name those that are with {option}.")
        return segmentation
    nodes = only_values(segmentation, values)
    if segmentation.array.any() and not nodes.array.any():
        notes.append(f"{path} holds none of the values {' '.join(labels)} of {option}, so it is taken as empty.")
    return nodes


def lines_of(values: dict[str, Any]) -> list[str]:
    """A line a number, parts of parts with their names before them."""
    return [f"{name:<36} {shown(value)}" for name, value in _flat(values).items()]


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Values of values by one name each: ``detection, recall``."""
    found = {}
    for name, value in values.items():
        title = f"{above}{name.replace('_', ' ')}"
        found |= _flat(value, f"{title}, ") if isinstance(value, Mapping) else {title: value}
    return found
