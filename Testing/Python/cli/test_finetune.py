from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from DGSTSegmentLib.cli.arguments import asked_model
from DGSTSegmentLib.cli.finetune import new_fields, resumed_fields
from DGSTSegmentLib.cli.main import make_parser
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging.files import read_segmentation
from DGSTSegmentLib.networks.description import read_description
from DGSTSegmentLib.training.case_files import CaseFiles
from DGSTSegmentLib.training.inputs import Described, Fixed, Inputs
from DGSTSegmentLib.training.request import FinetuneRequest
from DGSTSegmentLib.training.run_files import FinetuneResult, RunRecord, write_record, write_result

QUICK = ("--steps", "4", "--device", "cpu", "--threads", "1")


@pytest.fixture
def finetune(tiny_model, tiny_study, tmp_path):
    """Arguments of a short run on two cases."""
    pairs = [str(path) for pair in tiny_study[:2] for path in pair]
    return ["finetune", "--model", tiny_model, "--case", *pairs, "--out", tmp_path / "run", *QUICK]


def test_what_finetune_writes_is_itself_a_model(dgst, one_engine, finetune, tmp_path):
    result = dgst(*finetune, "--holdout", "1", "--name", "mine", "--json").json
    assert result["steps"] == 4 and result["stopped"] is False
    assert {"delta.safetensors", "card.json"} <= {path.name for path in (tmp_path / "run").iterdir()}
    described = dgst("describe", tmp_path / "run")
    assert described.out.startswith("mine (demonstration, trained on phantoms)")
    assert "base           tiny" in described.out and "Dice" in described.out


def test_rule_layers_and_learning_rate_reach_the_run(dgst, one_engine, finetune, tmp_path):
    chosen = {"update": "rms", "layers": "encoder", "gamma": "3", "lr": "0.01"}
    dgst(*finetune, *(text for name, value in chosen.items() for text in (f"--{name}", value)), "--json")
    stored = json.loads((tmp_path / "run" / "request.json").read_text())["request"]
    assert {name: str(stored[name]) for name in chosen} == chosen
    used = read_description(tmp_path / "run").card.strategy
    assert {name: str(used[name]) for name in chosen} == chosen


def test_the_result_is_said_in_words(dgst, one_engine, finetune, tmp_path):
    outcome = dgst(*finetune, "--holdout", "0")
    assert outcome.out.splitlines()[0] == f"New model: {tmp_path / 'run'}"
    assert "measured: nothing" in outcome.out and "in 4 steps" in outcome.out
    assert "loss" in outcome.err


def test_cases_may_come_from_a_table(dgst, one_engine, tiny_model, tiny_study, tmp_path):
    annotation = read_segmentation(tiny_study[0][1])
    (k, j, i), grid = annotation.array.nonzero(), annotation.geometry
    low, high = grid.to_world([k.min(), j.min(), i.min()]), grid.to_world([k.max(), j.max(), i.max()])
    box = " ".join(str(float(x)) for x in (*low, *high))
    lines = ["image,annotation,completeness,region,rejected", f"{tiny_study[0][0]},{tiny_study[0][1]},region,{box},"]
    lines.append(f"{tiny_study[1][0]},{tiny_study[1][1]},all,,")
    table = tmp_path / "cases.csv"
    table.write_text("\n".join(lines))
    result = dgst("finetune", "--model", tiny_model, "--cases", table, "--out", tmp_path / "run", *QUICK, "--json")
    assert result.json["steps"] == 4
    stored = json.loads((tmp_path / "run" / "request.json").read_text())["request"]["cases"]
    assert [case["completeness"] for case in stored] == ["region", "all"] and stored[0]["region"] == box


def test_resume_needs_no_more_than_the_folder_and_refuses_other_options(dgst, refused, one_engine, finetune, tmp_path):
    first = dgst(*finetune, "--json").json
    again = dgst("finetune", "--out", tmp_path / "run", "--resume", "--json")
    assert again.json == first
    assert dgst(*finetune, "--resume", "--json").json == first
    sentence = refused("finetune", "--out", tmp_path / "run", "--resume", "--gamma", "5")
    assert "gamma 16, not 5" in sentence
    for more in (["--case", *finetune[4:6]], ["--completeness", "all"]):
        assert "begun with other cases" in refused(*finetune, *more, "--resume")
    file = tmp_path / "run" / "request.json"
    stored = json.loads(file.read_text())
    file.write_text(json.dumps({**stored, "fixed": {**stored["fixed"], "batch_size": 1}}))  # as after lack of memory
    assert dgst(*finetune, "--resume", "--batch-size", "1", "--json").json == first
    assert "batch_size 1, not 3" in refused(*finetune, "--resume", "--batch-size", "3")


