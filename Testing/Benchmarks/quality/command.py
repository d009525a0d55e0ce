"""The command line of the quality benchmark."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from DGSTSegmentLib.cli.progress import clock
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.catalogue import STARTER
from DGSTSegmentLib.training.case_files import COMPLETENESS
from DGSTSegmentLib.training.devices import why_no_gpu
from DGSTSegmentLib.training.request import DEVICES, PRECISIONS

from .circumstances import usable_cores
from .data import Choices, Sizes
from .entrants import FULL, chosen_entrants, known_entrants
from .ideas import titles_of_ideas
from .ideas_report import write_ideas_report
from .measures import mean_of
from .nnunet_json import Wanted
from .protocol import Protocol, open_pieces, pieces
from .report import REPORT_FILE, number_text, write_report
from .settings import Settings, open_benchmark
from .splits import ANNOTATED, MOST, Most
from .work import Benchmark, Pace, Progress, work

QUICK = {
    "strategies": ("dgst", "full", "static", "lora"),
    "factors": (0.4, 1.0),
    "sizes": Sizes(training=20, validation=1, test=3, source_validation=1, source_test=1),
    "protocol": Protocol(
        steps=12, shots=(5,), completeness=("marked",), choosing_draws=1, draws=2, many_draws=2
    ),
}  # fmt: skip
"""Every part of a benchmark, in some 1,200 processor seconds: what it says of strategies is only a first look."""
IDEAS = {
    "ideas": True,
    "protocol": Protocol(steps=100, shots=(5,), completeness=("all",), choosing_draws=3, draws=0, many_draws=0),
}
QUICK_MINUTES = 14.0
SPARE_MINUTES = 0.2
"""For the report."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 when it went as asked, though it may not be finished."""
    options = _parser().parse_args(arguments)
    if not (options.quick or options.full or options.ideas):
        options.quick = True
        print("bench quality: neither --full nor --ideas is asked for, so this is --quick", file=sys.stderr, flush=True)
    try:
        settings = settings_of(options)
        if not options.report_only:
            _carry_out(settings, _minutes(options))
        return _report(settings, options.full)
    except InputError as problem:
        print(f"bench quality: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench quality: stopped; the same command goes on.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench quality", description=__doc__)
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument(
        "--quick", action="store_true", help="four strategies, few draws: 15 minutes on 2 cores; default"
    )
    scope.add_argument("--full", action="store_true", help="whole comparison: many hours on 2 cores, run after run")
    scope.add_argument("--ideas", action="store_true", help="ideas for a better DGST, on validation scans only")
    _add_data_options(parser)
    parser.add_argument("--model", default=STARTER, help="the foundation model: starter, a folder or a zip")
    parser.add_argument("--fold", help="of an ensemble of folds")
    parser.add_argument("--out", type=Path, help="folder for rows and report; the same folder goes on")
    parser.add_argument("--minutes", type=float, help="for this run; the same command goes on afterwards")
    parser.add_argument("--jobs", type=int, help="processes at work at once; one a core by default, one on a GPU")
    parser.add_argument("--strategies", "--only", nargs="+", metavar="NAME", help=_strategies_help())
    parser.add_argument("--shots", type=int, nargs="+", help="numbers of cases to learn from")
    parser.add_argument("--completeness", nargs="+", choices=[name for name in COMPLETENESS if name != "region"])
    parser.add_argument("--steps", type=int, help="of each fine-tuning")
    parser.add_argument("--choosing-draws", type=int, help="draws that every configuration is tried on")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--precision", default="auto", choices=PRECISIONS)
    parser.add_argument("--report-only", action="store_true", help="write the report anew from the rows that there are")
    return parser


