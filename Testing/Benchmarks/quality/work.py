"""Doing the pieces: train, measure, write the row; by one process or several, until all is done or time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from DGSTSegmentLib.networks.model import FoundationModel
from DGSTSegmentLib.training.predict import Predictor
from DGSTSegmentLib.training.trainer import NothingMoved

from .circumstances import processor_name, training_code
from .data import Pool
from .entrants import Entrant
from .guard import Refused, choice_key
from .measures import measure
from .protocol import BEFORE, Piece, Protocol, cells, choice, is_ready, nothing_to_choose, open_pieces, pieces
from .rows import Row, Rows
from .splits import drawn_cases
from .tune import Computing, Tuned, prepared_case, tune
from .variants import varied

SECONDS_BETWEEN_LOOKS = 1.0
"""How often a process looks for work that became possible while others do what it waits for."""


@dataclass(frozen=True)
class Benchmark:
    """Everything that a piece of work needs.

    Args:
        rows: what is done.
        protocol: what is to be done.
        entrants: who takes part, by name.
        pool: what is learned from and measured on.
        model: the foundation model.
        computing: device, precision, threads.
        commit: of the code, as ``commit_of_code`` tells it.
        processes: how many work at once, for the time left.
    """

    rows: Rows
    protocol: Protocol
    entrants: Mapping[str, Entrant]
    pool: Pool
    model: FoundationModel
    computing: Computing
    commit: str | None = None
    processes: int = 1


@dataclass(frozen=True)
class Progress:
    """A row that was just written, and how far the benchmark is; ``seconds_left`` is None until pieces were timed."""

    row: Row
    done: int
    total: int
    seconds_left: float | None


class Pace:
    """How long pieces take, from the rows that there are; until one is known, as long as measuring alone.

    Args:
        rows: of any kind.
    """

    def __init__(self, rows: Iterable[Row]):
        self._seconds: dict[str, list[float]] = {}
        for row in rows:
            if "seconds" in row:
                stage = BEFORE if row["strategy"] == BEFORE else row["stage"]
                self._seconds.setdefault(stage, []).append(row["seconds"]["total"])

    @property
    def is_known(self) -> bool:
        """Whether a fine-tuning was timed."""
        return bool(self._seconds.keys() - {BEFORE})

    def mean(self, stage: str) -> float:
        """Seconds of a piece of that stage; of others where there is none yet, 0 where there are none at all."""
        known = self._seconds.get(stage) or [s for seconds in self._seconds.values() for s in seconds]
        return fmean(known) if known else 0.0

    def ends_by(self, stage: str, deadline: float | None) -> bool:
        """Whether a piece begun now probably ends before ``deadline`` (of ``time.monotonic``; None for never)."""
        return deadline is None or time.monotonic() + self.mean(stage) < deadline


def work(
    benchmark: Benchmark, deadline: float | None = None, on_row: Callable[[Progress], None] = lambda progress: None
) -> None:
    """Do every piece that nobody else does, until none is left.

    Args:
        benchmark: whose rows other processes may be writing too.
        deadline: value of ``time.monotonic`` after which no piece may end: one that probably would is not begun.
        on_row: hears of every row that this call wrote.
    """
    torch.set_num_threads(benchmark.computing.threads)
    todo = pieces(benchmark.protocol, benchmark.entrants)
    while True:
        rows = fix_choices(benchmark)
        left = open_pieces(todo, rows)
        pace = Pace(rows.values())
        intime = [piece for piece in left if pace.ends_by(piece.stage, deadline)]
        if not intime:
            return
        done = _first_possible(benchmark, [piece for piece in intime if is_ready(piece, rows)])
        if done is None:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        else:
            on_row(_progress(benchmark, todo, done))


def _first_possible(benchmark: Benchmark, ready: list[Piece]) -> Row | None:
    """The row of the first piece that nobody else was at; None where others are at all of them."""
    for piece in ready:
        with benchmark.rows.claimed(piece.key) as free:
            if free:
                return do(benchmark, piece)
    return None


def fix_choices(benchmark: Benchmark) -> dict[str, Row]:
    """Write down each choice that became possible, where anything is to be tested; all rows, these included."""
    rows = benchmark.rows.read()
    if not benchmark.protocol.tests:
        return rows
    possible = [nothing_to_choose()]
    for cell in cells(benchmark.protocol, benchmark.entrants):
        if choice_key(cell.name) not in rows:
            possible.append(choice(cell, benchmark.entrants[cell.entrant], benchmark.protocol, rows))
    for row in possible:
        if row is not None and row["key"] not in rows:
            benchmark.rows.append(row)
    return benchmark.rows.read()


def do(benchmark: Benchmark, piece: Piece) -> Row:
    """Do one piece and write its row.

    A strategy that is refused gets a row that says why, in place of numbers.
    """
    try:
        if piece.stage == "test":
            _test(benchmark, piece)
        else:
            benchmark.rows.append(_tried(benchmark, piece))
        return benchmark.rows.get(piece.key)
    except (Refused, NothingMoved) as reason:
        key = piece.key if piece.key not in benchmark.rows.read() else f"refused/{piece.key}"
        row = {**piece.described(), "key": key, "refused": str(reason), **_circumstances(benchmark)}
        benchmark.rows.append(row)
        return row


def _tried(benchmark: Benchmark, piece: Piece) -> Row:
    began = time.monotonic()
    tuned = _tuned(benchmark, piece, piece.configuration)
    pool = benchmark.pool
    row = _row(benchmark, piece, piece.configuration, tuned, pool.validation, pool.source_validation, began)
    return {**row, **_variants(benchmark, piece, tuned)}


def _variants(benchmark: Benchmark, piece: Piece, tuned: Tuned) -> dict[str, Any]:
    """The column of the variants of a finished model, measured on the validation scans; none without any."""
    if tuned.mean_change is None:
        return {}
    base, pool = benchmark.model.network().state_dict(), benchmark.pool
    measured, finished = {}, tuned.network.cpu()  # measuring has left it on the device
    for variant in benchmark.entrants[piece.cell.entrant].variants:
        predictor = _predictor(benchmark, varied(finished, base, tuned.mean_change, variant))
        measured[variant.name] = {
            "target": measure(predictor, pool.validation),
            "source": measure(predictor, pool.source_validation),
        }
    return {"variants": measured}


def _test(benchmark: Benchmark, piece: Piece) -> None:
    began = time.monotonic()
    cell = piece.cell.name if piece.cell else BEFORE
    configuration = benchmark.rows.get(choice_key(cell))["configuration"]
    tuned = _tuned(benchmark, piece, configuration)
    benchmark.pool.test.measure_once(
        cell,
        piece.draw,
        configuration,
        lambda target, source: _row(benchmark, piece, configuration, tuned, target, source, began),
    )


def _tuned(benchmark: Benchmark, piece: Piece, configuration: Mapping[str, Any] | None) -> Tuned:
    if piece.cell is None:
        return Tuned(benchmark.model.network(), 0.0, 0.0, 0.0, 0.0)
    protocol, pool, cell = benchmark.protocol, benchmark.pool, piece.cell
    draw = piece.case_draw(protocol)
    scans = [pool.training[place] for place in drawn_cases(len(pool.training), cell.shots, draw)]
    folder, plan = benchmark.rows.scratch / "cases", benchmark.model.plan
    cases = [prepared_case(scan, cell.completeness, protocol.marked_nodes, plan, folder) for scan in scans]
    with pool.test.closed_while_training():
        return tune(
            benchmark.entrants[cell.entrant],
            dict(configuration),
            benchmark.model,
            cases,
            benchmark.computing,
            steps=protocol.steps,
            batch_size=protocol.batch_size,
            seed=draw,
        )


def _row(benchmark: Benchmark, piece: Piece, configuration, tuned: Tuned, target, source, began: float) -> Row:
    predictor = _predictor(benchmark, tuned.network)
    measured = {"target": measure(predictor, target), "source": measure(predictor, source)}
    return {
        **piece.described(),
        "configuration": configuration or {},
        **measured,
        "weights_changed": tuned.weights_changed,
        "peak_memory_mb": round(tuned.peak_memory_mb, 1),
        "seconds": {
            "train": round(tuned.seconds, 2),
            "processor": round(tuned.processor_seconds, 2),
            "total": round(time.monotonic() - began, 2),
        },
        **_circumstances(benchmark),
    }


def _predictor(benchmark: Benchmark, network: torch.nn.Module) -> Predictor:
    return Predictor([network], benchmark.model.plan, benchmark.computing.device, benchmark.computing.precision)


def _circumstances(benchmark: Benchmark) -> dict[str, Any]:
    return {
        **vars(benchmark.computing),
        "torch": torch.__version__,
        "commit": benchmark.commit,
        "code": training_code(),
        "processor": processor_name(benchmark.computing.device),
    }


def _progress(benchmark: Benchmark, todo: list[Piece], row: Row) -> Progress:
    rows = benchmark.rows.read()
    left = open_pieces(todo, rows)
    pace = Pace(rows.values())
    seconds = sum(pace.mean(piece.stage) for piece in left) / benchmark.processes
    return Progress(row, len(todo) - len(left), len(todo), seconds if pace.is_known else None)
