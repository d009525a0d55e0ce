"""``dgst predict``: a CT in, its segmentation out, on the CT's own grid."""

from __future__ import annotations

import argparse
import os
from typing import Any

from .arguments import add_computing, add_model, add_orientation, add_output, asked_model, given, user_path
from .engine import ask
from .names import images_of
from .outputs import print_json, volume_path
from .several import RESULTS, Outcome, predict_each

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
        "is (where all end in the _0000 of nnU-Net's images, without it)",
    )
    parser.add_argument(
        "--probability", type=user_path, metavar="P", help="probability of any label, to write in the same way"
    )
    parser.add_argument(
        "--continue",
        action="store_true",
        dest="go_on",
        help="of several CTs leave out those whose results are in the folder already, made by this model of this CT",
    )
    add_orientation(parser)
    add_computing(parser)
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    images = images_of(options.image)
    fields = {**asked_model(options), **given(options, "device", "precision")}
    if len(images) > 1 or options.go_on or _is_a_folder(options.out) or not all(map(os.path.exists, options.image)):
        _several(images, fields, options)
    else:
        _one(images[0], fields, options)


def _is_a_folder(out: str) -> bool:
    """Or is written as one."""
    return os.path.isdir(out) or out.endswith(("/", os.sep))


def _one(image: str, fields: dict[str, Any], options: argparse.Namespace) -> None:
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
        InputError: one could not be segmented, or none could be.
        EngineError: the same, through no fault of the CT.
        Interrupted: Ctrl-C.
    """
    outcome = predict_each(images, given(options, *RESULTS), fields, options.go_on, options.verbose)
    if options.json:
        print_json(outcome.to_json())
    else:
        print("".join(f"{line}\n" for line in _lines(outcome)), end="")
    if outcome.error is not None:
        raise outcome.error


def _lines(outcome: Outcome) -> list[str]:
    there = len(outcome.left_out)
    whose = "its result is" if there == 1 else "their results are"
    return [*map(_line, outcome.predictions), *([f"{there} left out, since {whose} there already"] if there else [])]


def _line(result: dict[str, Any]) -> str:
    return f"{result['model']}: {' and '.join(filter(None, [result['out'], result['probability']]))}"
