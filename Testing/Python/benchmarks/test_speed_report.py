"""Rows go on where they stopped; the report says what they say and no more."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from speed import command
from speed.figures import power_text
from speed.goals import Goal
from speed.journal import Journal, made_by
from speed.part import Context, find, row
from speed.report import csv_text, markdown_table, number_text, verdict_text, write_report
from speed.timing import Estimate

ROOT = Path(__file__).resolve().parents[3]
SETTING = {"device": "cpu", "threads": 1, "precision": "fp32", "network": "tiny", "patch": [8, 8, 8]}


def steps_part(values=(0.5, 0.7, 0.6), limit=0.55):
    """A part that measures one ratio; ``asked`` counts how often."""

    def measure(context):
        part.asked += 1
        yield row("steps", "DGST gamma 2", "seconds", [0.02, 0.02, 0.03], SETTING, note="A note.")
        yield row("steps", "DGST gamma 2", "ratio", values, SETTING, against="AdamW fused")

    def goals(rows):
        found = find(rows, "DGST gamma 2", "ratio", "AdamW fused")
        measured = None if found is None else Estimate.of(found["values"])
        return [Goal("step over AdamW", limit, "x", True, measured, "Rows are many.")]

    part = SimpleNamespace(NAME="steps", TITLE="The step", measure=measure, goals=goals, asked=0)
    return part


@pytest.fixture
def context(tmp_path):
    return Context("cpu", 1, "fp32", 3, False, tmp_path, tmp_path / "work", lambda line: None)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the command with these parts in place of the real ones."""

    def run_with(part, *arguments):
        monkeypatch.setattr(command, "PARTS", (part.NAME,))
        monkeypatch.setattr(command, "module_of", lambda name: part)
        return command.main(["--out", str(tmp_path), "--device", "cpu", "--threads", "1", *arguments])

    return run_with


def test_what_was_measured_by_the_same_code_with_the_same_settings_is_not_measured_again(run):
    part = steps_part()
    assert run(part) == run(part) == 0
    assert part.asked == 1
    assert run(part, "--again") == 0
    assert part.asked == 2
    assert run(part, "--rounds", "5") == 0
    assert part.asked == 3
    assert run(part, "--report-only", "--rounds", "9") == 0
    assert part.asked == 3


def test_what_was_finished_counts_until_it_is_measured_anew_to_the_end(context, tmp_path):
    journal, author = Journal(tmp_path), made_by(context)

    def subjects():
        return [one["subject"] for part in Journal(tmp_path).parts() for one in part["rows"]]

    journal.begin("steps", author)
    journal.add(row("steps", "first", "seconds", [1.0], SETTING))
    assert subjects() == ["first"]
    journal.finish("steps", author)
    journal.begin("steps", author)
    journal.add(row("steps", "second", "seconds", [1.0], SETTING))
    assert subjects() == ["first"]
    journal.finish("steps", author)
    assert subjects() == ["second"]


def test_a_part_that_was_stopped_begins_anew_and_its_first_rows_do_not_count(context, tmp_path):
    journal, author = Journal(tmp_path), made_by(context)
    journal.begin("steps", author)
    journal.add(row("steps", "stopped", "seconds", [1.0], SETTING))
    with open(journal.path, "ab") as file:
        file.write(b'{"row": {"part": "st')
    assert not Journal(tmp_path).is_finished("steps", author)
    journal.begin("steps", author)
    journal.add(row("steps", "whole", "seconds", [1.0], SETTING))
    journal.finish("steps", author)
    assert [one["subject"] for one in Journal(tmp_path).parts()[0]["rows"]] == ["whole"]
    assert journal.is_finished("steps", author)


def test_other_code_or_another_machine_counts_anew_and_another_commit_alone_does_not(context, tmp_path):
    journal, author = Journal(tmp_path), made_by(context)
    journal.begin("steps", author)
    journal.finish("steps", author)
    assert journal.is_finished("steps", {**author, "commit": "another", "command": "another"})
    assert not journal.is_finished("steps", {**author, "code": "another"})
    assert not journal.is_finished("steps", {**author, "machine": "another"})
    gpu = {**author, "settings": {**author["settings"], "device": "cuda"}}
    assert not journal.is_finished("steps", gpu)


