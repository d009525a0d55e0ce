from __future__ import annotations

import os
import subprocess
import sys

import pytest

from DGSTSegmentLib.cli import engine
from DGSTSegmentLib.cli.main import make_parser
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
    assert all(
        name in answer.stdout for name in ("describe", "predict", "finetune", "findings", "evaluate", "export", "demo")
    )
    assert "not a medical device" in answer.stdout
    assert "DGST_MODELS" in answer.stdout and "DGST_CACHE" in answer.stdout
    assert answer.stderr.strip() == "[]"


def test_a_name_that_the_terminal_has_no_letters_for_is_printed_all_the_same(tiny_study, tmp_path):
    out = tmp_path / "λ.csv"
    command = [sys.executable, "-m", "DGSTSegmentLib.cli.main", "findings", "--segmentation", str(tiny_study[0][1])]
    surroundings = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    answer = subprocess.run([*command, "--out", str(out)], capture_output=True, env=surroundings)
    assert answer.returncode == 0 and rb"\u03bb.csv" in answer.stdout


@pytest.mark.parametrize("command", ["describe", "predict", "finetune", "findings", "evaluate", "export", "demo"])
def test_every_command_has_help(dgst, command):
    outcome = dgst(command, "--help")
    assert outcome.code == 0 and f"usage: dgst {command}" in outcome.out
    if "--fold" in outcome.out:
        said = " ".join(outcome.out.split())
        assert "the fold called all" in said and "(.pth)" in said


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


@pytest.fixture
def broken_engine(monkeypatch):
    """Every engine that is started ends at once."""

    def open_client(*_):
        return EngineClient(lambda: SubprocessTransport([sys.executable, "-c", "import sys; sys.exit('no room')"]))

    monkeypatch.setattr(engine, "open_client", open_client)


def test_an_engine_that_fails_is_one_sentence_and_another_exit_code_than_bad_input(dgst, tiny_model, broken_engine):
    outcome = dgst("describe", tiny_model)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1 and "could not start" in outcome.err and "no room" in outcome.err


@pytest.fixture
def findings(tiny_study, tmp_path):
    """Arguments of a short command."""
    return ["findings", "--segmentation", str(tiny_study[0][1]), "--out", str(tmp_path / "f.csv"), "--json"]


def spoken(arguments, **streams):
    """What ``dgst`` comes to as a process of its own, which writes what it has to say at its end."""
    command = [sys.executable, "-m", "DGSTSegmentLib.cli.main", *arguments]
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, env=surroundings, **streams)


@pytest.mark.parametrize("arguments", [["finetune", "--help"], "findings"])
def test_who_stops_reading_ends_the_command_without_a_trace(request, arguments):
    """As with ``| head``, for help and for results."""
    reading, writing = os.pipe()
    os.close(reading)
    given = arguments if isinstance(arguments, list) else request.getfixturevalue(arguments)
    answer = spoken(given, stdout=writing)
    os.close(writing)
    assert answer.returncode == 1 and answer.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk here is full by its name")
def test_results_that_a_full_disk_does_not_take_are_one_sentence(findings):
    with open("/dev/full", "w") as full:
        answer = spoken(findings, stdout=full)
    assert answer.returncode == 1
    assert answer.stderr.startswith("dgst: The output could not be written") and answer.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="a closed stream is a thing of Unix")
def test_a_closed_stdout_keeps_no_command_from_its_work(findings, tmp_path):
    answer = spoken(findings, preexec_fn=lambda: os.close(1))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert (tmp_path / "f.csv").exists()


def test_a_closed_stderr_is_no_fault(dgst, tiny_model, broken_engine, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    outcome = dgst("describe", tiny_model)
    assert (outcome.code, outcome.out) == (1, "")


def test_the_home_folder_may_be_named_by_its_sign_where_the_shell_leaves_it(dgst, tiny_study, tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert dgst("findings", "--segmentation", tiny_study[0][1], "--out=~/f.csv").code == 0
    assert (tmp_path / "f.csv").exists()
    options = make_parser().parse_args(["finetune", "--model=~/m", "--cases=~/t.csv", "--out=~/run"])
    assert [options.model, options.cases, options.out] == [str(tmp_path / name) for name in ("m", "t.csv", "run")]
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tiny_study[0][1].parent))
    assert dgst("findings", f"--segmentation=~/{tiny_study[0][1].name}", "--out", tmp_path / "g.csv").code == 0
