"""``dgst export``: a model as nnU-Net v2 leaves one."""

from __future__ import annotations

import argparse

from .arguments import add_model, add_output, asked_model, user_path
from .engine import ask
from .outputs import new_folder, print_json, told

NAME = "export"
HELP = "Write a model for nnU-Net v2: a fine-tuned one whole, so that neither its base nor this program is needed."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--out", required=True, type=user_path, metavar="FOLDER", help="a new folder for the model")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    out = new_folder(options.out, "a model")
    result = ask("export", {**asked_model(options), "out": out}, options.verbose)
    told(result["notes"])
    if options.json:
        print_json(result)
    else:
        print(f"{result['model']} is in {out}; nnU-Net predicts with it by\n{result['command']}")
