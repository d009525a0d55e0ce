"""What the commands share of their options, and a parser that complains in one sentence."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ..errors import InputError
from ..networks.catalogue import lasting_spec
from ..networks.nnunet_folder import CHECKPOINTS
from ..networks.plan import ORIENTATIONS
from ..training.request import DEVICES, MODEL_PARTS, MODEL_PLACES, PRECISIONS

MODEL_HELP = "starter, a model folder, a checkpoint of nnU-Net's (.pth) or a zip"

user_path = os.path.expanduser
"""Type of an option that is a path: shells leave the ``~`` of ``--out=~/run`` as it is."""


_NUMBERS_IN_A_ROW = re.compile(r"-\.?\d[\d.eE+-]*[,;][\d.eE+,; -]*")


class OneSentenceParser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one sentence, without repeating the usage."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None):
        """As ever; but ``-4,5``, the corner of a box say, is a value and no option: argparse takes what holds a space
        for one."""
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args(
            [f" {word}" if _NUMBERS_IN_A_ROW.fullmatch(word) else word for word in words], namespace
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.rstrip('.')}; see {self.prog} --help.\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        sys.stdout.flush()  # of --help, while somebody still hears that nobody reads it
        super().exit(status, message)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else, on stdout")


def add_output(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    parser.add_argument("--verbose", action="store_true", help="show the engine's log on stderr")


def add_instances(parser: argparse.ArgumentParser, whose: str, option: str = "--instances") -> None:
    parser.add_argument(
        option,
        choices=("auto", "values", "components"),  # of imaging.findings.find, too heavy to load for --help
        default="auto",
        help=f"what a label value of the {whose} is: one finding (values), or a kind of structure whose connected "
        "parts are the findings (components); auto (default): values where there are several",
    )


def add_labels(parser: argparse.ArgumentParser, of: str, option: str = "--labels") -> None:
    parser.add_argument(
        option, nargs="+", metavar="VALUE", help=f"values of {of} that are lymph nodes, where not all above 0 are"
    )


def add_model(parser: argparse.ArgumentParser, required: bool = True) -> None:
    parser.add_argument("--model", type=user_path, metavar="MODEL", required=required, help=MODEL_HELP)
    add_model_part(parser)


def add_model_part(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base", type=user_path, metavar="MODEL", help="where the base of a fine-tuned model is, if it was moved"
    )
    parser.add_argument(
        "--fold",
        help="one fold of an nnU-Net model by its number, or the fold called all (fold_all); default: the "
        "ensemble of the numbered folds",
    )
    parser.add_argument(
        "--checkpoint",
        choices=tuple(CHECKPOINTS),
        help="which checkpoint of an nnU-Net model (default: final, or best where there is no final one)",
    )


def add_orientation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--orientation",
        choices=tuple(ORIENTATIONS),
        help="how the network wants to see scans, where its files do not tell: brought to LPS or RAS order first, or "
        "as a file stores them (nnU-Net models whose training files were stored otherwise)",
    )


def add_computing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=DEVICES, help="where to compute (default: a GPU where there is one)")
    parser.add_argument("--precision", choices=PRECISIONS, help="number format (default: what the device is fast at)")


def given(options: argparse.Namespace, *names: str) -> dict:
    """The named options that were given on the command line."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def asked_model(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of a request that say which model is opened, as far as they were given; places as a run can keep
    them."""
    asked = given(options, *(name for name in ("model", *MODEL_PARTS) if name in options))
    return {name: lasting_spec(value) if name in MODEL_PLACES else value for name, value in asked.items()}


def existing(path: str) -> str:
    """The absolute path of a file or folder that has to be there.

    Raises:
        InputError: it is not.
    """
    if not os.path.exists(path):
        raise InputError(f"{path} does not exist; check the path.")
    return os.path.abspath(path)
