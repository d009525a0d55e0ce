"""``dgst predict``: a CT in, its segmentation out, on the CT's own grid."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import InputError
from .arguments import add_computing, add_model, add_orientation, add_output, given, model_spec, user_path
from .engine import ask
from .outputs import print_json, volume_path
from .several import RESULTS, Outcome, images_of, predict_each

NAME = "predict"
HELP = "Segment CTs, without test-time mirroring; a segmentation lies voxel for voxel on its CT."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument(
        "--image",
        nargs="+",
        type=user_path,
        metavar="CT",
        required=True,
        help="CT files, or folders of a DICOM series each",
    )
    parser.add_argument(
        "--out",
        type=user_path,
        metavar="SEG",
        required=True,
        help="segmentation to write (.nii.gz, .nrrd, ...); of several CTs a folder, in which each is called as its CT "
        "is (without the _0000 of nnU-Net's images)",
    )
    parser.add_argument(
        "--probability", type=user_path, metavar="P", help="probability of any label, to write in the same way"
    )
    parser.add_argument(
        "--continue",
        action="store_true",
        dest="go_on",
        help="of several CTs leave out those whose results are in the folder already",
    )
    add_orientation(parser)
    add_computing(parser)
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    images = images_of(options.image)
    fields = {
        "model": model_spec(options.model),
        **given(options, "base", "fold", "checkpoint", "device", "precision", "orientation"),
    }
    if len(images) > 1 or Path(options.out).is_dir():
        _several(images, fields, options)
    else:
        _one(images[0], fields, options)


def _one(image: str, fields: dict[str, Any], options: argparse.Namespace) -> None:
    if options.go_on:
        raise InputError("--continue is for several CTs; leave it out, or give a folder with --out.")
    fields |= {"image": image, "out": volume_path(options.out, image)}
    if options.probability:
        fields["probability"] = volume_path(options.probability, image, options.out)
    result = ask("predict", fields, options.verbose)
    if options.json:
        print_json(result)
    else:
        print(_line(result))


def _several(images: list[str], fields: dict[str, Any], options: argparse.Namespace) -> None:
    """
    Raises:
        InputError: one could not be segmented; the others were.
    """
    outcome = predict_each(images, given(options, *RESULTS), fields, options.go_on, options.verbose)
    if options.json:
        print_json(asdict(outcome))
    else:
        print("\n".join(_lines(outcome)))
    if outcome.failed:
        raise InputError(
            f"{len(outcome.failed)} of {len(images)} CTs could not be segmented ({', '.join(outcome.failed)}); what "
            "each needs was said above, and --continue then leaves out the others."
        )


def _lines(outcome: Outcome) -> list[str]:
    there = len(outcome.left_out)
    return [*map(_line, outcome.predictions), *([f"{there} left out, since they were there already"] if there else [])]


def _line(result: dict[str, Any]) -> str:
    return f"{result['model']}: {' and '.join(filter(None, [result['out'], result['probability']]))}"
