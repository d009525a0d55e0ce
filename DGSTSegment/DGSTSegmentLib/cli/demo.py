"""``dgst demo``: the whole way, from a few marked nodes to an adapted model and its findings."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from ..errors import InputError
from .arguments import add_output, existing, user_path
from .engine import Interrupted, open_client
from .outputs import new_folder, print_json
from .progress import progress_view

NAME = "demo"
HELP = "Show the whole way: predict, fine-tune on a few marked nodes, predict again, and report; on made-up scans."
MARK = ".dgst-demo"
"""In a folder of a demonstration, which the next one may clear."""
PARTS = ("study", "predictions", "model", "before.png", "after.png", "findings.csv", "summary.json", "report.html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=user_path, metavar="DIR", default="demo-output", help="folder for results (default demo-output)"
    )
    parser.add_argument("--image", type=user_path, metavar="CT", help="a CT of yours instead of made-up scans")
    parser.add_argument("--annotation", type=user_path, metavar="SEG", help="the lymph nodes marked in it")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    from .demo_run import Demo, DemoSettings

    if (options.image is None) != (options.annotation is None):
        raise InputError("A CT and its annotation belong together; give both --image and --annotation, or neither.")
    own = (existing(options.image), existing(options.annotation)) if options.image else None
    folder = cleared_folder(options.out, *(own or ()))
    try:
        with progress_view() as view, open_client(view, options.verbose) as client:
            summary = Demo(DemoSettings(), folder, view, client).carry_out(own)
    except (KeyboardInterrupt, Interrupted) as interrupt:
        raise Interrupted(f"Interrupted; what was made until then is in {options.out}.") from interrupt
    if options.json:
        print_json(summary)
    else:
        print("\n".join(_lines(summary, options.out)))


def cleared_folder(path: str, *inputs: str) -> Path:
    """The folder for results, without what an earlier demonstration left in it.

    Args:
        inputs: paths of what is read, which is never removed.

    Raises:
        InputError: it holds anything else or an input, or cannot be used.
    """
    folder = Path(path).absolute()
    if any(folder.resolve() in Path(given).resolve().parents for given in inputs):
        raise InputError(f"{path} holds what is to be read, and is cleared first; give another folder with --out.")
    try:
        if (folder / MARK).is_file() and all(entry.name in (MARK, *PARTS) for entry in folder.iterdir()):
            for entry in folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        folder = Path(new_folder(path, "the demonstration"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
    except OSError as error:
        raise InputError(f"{path} cannot be used ({error.strerror or error}); give another folder.") from error
    return folder


def _lines(summary: dict[str, Any], out: str) -> list[str]:
    if summary["dice_after"] is None:
        measured = "Nothing was measured: the only annotated scan was learned from."
    else:
        measured = (
            f"Mean Dice over {len(summary['scans'])} unseen made-up scans: {summary['dice_before']:.3f} before, "
            f"{summary['dice_after']:.3f} after fine-tuning."
        )
    return [measured, f"Report: {Path(out) / 'report.html'}"]
