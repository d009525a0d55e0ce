from __future__ import annotations

import os
import subprocess
import sys

import pytest

from DGSTSegmentLib.cli import engine
from DGSTSegmentLib.engine.client import EngineClient
from DGSTSegmentLib.engine.transport import SubprocessTransport

HEAVY = ("torch", "monai", "SimpleITK", "scipy", "numpy", "rich", "jinja2")
LOADED_BY_HELP = f"""
import sys
from DGSTSegmentLib.cli.main import main
try:
    main(["--help"])
except SystemExit:
    pass
print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


def test_help_lists_the_commands_and_loads_nothing_heavy():
    answer = subprocess.run([sys.executable, "-c", LOADED_BY_HELP], capture_output=True, text=True, check=True)
    assert all(name in answer.stdout for name in ("describe", "predict", "finetune", "findings", "evaluate", "demo"))
    assert "not a medical device" in answer.stdout
    assert answer.stderr.strip() == "[]"


def test_a_name_that_the_terminal_has_no_letters_for_is_printed_all_the_same(tiny_study, tmp_path):
    out = tmp_path / "λ.csv"
    command = [sys.executable, "-m", "DGSTSegmentLib.cli.main", "findings", "--segmentation", str(tiny_study[0][1])]
    surroundings = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    answer = subprocess.run([*command, "--out", str(out)], capture_output=True, env=surroundings)
    assert answer.returncode == 0 and rb"\u03bb.csv" in answer.stdout


@pytest.mark.parametrize("command", ["describe", "predict", "finetune", "findings", "evaluate", "demo"])
def test_every_command_has_help(dgst, command):
    outcome = dgst(command, "--help")
    assert outcome.code == 0 and f"usage: dgst {command}" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["anotate"], "invalid choice"),
        (["describe"], "MODEL"),
        (["predict", "--model", "starter"], "--image"),
        (["finetune", "--model", "starter"], "--out"),
        (["finetune", "--out", "x", "--gamma", "two"], "--gamma"),
        (["finetune", "--out", "x", "--strategy", "magic"], "magic"),
        (["finetune", "--out", "x", "--steps", "3", "--minutes", "1"], "not allowed with"),
        (["finetune", "--out", "x", "--cases", "t.csv", "--case", "a", "b"], "not allowed with"),
        (["predict", "--model", "m", "--image", "i", "--out", "o.nii.gz", "--device", "gpu"], "--device"),
        (["findings", "--out", "f.csv"], "--segmentation"),
        (["evaluate", "--reference", "r.nii.gz"], "--prediction"),
    ],
)
def test_wrong_arguments_get_one_sentence(refused, no_engine, arguments, words):
    assert words in refused(*arguments)


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path):
    script = f"{sys.executable} -m DGSTSegmentLib.cli.main finetune --help | head -1"
    answer = subprocess.run(script, shell=True, capture_output=True, text=True)
    assert answer.stderr == ""


def test_an_engine_that_fails_is_one_sentence_and_another_exit_code_than_bad_input(dgst, tiny_model, monkeypatch):
    def open_client(*_):
        return EngineClient(lambda: SubprocessTransport([sys.executable, "-c", "import sys; sys.exit('no room')"]))

    monkeypatch.setattr(engine, "open_client", open_client)
    outcome = dgst("describe", tiny_model)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1 and "could not start" in outcome.err and "no room" in outcome.err


def test_who_stops_reading_ends_the_command_without_a_trace(tiny_study, tmp_path):
    """As with ``| head``, for what is said on the way as well."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "DGSTSegmentLib.cli.main", "findings", "--segmentation", str(tiny_study[0][1])]
    answer = subprocess.run(
        [*command, "--out", str(tmp_path / "f.csv")], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert answer.returncode == 1 and answer.stderr == ""