def test_a_goal_that_was_missed_stands_in_the_report_with_distance_and_reason(run, tmp_path):
    assert run(steps_part(limit=0.4)) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no, by a factor of 1.5" in page and "Rows are many." in page and "A note." in page
    assert "<svg" in page and not re.search(r"(src|href)=.(http|file|/)", page)
    assert run(steps_part(limit=0.6), "--report-only") == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "by a factor" not in page and "Rows are many." not in page


def test_a_goal_missed_by_a_hair_is_not_said_to_be_missed_by_a_factor_of_one():
    just_above, well_above = (
        verdict_text(Goal("t", 1.0, "x", True, Estimate.of([median]), "").to_json()) for median in (1.0026, 1.02)
    )
    assert (just_above, well_above) == ("no, by less than 1 %", "no, by a factor of 1.02")


def test_what_is_missing_is_said(run, tmp_path):
    run(steps_part(), "--report-only")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Not measured yet:</b> The step" in page and "No GPU was at hand" in page


def test_a_quick_run_judges_nothing(run, tmp_path):
    run(steps_part(limit=0.4), "--quick")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "A quick run on small networks" in page and "not judged" in page and "by a factor" not in page


def test_json_csv_and_table_say_the_same(run, tmp_path):
    run(steps_part())
    summary = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    part = summary["parts"][0]
    assert part["rows"][1]["values"] == [0.5, 0.7, 0.6]
    assert (part["goals"][0]["met"], part["goals"][0]["measured"]["median"]) == (False, 0.6)
    assert summary["circumstances"]["command"][0].startswith("python3 run.py bench speed")
    lines = list(csv.DictReader(io.StringIO((tmp_path / "speed.csv").read_text(encoding="utf-8"))))
    assert [(line["subject"], line["against"], line["median"]) for line in lines] == [
        ("DGST gamma 2", "", "0.02"),
        ("DGST gamma 2", "AdamW fused", "0.6"),
    ]
    assert lines[0]["setting"] == "tiny, patch 8 x 8 x 8"
    assert markdown_table(summary).splitlines()[2] == (
        "| step over AdamW | cpu | at most 0.55 x | 0.6 (0.5 to 0.7) | no, by a factor of 1.09 |"
    )
    assert csv_text(summary) == (tmp_path / "speed.csv").read_text(encoding="utf-8")


def test_the_readmes_table_follows_from_the_committed_rows(tmp_path):
    rows = ROOT / "Testing" / "Benchmarks" / "results" / "speed" / "rows.jsonl"
    (tmp_path / rows.name).write_bytes(rows.read_bytes())
    table = markdown_table(write_report(tmp_path, command.modules()))
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--rounds", "0"], "--rounds must be at least 1, not 0."), (["--device", "cuda"], "There is no CUDA GPU")],
)
def test_what_cannot_be_is_said_in_a_sentence(capsys, monkeypatch, arguments, message):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert command.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_where_there_is_no_gpu_it_is_skipped_aloud(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert command._devices("auto") == ["cpu"]
    assert "skipped: everything on a GPU" in capsys.readouterr().err


@pytest.mark.parametrize("name", command.PARTS)
def test_every_part_is_what_a_part_has_to_be(name):
    part = command.module_of(name)
    assert name == part.NAME and part.TITLE and callable(part.measure)
    assert all(goal.met is None for goal in part.goals([]))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.01234, "seconds", "12.3 ms"),
        (1234.5, "seconds", "1234 s"),
        (0.000012, "ratio", "1.2e-05"),
        (779.2, "MB", "779 MB"),
    ],
)
def test_numbers_have_three_digits_and_a_fitting_unit(value, unit, text):
    assert number_text(value, unit) == text


def test_growth_is_told_as_a_power():
    assert power_text([1.0, 2.0, 4.0], [3.0, 7.0, 48.0]) == ", power 2.00"
    assert power_text([1.0], [3.0]) == ""
