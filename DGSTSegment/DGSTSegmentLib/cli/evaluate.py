"""``dgst evaluate``: a prediction against a reference."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import add_json, existing
from .outputs import print_json

NAME = "evaluate"
HELP = "Measure a segmentation against a reference: overlap, surface distance, and findings met by size."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reference", metavar="SEG", required=True, help="segmentation taken as the truth")
    parser.add_argument("--prediction", metavar="SEG", required=True, help="segmentation to measure")
    parser.add_argument("--image", metavar="CT", help="their CT")
    parser.add_argument("--tolerance", type=float, metavar="MM", help="of the surface Dice, mm")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    from ..imaging.files import read_ct, read_segmentation
    from ..imaging.resample import onto_grid_of
    from ..training.evaluate import evaluate

    reference = read_segmentation(existing(options.reference))
    prediction = read_segmentation(existing(options.prediction))
    ct = read_ct(existing(options.image)) if options.image else None
    prediction, note = onto_grid_of(prediction, reference, options.prediction)
    tolerance = {} if options.tolerance is None else {"tolerance_mm": options.tolerance}
    result = evaluate(reference, prediction, ct, **tolerance).to_json()
    if options.json:
        print_json({**result, "notes": [note] if note else []})
    else:
        print("\n".join(filter(None, [*lines_of(result), note])))


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