def _strategies_help() -> str:
    unnamed = "; ".join(f"{', '.join(names)} where annotated {kind}" for kind, names in FULL.items())
    return f"of {', '.join(known_entrants())}; of --full, where none is named: {unnamed}; of --ideas, every idea"


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="phantoms", help="phantoms, sts, or a folder (nnU-Net raw data set)")
    parser.add_argument("--label", help="name or value of the label to segment, where a data set has several")
    parser.add_argument("--channel", help="name or number of the CT's channel, where a data set has several CTs")
    parser.add_argument(
        "--annotated",
        choices=ANNOTATED,
        default=ANNOTATED[0],
        help="how imagesTr of --data is annotated: every node (all), or some nodes of each scan (marked); scans of the "
        "latter are drawn as cases of completeness marked only, while all is measured on the fully annotated scans in "
        "imagesTs and labelsTs, of which there must be two at least",
    )
    parser.add_argument(
        "--source", help="scans of the model's own domain: phantoms, none, or a folder, fully annotated"
    )
    parser.add_argument("--source-label", help="of the folder --source; that of --label where not given")
    parser.add_argument("--source-channel", help="of the folder --source; that of --channel where not given")
    parser.add_argument(
        "--validation-scans", type=_count, default=MOST.validation, help="to choose on, at most; default %(default)s"
    )
    parser.add_argument(
        "--test-scans", type=_count, default=MOST.test, help="to measure on, at most; default %(default)s"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of scans; give 1 or more")
    return int(text)


def settings_of(options: argparse.Namespace) -> Settings:
    """What the command line means."""
    scope = "quick" if options.quick else "ideas" if options.ideas else "full"
    processes = options.jobs or (1 if _uses_gpu(options.device) else usable_cores())
    data_name = options.data if options.data in ("phantoms", "sts") else Path(options.data).resolve().name
    settings = Settings(
        data=options.data,
        out=options.out or Path("build") / _folder_name(data_name, scope),
        model=options.model,
        fold=options.fold,
        source=_source(options),
        choices=_choices(options),
        device=options.device,
        precision=options.precision,
        threads=max(1, usable_cores() // processes),
        processes=processes,
    )
    settings = replace(settings, **{"quick": QUICK, "ideas": IDEAS, "full": {}}[scope])
    asked = {
        name: tuple(value) if isinstance(value, list) else value
        for name in ("shots", "completeness", "steps", "choosing_draws")
        if (value := getattr(options, name)) is not None
    }
    if options.annotated == "marked":
        asked.setdefault("completeness", ("marked",))
    strategies = tuple(options.strategies) if options.strategies else settings.strategies
    return replace(settings, strategies=strategies, protocol=replace(settings.protocol, **asked))


def _choices(options: argparse.Namespace) -> Choices:
    return Choices(
        target=Wanted(options.label, options.channel),
        source=Wanted(options.source_label, options.source_channel, options="--source-"),
        annotated=options.annotated,
        most=Most(validation=options.validation_scans, test=options.test_scans),
    )


def _folder_name(data_name: str, scope: str) -> str:
    return "quality-ideas" if (data_name, scope) == ("phantoms", "ideas") else f"quality-{data_name}-{scope}"


def _source(options: argparse.Namespace) -> str | None:
    """Phantoms show what the starter forgets; of another model's own domain nothing is known."""
    if options.source is None:
        return "phantoms" if options.model == STARTER else None
    return None if options.source == "none" else options.source


def _uses_gpu(device: str) -> bool:
    return device != "cpu" and why_no_gpu() is None


def _minutes(options: argparse.Namespace) -> float | None:
    return QUICK_MINUTES if options.minutes is None and options.quick else options.minutes


def _carry_out(settings: Settings, minutes: float | None) -> None:
    _silence_monai()
    deadline = None if minutes is None else time.monotonic() + 60 * (minutes - SPARE_MINUTES)
    benchmark = open_benchmark(settings)
    left = _missing(benchmark)
    shots = " and ".join(str(n) for n in benchmark.protocol.shots)
    print(f"{left} pieces of work left, of {shots} shots, in {settings.out}", file=sys.stderr, flush=True)
    if settings.processes == 1:
        work(benchmark, deadline, _tell)
    elif left:
        _work_together(settings, deadline)


def _work_together(settings: Settings, deadline: float | None) -> None:
    """
    Raises:
        InputError: a process ended early, killed or by an error, which it printed.
    """
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work_alone, args=(settings, deadline)) for _ in range(settings.processes)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
    _refuse_early_ends(worker.exitcode for worker in workers)


def _refuse_early_ends(codes: Iterable[int | None]) -> None:
    """
    Raises:
        InputError: an exit code is not 0; it names each.
    """
    early = [f"process {number} {_end_text(code)}" for number, code in enumerate(codes, start=1) if code]
    if early:
        raise InputError(f"{', '.join(early)}; what was finished is kept, and the same command goes on.")


def _end_text(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code} for the reason above"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    advice = " (by the system for want of memory, if not by you: take fewer --jobs)" if name == "SIGKILL" else ""
    return f"was killed by {name}{advice}"


def _work_alone(settings: Settings, deadline: float | None) -> None:
    _end_with_the_parent()
    _silence_monai()
    try:
        work(open_benchmark(settings), deadline, _tell)
    except InputError as problem:
        print(f"bench quality: {problem}", file=sys.stderr, flush=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _end_with_the_parent() -> None:
    """A killed benchmark cannot end its processes: left behind they would go on, beside those of the run after it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _silence_monai() -> None:
    """MONAI warns of an argument that it gives itself, whenever surfaces are compared."""
    warnings.filterwarnings("ignore", message=".*always_return_as_numpy.*", category=FutureWarning)


def _tell(progress: Progress) -> None:
    row = progress.row
    told = row.get("refused") or _numbers(row)
    place = " ".join(str(row[name]) for name in ("strategy", "completeness", "shots") if row.get(name) is not None)
    left = "time left not known yet" if progress.seconds_left is None else f"about {clock(progress.seconds_left)} left"
    line = f"[{progress.done}/{progress.total}] {row['stage']} {place} draw {row['draw']}: {told}; {left}"
    print(line, file=sys.stderr, flush=True)


def _numbers(row: dict) -> str:
    source = f", source {number_text(mean_of(row['source']['dice']))}" if row["source"] else ""
    return f"target {number_text(mean_of(row['target']['dice']))}{source}, {row['seconds']['total']:.0f} s"


def _report(settings: Settings, full: bool) -> int:
    benchmark = open_benchmark(settings)
    missing = _missing(benchmark)
    of_full = _missing(_all_of_full(benchmark, settings)) if full else None
    if settings.ideas:
        write_ideas_report(settings.out, titles_of_ideas(), missing)
    else:
        write_report(settings.out, missing, of_full)
    state = "finished"
    if missing:
        each = Pace(benchmark.rows.read().values()).mean("choose" if settings.ideas else "test")
        state = f"{missing} pieces of work of about {clock(each)} each are left; the same command goes on"
    if of_full and of_full != missing:
        state += f" (of all that --full does, {of_full} pieces are left)"
    print(f"{state}: {settings.out / REPORT_FILE}", flush=True)
    return 0


def _missing(benchmark: Benchmark) -> int:
    return len(open_pieces(pieces(benchmark.protocol, benchmark.entrants), benchmark.rows.read()))


def _all_of_full(benchmark: Benchmark, settings: Settings) -> Benchmark:
    """The benchmark as --full does it where nothing less is asked for."""
    whole, most = Protocol(), len(benchmark.pool.training)
    completeness = ("marked",) if settings.choices.annotated == "marked" else whole.completeness
    shots = tuple(sorted({min(shots, most) for shots in whole.shots}))
    protocol = replace(whole, completeness=completeness, shots=shots)
    return replace(benchmark, protocol=protocol, entrants=chosen_entrants(None, settings.factors))
