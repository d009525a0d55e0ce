"""The command line of the speed benchmark."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import torch
from quality.circumstances import usable_cores

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.training.devices import choose_device, choose_precision, why_no_gpu
from DGSTSegmentLib.training.request import DEVICES, PRECISIONS

from .journal import Journal, made_by
from .part import Context
from .report import REPORT_FILE, write_report

PARTS = ("steps", "step_memory", "finetuning", "first_step", "prediction", "scaling")
"""Parts in the order of the report: modules of this package, loaded when they are measured or reported."""

ROUNDS, QUICK_ROUNDS = 9, 3
_COMMAND = "python3 run.py bench speed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is not measured yet and write the report; 0 when it went as asked."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    try:
        contexts = [_context(options, device) for device in _devices(options.device)]
        if not options.report_only:
            for context in contexts:
                _measure(context, options.only or PARTS, options.again, f"{_COMMAND} {shlex.join(given)}".strip())
        write_report(contexts[0].out, modules())
        print(contexts[0].out / REPORT_FILE, flush=True)
        return 0
    except InputError as problem:
        print(f"bench speed: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench speed: stopped; the same command measures what is missing.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small networks and few rounds: to see that it works")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--again", action="store_true", help="measure anew what is measured already")
    parser.add_argument("--out", type=Path, help="folder for rows and report; the same folder goes on")
    parser.add_argument("--work", type=Path, default=Path("build") / "speed-work", help="folder for peers and data")
    parser.add_argument("--rounds", type=int, help=f"turns of every contestant; {ROUNDS} by default")
    parser.add_argument("--threads", type=int, help="CPU threads; one a core by default")
    parser.add_argument("--device", default="auto", choices=DEVICES, help="auto: the CPU, and a GPU where there is one")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS)
    parser.add_argument("--report-only", action="store_true", help="write the report anew from the rows that there are")
    return parser


def _devices(asked: str) -> list[str]:
    """
    Raises:
        InputError: a GPU is asked for and there is none.
    """
    if asked != "auto":
        return [choose_device(asked).type]
    reason = why_no_gpu()
    if reason is None:
        return ["cpu", "cuda"]
    _say(f"skipped: everything on a GPU, since there is none to compute on ({reason})")
    return ["cpu"]


def _context(options: argparse.Namespace, device: str) -> Context:
    """
    Raises:
        InputError: a number makes no sense.
    """
    for name in ("rounds", "threads"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise InputError(f"--{name} must be at least 1, not {getattr(options, name)}.")
    return Context(
        device=device,
        threads=options.threads or usable_cores(),
        precision=choose_precision(options.precision, torch.device(device)),
        rounds=options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS),
        quick=options.quick,
        out=options.out or Path("build") / ("speed-quick" if options.quick else "speed"),
        work=options.work,
        say=_say,
    )


def module_of(name: str) -> ModuleType:
    """The module of the part called ``name``."""
    return importlib.import_module(f".{name}", __package__)


def modules() -> list[ModuleType]:
    """All parts in the order of the report."""
    return [module_of(name) for name in PARTS]


def _measure(context: Context, names: Sequence[str], again: bool, command: str) -> None:
    torch.set_num_threads(context.threads)
    journal, author = Journal(context.out), made_by(context, command)
    for part in map(module_of, names):
        if journal.is_finished(part.NAME, author) and not again:
            _say(f"{part.NAME} on {context.device}: measured already by the same code; --again measures it anew")
            continue
        _say(f"{part.NAME} on {context.device}")
        journal.begin(part.NAME, author)
        for row in part.measure(context):
            journal.add(row)
        journal.finish(part.NAME, author)


def _say(text: str) -> None:
    print(f"bench speed: {text}", file=sys.stderr, flush=True)
