"""The README says what the committed rows say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from quality import command
from quality.protocol import open_pieces, pieces
from quality.report import REPORT_FILE, goal_text, markdown_table, write_report
from quality.rows import Rows
from quality.settings import open_benchmark

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "Testing" / "Benchmarks" / "results" / "quality" / "full"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where what the rows in the results folder come to is written."""
    return tmp_path_factory.mktemp("anew")


@pytest.fixture(scope="module")
def anew(folder):
    """What the rows in the results folder come to."""
    for name in ("rows.jsonl", "protocol.json"):
        shutil.copy(RESULTS / name, folder / name)
    committed = json.loads((RESULTS / "summary.json").read_text(encoding="utf-8"))
    return write_report(folder, committed["missing"], committed.get("missing_of_full"))


def test_the_readmes_tables_follow_from_the_committed_rows(anew):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert anew["settings"]
    for setting in (one for one in anew["settings"] if one["strategies"]):
        assert markdown_table(anew, setting["completeness"], setting["shots"]) in readme
        assert setting["goal"] is None or goal_text(setting) in readme


def test_the_readme_tells_each_learning_rate_and_marks_those_at_the_edge_of_what_was_tried(anew, folder):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = Rows(folder).read().values()
    tried: dict[tuple, list[float]] = {}
    chosen: dict[tuple, float] = {}
    for row in (one for one in rows if one.get("shots")):
        cell = (row["completeness"], row["shots"], row["strategy"])
        if row["stage"] == "choose":
            tried.setdefault(cell, []).append(row["configuration"]["lr"])
        elif row["stage"] == "test":
            assert chosen.setdefault(cell, row["configuration"]["lr"]) == row["configuration"]["lr"]

    for cell, rate in chosen.items():
        completeness, shots, strategy = cell
        star = "\\*" if rate in (min(tried[cell]), max(tried[cell])) else ""
        table = markdown_table(anew, completeness, shots)
        assert table in readme
        assert f"\n| {strategy} | {rate:g}{star} | " in table


def test_the_committed_summary_follows_from_the_committed_rows(anew, folder):
    for name in ("summary.json", "summary.csv"):
        assert (folder / name).read_text(encoding="utf-8") == (RESULTS / name).read_text(encoding="utf-8")


def test_the_committed_benchmark_still_opens_and_goes_on(tmp_path):
    for name in ("rows.jsonl", "protocol.json"):
        shutil.copy(RESULTS / name, tmp_path / name)
    given = ["--full", "--device", "cpu", "--precision", "fp32", "--shots", "5", "--completeness", "all", "--out"]
    given += [str(tmp_path), "--strategies", "dgst", "full", "static", "lora"]

    benchmark = open_benchmark(command.settings_of(command._parser().parse_args(given)))

    assert open_pieces(pieces(benchmark.protocol, benchmark.entrants), benchmark.rows.read()) == []
    assert (tmp_path / "protocol.json").read_bytes() == (RESULTS / "protocol.json").read_bytes()


def test_the_report_names_the_committed_rows_that_different_code_made(anew, folder):
    page = " ".join((folder / REPORT_FILE).read_text(encoding="utf-8").split())
    rows = Rows(folder).read().values()
    tested = [row for row in rows if row["stage"] == "test" and row.get("shots") and "target" in row]
    # Older rows hold their commit alone, which tells the code where no file differed from it.
    code_of = {row["commit"]: row["code"] for row in tested if "code" in row and "+" not in row["commit"]}
    authors: dict[tuple, dict[str, set[str]]] = {}
    for row in tested:
        author = row.get("code") or code_of.get(row["commit"], row["commit"])
        of_draw = authors.setdefault((row["completeness"], row["shots"], row["draw"]), {})
        of_draw.setdefault(author[:7], set()).add(row["strategy"])

    assert authors
    draws: dict[tuple, list[int]] = {}
    for (*setting, draw), by_author in sorted(authors.items()):
        if len(by_author) > 1:
            listed = sorted(f"{', '.join(sorted(names))} by {author}" for author, names in by_author.items())
            draws.setdefault((*setting, "; ".join(listed)), []).append(draw)
    named = {f"{listed} (draw{'s' * (len(of) > 1)} {', '.join(map(str, of))})" for (*_, listed), of in draws.items()}
    assert {one for one in named if one not in page} == set()
    assert ("Different versions of the code made rows" in page) == bool(named)
