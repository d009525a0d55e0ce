"""``dgst evaluate``: a prediction against a reference."""

from __future__ import annotations

import argparse
import warnings
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..training.case_files import label_values
from .arguments import add_instances, add_json, add_labels, existing, user_path
from .outputs import print_json

if TYPE_CHECKING:
    from ..imaging.volume import Volume

NAME = "evaluate"
HELP = "Measure a segmentation against a reference: overlap, surface distance, and findings met by size."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference", type=user_path, metavar="SEG", required=True, help="segmentation taken as the truth"
    )
    parser.add_argument("--prediction", type=user_path, metavar="SEG", required=True, help="segmentation to measure")
    parser.add_argument("--image", type=user_path, metavar="CT", help="their CT: both are compared on its grid")
    parser.add_argument("--tolerance", type=float, metavar="MM", help="of the surface Dice, mm")
    add_labels(parser, "both segmentations")
    add_labels(parser, "the reference", "--reference-labels")
    add_instances(parser, "prediction")
    add_instances(parser, "reference", "--reference-instances")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    from ..imaging.findings import note_on_scattered_values

    if options.tolerance is not None and not 0 < options.tolerance < float("inf"):
        raise InputError(f"The tolerance is a number of mm greater than 0, not {options.tolerance:g}.")
    reference, prediction, notes = _on_one_grid(options)
    settings = {"instances": options.instances, "reference_instances": options.reference_instances}
    for segmentation, path, option in (
        (reference, options.reference, "reference_instances"),
        (prediction, options.prediction, "instances"),
    ):
        if settings[option] == "auto" and (note := note_on_scattered_values(segmentation)):
            notes.append(f"{path} {note}, add --{option.replace('_', '-')} components.")
    if options.tolerance is not None:
        settings["tolerance_mm"] = options.tolerance
    result = _evaluated(reference, prediction, settings)
    if options.json:
        print_json({**result, "notes": notes})
    else:
        print("\n".join([*lines_of(result), *notes]))


def _on_one_grid(options: argparse.Namespace) -> tuple[Volume, Volume, list[str]]:
    """Lymph nodes of reference and prediction on the CT's grid, else on the reference's, continued where the prediction
    marks more; and what had to be done for that.

    Raises:
        InputError: one cannot be read, or they do not overlap.
    """
    from ..imaging.files import read_ct
    from ..imaging.resample import continued_over, onto_grid_of

    notes: list[str | None] = []
    of_reference = "--labels" if options.reference_labels is None else "--reference-labels"
    reference = _nodes(options.reference, options.reference_labels or options.labels, of_reference, notes)
    prediction = _nodes(options.prediction, options.labels, "--labels", notes)
    ct = read_ct(existing(options.image)) if options.image else None
    if ct is not None:
        reference, note = onto_grid_of(reference, ct, options.reference)
        notes.append(note)
    there, note = onto_grid_of(prediction, reference, options.prediction)
    if ct is None and (continued := continued_over(reference, prediction)) is not None:
        reference = continued
        there, _ = onto_grid_of(prediction, reference, options.prediction)
        note = (
            f"{options.prediction} marks what lies outside the grid of {options.reference}, where nothing is taken as "
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


def _evaluated(reference: Volume, prediction: Volume, settings: dict[str, Any]) -> dict[str, Any]:
    from ..training.evaluate import evaluate

    with warnings.catch_warnings():  # libraries tell each other what they will change
        warnings.simplefilter("ignore", FutureWarning)
        return evaluate(reference, prediction, **settings).to_json()


def lines_of(values: dict[str, Any], above: str = "") -> list[str]:
    """A line a number, parts of parts indented by their names."""
    lines = []
    for name, value in values.items():
        title = f"{above}{name.replace('_', ' ')}"
        lines += lines_of(value, f"{title}, ") if isinstance(value, dict) else [f"{title:<36} {_shown(value)}"]
    return lines


def _shown(value: Any) -> str:
    if value is None:
        return "not defined here"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