@pytest.fixture
def begun(tmp_path):
    """A stopped run on one case of a region, with all else by default; its folder."""
    files = CaseFiles("ct.nii.gz", "seg.nii.gz", "region", "-4 -5 0 1 2 3")
    request = FinetuneRequest("/old/model", [files], str(tmp_path / "run"))
    described = Described("ct.nii.gz", "region", (), "a", frozenset("b"), has_nodes=True, has_rejected=False)
    inputs = Inputs("abc", {}, (described,), ())
    (tmp_path / "run").mkdir()
    write_record(tmp_path / "run", RunRecord(request, Fixed(1, "cpu", "fp32", 2, *["1.0"] * 5), inputs, 1.0))
    write_result(tmp_path / "run", FinetuneResult("run", 3, True, None, 0.5, {}, []))
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ("--steps 200 --holdout 0 --name run", None),
        ("--steps 100", "has steps 200, not 100"),
        ("--minutes 3", "was begun without minutes, not 3.0"),
        ("--completeness region --region -4,-5,0,1,2,3", None),
        ("--completeness all", "in another completeness, region or labels"),
        ("--region 0 0 0 1 1 1", "in another completeness, region or labels"),
        ("--labels 1", "in another completeness, region or labels"),
        ("--holdout-case ct.nii.gz", "was begun without holdout_cases, not"),
        ("--holdout-case seg.nii.gz", "seg.nii.gz is to be held out, but is the CT of no case"),
    ],
)
def test_going_on_takes_options_that_say_what_the_run_was_begun_with_and_no_others(begun, options, refusal):
    options = make_parser().parse_args(["finetune", "--resume", "--out", str(begun), *options.split()])
    with nullcontext() if refusal is None else pytest.raises(InputError, match=refusal):
        assert resumed_fields(options) == {"out": str(begun)}


def test_a_case_to_hold_out_is_named_by_its_ct_however_its_path_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ct.nii.gz", "seg.nii.gz", "other.nii.gz"):
        Path(name).touch()
    cases = ["--case", "ct.nii.gz", "seg.nii.gz", "--case", "./other.nii.gz", "seg.nii.gz"]
    words = ["finetune", "--model", "m", "--out", "run", *cases]
    for held_out in (["other.nii.gz"], [str(tmp_path / "other.nii.gz"), "./other.nii.gz"]):
        fields = new_fields(make_parser().parse_args([*words, "--holdout-case", *held_out]))
        assert fields["holdout_cases"] == [fields["cases"][1]["image"]]
    assert "holdout_cases" not in new_fields(make_parser().parse_args(words))


def test_going_on_tells_the_engine_where_models_were_moved_to(begun, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = ["finetune", "--resume", "--out", str(begun), "--model", "export.zip/inner", "--base", "starter"]
    moved = {"model": str(tmp_path / "export.zip" / "inner"), "base": "starter"}
    assert resumed_fields(make_parser().parse_args(words)) == {"out": str(begun), **moved}


@pytest.mark.parametrize("command", ["describe", "predict", "export", "finetune"])
def test_every_command_names_a_model_and_its_base_so_that_they_are_found_from_anywhere(command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    more = {"predict": ["--image", "ct.nii", "--out", "o.nii"], "describe": []}.get(command, ["--out", "o"])
    model = ["m"] if command == "describe" else ["--model", "m"]
    options = make_parser().parse_args([command, *model, "--base", "b", "--fold", "1", *more])
    assert asked_model(options) == {"model": str(tmp_path / "m"), "base": str(tmp_path / "b"), "fold": "1"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--model": None}, "No model"),
        ({"--case": None}, "No case"),
        ({"--case": ["ct.nii.gz"]}, "has no annotation"),
        ({"--case": ["ct.nii.gz", "missing.nii.gz"]}, "missing.nii.gz does not exist"),
        ({"--cases": ["missing.csv"], "--case": None}, "missing.csv"),
        ({"--out": ["."]}, "other files"),
        ({"--out": ["ct.nii.gz"]}, "is a file"),
        ({"--out": ["run"]}, "holds a run already"),
        ({"--out": ["empty"], "--resume": []}, "holds no run"),
        ({"--out": ["damaged"], "--resume": []}, "cannot be read"),
        ({"--cases": ["t.csv"], "--case": None, "--completeness": ["all"]}, "stand in the table"),
    ],
)
def test_what_can_be_seen_beforehand_is_refused_before_an_engine_starts(
    refused, no_engine, tmp_path, monkeypatch, change, words
):
    monkeypatch.chdir(tmp_path)
    for name in ("ct.nii.gz", "seg.nii.gz"):
        Path(name).touch()
    for run in ("run", "empty", "damaged"):
        Path(run).mkdir()
    Path("run/request.json").write_text("{}")
    Path("damaged/request.json").write_text('{"request": ')
    options = {"--model": ["starter"], "--case": ["ct.nii.gz", "seg.nii.gz"], "--out": ["new"]} | change
    words_given = [word for name, values in options.items() if values is not None for word in (name, *values)]
    before = sorted(tmp_path.rglob("*"))
    assert words in refused("finetune", *words_given)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--holdout", "2"], "cannot be held out"),
        (["--gamma", "0"], "gamma must be greater than 0"),
        (["--completeness", "region"], "none is given"),
        (
            ["--completeness", "region", "--region", "900 900 900 950 950 950", "--region", "0 0 0 1 1 1"],
            "no voxel of the scan",
        ),
    ],
)
def test_what_the_engine_refuses_is_one_sentence_and_leaves_nothing(
    refused, one_engine, finetune, tmp_path, options, words
):
    assert words in refused(*finetune, *options)
    assert not (tmp_path / "run").exists()


def heed_ctrl_c() -> None:
    """As at a terminal: what is started in a shell's background has Ctrl-C ignored, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_ctrl_c_keeps_the_run_and_resume_ends_it(dgst, one_engine, finetune, tmp_path):
    arguments = [str(word) for word in finetune]
    arguments[arguments.index("--steps") + 1] = "5000"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "DGSTSegmentLib.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=heed_ctrl_c,
    )
    told = []
    for line in process.stderr:
        told.append(line)
        if line.startswith("train"):
            process.send_signal(signal.SIGINT)
            break
    out, rest = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert out == ""
    assert rest.splitlines()[-1] == f"dgst: Interrupted; the run in {tmp_path / 'run'} can be continued with --resume."
    assert json.loads((tmp_path / "run" / "result.json").read_text())["stopped"] is True
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
