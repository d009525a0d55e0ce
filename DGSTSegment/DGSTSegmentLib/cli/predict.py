"""``dgst predict``: a CT in, its segmentation out, on the CT's own grid."""

from __future__ import annotations

import argparse

from .arguments import add_computing, add_model, add_orientation, add_output, existing, given, model_spec, user_path
from .engine import ask
from .outputs import print_json, volume_path

NAME = "predict"
HELP = "Segment a CT, without test-time mirroring; the segmentation lies voxel for voxel on it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument(
        "--image", type=user_path, metavar="CT", required=True, help="CT file, or folder of a DICOM series"
    )
    parser.add_argument(
        "--out", type=user_path, metavar="SEG", required=True, help="segmentation to write (.nii.gz, .nrrd, ...)"
    )
    parser.add_argument(
        "--probability", type=user_path, metavar="P", help="probability of any label, to write (.nii.gz, .nrrd, ...)"
    )
    add_orientation(parser)
    add_computing(parser)
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    fields = {
        "model": model_spec(options.model),
        "image": existing(options.image),
        "out": volume_path(options.out, options.image),
        **given(options, "base", "fold", "checkpoint", "device", "precision", "orientation"),
    }
    if options.probability:
        fields["probability"] = volume_path(options.probability, options.image, options.out)
    result = ask("predict", fields, options.verbose)
    if options.json:
        print_json(result)
    else:
        print(f"{result['model']}: {' and '.join(filter(None, [result['out'], result['probability']]))}")
