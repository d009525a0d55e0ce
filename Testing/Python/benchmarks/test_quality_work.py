"""A whole small benchmark: goes on where it stopped, does nothing twice, and tells what it found."""

from __future__ import annotations

import csv
import json
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from quality import work as work_module
from quality.circumstances import training_code
from quality.memory import PeakMemory
from quality.protocol import open_pieces, pieces
from quality.report import REMARKS_FILE, markdown_table, write_report
from quality.tune import prepared_case, training_case
from quality.work import Pace, work

from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.training.knowledge import NODE


@pytest.fixture
def both(small_benchmark, entrant):
    """Opens a benchmark of full and dgst with two learning rates each."""
    rates = {"configurations": ({"lr": 0.001}, {"lr": 0.01})}
    return lambda **protocol: small_benchmark(entrant("full", **rates), entrant("dgst", **rates), **protocol)


@pytest.fixture
def tunings(monkeypatch):
    """What was fine-tuned: name, configuration, the cases' names, and the seed."""
    done, honest = [], work_module.tune

    def counted(entrant, configuration, model, cases, computing, **given):
        done.append((entrant.name, configuration["lr"], tuple(case.name for case in cases), given["seed"]))
        return honest(entrant, configuration, model, cases, computing, **given)

    monkeypatch.setattr(work_module, "tune", counted)
    return done


def test_a_stopped_benchmark_goes_on_and_does_nothing_twice(both, tunings):
    def stop_at_the_fourth(progress):
        if progress.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(both(), on_row=stop_at_the_fourth)
    benchmark = both()
    work(benchmark)

    # Two learning rates tried by each of two strategies, and two draws measured for each.
    assert len(tunings) == len(set(tunings)) == 2 * (2 + 2)
    assert open_pieces(pieces(benchmark.protocol, benchmark.entrants), benchmark.rows.read()) == []
    written = benchmark.rows.path.read_bytes()
    work(both())
    assert len(tunings) == 8
    assert benchmark.rows.path.read_bytes() == written


def test_strategies_learn_from_the_same_cases_with_the_same_seeds_also_in_draws_added_later(both, tunings):
    work(both(draws=1, many_draws=1))
    work(both())

    assert len(tunings) == 8
    tuned = {name: [(cases, seed) for who, _, cases, seed in tunings if who == name] for name in ("full", "dgst")}
    assert tuned["full"] == tuned["dgst"]
    assert len(set(tuned["full"])) == 3, "one draw to choose on and two to test on"


def test_two_at_work_at_once_share_it(both, tunings):
    benchmarks = [both(), both()]
    workers = [threading.Thread(target=work, args=(benchmark,)) for benchmark in benchmarks]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(tunings) == len(set(tunings)) == 8


def test_no_piece_is_begun_that_would_end_too_late(both, tunings):
    work(both(), deadline=time.monotonic() - 1)
    assert tunings == []

    pace = Pace([{"stage": "test", "strategy": "full", "seconds": {"total": 60.0}}])
    assert not pace.ends_by("test", time.monotonic() + 30)
    assert pace.ends_by("test", time.monotonic() + 90)


def test_a_benchmark_that_only_began_is_reported_as_it_is(both, tmp_path):
    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(both(), on_row=stop)

    assert write_report(tmp_path, missing=9)["settings"] == []
    assert "is not finished: 9 pieces" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_partly_annotated_case_is_always_the_same(ball_scan):
    first, again = (training_case(ball_scan, "marked", 1).annotation.array for _ in range(2))
    assert (first == again).all()
    assert len(set(first[first > 0])) == 1


@dataclass(frozen=True)
class AnnotatedAnew:
    """A scan of which one node is taken out of the annotation."""

    scan: object

    @property
    def name(self):
        return self.scan.name

    @property
    def fingerprint(self):
        return f"{self.scan.fingerprint}, annotated anew"

    def read(self):
        ct, nodes = self.scan.read()
        return ct, nodes.with_array(np.where(nodes.array == 1, nodes.array, 0))


def test_a_case_whose_annotation_changed_is_not_taken_from_the_earlier_one(ball_scan, tiny_model, tmp_path):
    plan = open_model(tiny_model).plan
    before, again, after = (
        np.count_nonzero(np.asarray(prepared_case(scan, "all", 1, plan, tmp_path).knowledge) == NODE)
        for scan in (ball_scan, ball_scan, AnnotatedAnew(ball_scan))
    )

    assert before == again > after > 0


def test_every_row_holds_the_fingerprint_of_the_code_that_made_it(both):
    benchmark = both(draws=1, many_draws=1)
    work(benchmark)

    made = [row for row in benchmark.rows.read().values() if row["stage"] != "choice"]
    assert made
    assert {row["code"] for row in made} == {training_code()}


def test_the_report_holds_tables_and_figures_and_the_same_numbers_as_its_files(both, tmp_path):
    benchmark = both()
    work(benchmark)
    (tmp_path / REMARKS_FILE).write_text("Missed by 2 < 3.\n\nSecond paragraph.\n", encoding="utf-8")

    summary = write_report(tmp_path)

    rows = benchmark.rows.read()
    (setting,) = summary["settings"]
    assert [one["strategy"] for one in setting["strategies"]] == ["full", "dgst"]
    dgst = setting["strategies"][1]
    dice = [rows[f"test/dgst/all/2/{draw}"]["target"]["dice"][0] for draw in range(2)]
    full = [rows[f"test/full/all/2/{draw}"]["target"]["dice"][0] for draw in range(2)]
    assert dgst["quantities"]["target_dice"]["mean"] == pytest.approx(sum(dice) / 2, abs=1e-6)
    difference = dgst["compared"]["target_dice"]["difference"]
    assert difference["mean"] == pytest.approx((sum(dice) - sum(full)) / 2, abs=1e-6)
    assert [len(points) for points in setting["curve"].values()] == [2, 2]
    assert summary["openings"] == 2 * 2 + 1
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) == json.loads(json.dumps(summary))
    with open(tmp_path / "summary.csv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    (line,) = [one for one in lines if (one["strategy"], one["quantity"]) == ("dgst", "target_dice")]
    assert float(line["mean"]) == dgst["quantities"]["target_dice"]["mean"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "<p>Missed by 2 &lt; 3.</p>" in page and "<p>Second paragraph.</p>" in page
    assert "src=" not in page and 'href="http' not in page.replace("xlink:", "")
    assert markdown_table(summary, "all", 2).count("\n") == 4


def test_peak_memory_is_what_a_block_holds_more_than_before():
    with PeakMemory(torch.device("cpu")) as peak:
        held = np.ones(64 * 2**20, np.uint8)
        time.sleep(0.2)

    assert held.all()
    assert 50 < peak.mb < 500
