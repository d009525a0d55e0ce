"""From the command ``finetune`` to its first step done, on five phantom scans: start-up, reading, preparing, measuring.

The whole command in a fresh process, as a user starts it, with what it does by itself: one scan in five is held out and
predicted beforehand; where only some nodes are marked the foundation model is asked of each patch besides.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from DGSTSegmentLib.networks.catalogue import STARTER

from . import peers, scans
from .goals import Goal
from .part import Context, Row, find, row
from .timing import Estimate, interleaved
from .usage import seconds_to_line

NAME, TITLE = "first_step", "From finetune to the first step done"
SUBJECT, UNTIL = "dgst finetune", r"^train, 1/"
MOST_SECONDS = 10.0
COMPLETENESS = {"all": "every node is marked", "marked": "other nodes may exist"}
_SCANS = 5
_REASONS = {
    "all": "Importing torch and MONAI takes a third of it, the look at the held-out scan most of the rest.",
    "marked": "As where every node is marked; the foundation model is asked of each patch that leaves voxels open.",
}


def measure(context: Context) -> Iterator[Row]:
    """Seconds for each completeness."""
    pairs = scans.written(scans.phantoms(_SCANS), context.work / NAME / "scans")
    seconds: dict[str, list[float]] = {completeness: [] for completeness in COMPLETENESS}
    turns = {completeness: _turn(context, pairs, completeness, seconds[completeness]) for completeness in COMPLETENESS}
    interleaved(turns, context.rounds, warmup=1)  # its own seconds would hold the end of the process too
    for completeness, all_values in seconds.items():
        values = all_values[-context.rounds :]
        setting = context.setting(network="the starter", scans=_SCANS, completeness=completeness)
        yield row(NAME, SUBJECT, "seconds", values, setting, note=f"Five phantoms, {COMPLETENESS[completeness]}.")


def command_of(context: Context, pairs: Sequence[tuple[Path, Path]], completeness: str, out: Path) -> list[str]:
    """The command line: the starter on the scans, all else by default."""
    cases = [word for image, nodes in pairs for word in ("--case", str(image), str(nodes))]
    options = ["--completeness", completeness, "--device", context.device, "--precision", context.precision]
    start = [sys.executable, "-m", "DGSTSegmentLib.cli.main", "finetune", "--model", STARTER]
    return [*start, *cases, *options, "--threads", str(context.threads), "--out", str(out)]


def goals(rows: Sequence[Row]) -> list[Goal]:
    """Ten seconds on a CPU."""
    made = []
    for completeness, words in COMPLETENESS.items():
        found = find(rows, SUBJECT, "seconds", completeness=completeness, device="cpu")
        measured = None if found is None else Estimate.of(found["values"])
        title = f"From finetune to the first step done, 5 phantom scans, {words}"
        made.append(Goal(title, MOST_SECONDS, "s", True, measured, _REASONS[completeness]))
    return made


def _turn(
    context: Context, pairs: Sequence[tuple[Path, Path]], completeness: str, seconds: list[float]
) -> Callable[[], None]:
    """Adds to ``seconds`` when called."""
    folder = context.work / NAME
    environment = peers.threads_environment(context.threads, context.device)
    out = folder / f"run-{completeness}"

    def start() -> None:
        shutil.rmtree(out, ignore_errors=True)
        command = command_of(context, pairs, completeness, out)
        seconds.append(seconds_to_line(command, environment, UNTIL, folder / "logs" / f"{completeness}.log"))

    return start
