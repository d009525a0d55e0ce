"""Rows survive kills and are shared by processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from quality.rows import Rows

BENCHMARKS = Path(__file__).resolve().parents[2] / "Benchmarks"
CLAIM_AND_DIE = """
import os, sys
from pathlib import Path
from quality.rows import Rows
with Rows(Path(sys.argv[1])).claimed("a") as free:
    print(free, flush=True)
    sys.stdin.readline()
    os._exit(1)
"""


def test_a_key_is_written_once(tmp_path):
    rows = Rows(tmp_path)

    assert rows.append({"key": "a", "value": 1})
    assert not rows.append({"key": "a", "value": 2})
    assert rows.read() == {"a": {"key": "a", "value": 1}}


def test_a_line_cut_short_by_a_kill_is_no_row_and_spoils_none(tmp_path):
    rows = Rows(tmp_path)
    rows.append({"key": "a"})
    with open(rows.path, "ab") as file:
        file.write(b'{"key": "b", "val')

    assert list(rows.read()) == ["a"]
    assert rows.append({"key": "b", "value": 2})
    assert list(Rows(tmp_path).read()) == ["a", "b"]


def test_two_cannot_do_the_same_at_once_nor_do_again_what_is_done(tmp_path):
    ours, theirs = Rows(tmp_path), Rows(tmp_path)

    with ours.claimed("a") as free:
        assert free
        with theirs.claimed("a") as free_for_them, theirs.claimed("b") as other_is_free:
            assert (free_for_them, other_is_free) == (False, True)
        ours.append({"key": "a"})
    with theirs.claimed("a") as free:
        assert not free


def test_a_process_that_dies_lets_go_of_what_it_claimed(tmp_path):
    rows = Rows(tmp_path)
    command = [sys.executable, "-c", CLAIM_AND_DIE, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=BENCHMARKS, text=True
    ) as process:  # fmt: skip
        assert process.stdout.readline().strip() == "True"
        with rows.claimed("a") as free:
            assert not free
        process.stdin.write("\n")
        process.stdin.flush()
        process.wait(timeout=30)
    with rows.claimed("a") as free:
        assert free
