"""The README says what the committed rows say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from quality.report import goal_text, markdown_table, write_report

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "Testing" / "Benchmarks" / "results" / "quality" / "full"


@pytest.fixture
def anew(tmp_path):
    """What the rows in the results folder come to, written to ``tmp_path``."""
    for name in ("rows.jsonl", "protocol.json"):
        shutil.copy(RESULTS / name, tmp_path / name)
    missing = json.loads((RESULTS / "summary.json").read_text(encoding="utf-8"))["missing"]
    return write_report(tmp_path, missing)


def test_the_readmes_tables_follow_from_the_committed_rows(anew):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert anew["settings"]
    for setting in (one for one in anew["settings"] if one["strategies"]):
        assert markdown_table(anew, setting["completeness"], setting["shots"]) in readme
        assert setting["goal"] is None or goal_text(setting) in readme


def test_the_committed_summary_follows_from_the_committed_rows(anew, tmp_path):
    for name in ("summary.json", "summary.csv"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (RESULTS / name).read_text(encoding="utf-8")
