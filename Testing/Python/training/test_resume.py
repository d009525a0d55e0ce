"""The folder of a run: stopped, cut off, gone on with, and never overwritten."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dynamic_network_architectures.building_blocks.regularization import DropPath

from DGSTSegmentLib import __version__
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging.files import read_segmentation, write_volume
from DGSTSegmentLib.networks.architectures import build
from DGSTSegmentLib.networks.card import ModelCard
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.package import write_full
from DGSTSegmentLib.training.draws import drawn_from, draws_at_random
from DGSTSegmentLib.training.events import Stopped
from DGSTSegmentLib.training.finetune import finetune, resume
from DGSTSegmentLib.training.run import Run
from DGSTSegmentLib.training.run_files import LOCK_FILE, read_record

from ..conftest import files_of_at_most
from .conftest import ARCHITECTURE, PLAN, StopAfter, assert_same_delta


@pytest.mark.parametrize("strategy", ["dgst", "static", "random", "lora", "full"])
def test_a_stopped_run_resumes_to_the_very_delta_of_an_uninterrupted_one(request_for, tmp_path, strategy):
    whole = finetune(request_for(strategy=strategy, steps=5))
    request = request_for(strategy=strategy, steps=5, out=str(tmp_path / "stopped"))
    stop = StopAfter(2)
    stopped = finetune(request, on_event=stop.on_event, should_stop=stop.should_stop)
    assert stopped.stopped and stopped.steps == 2
    assert open_model(stopped.model).card.strategy["steps"] == 2
    said = "The training was stopped after 2 of 5 steps; finetune --resume goes on with it."
    assert open_model(stopped.model).notes == (said,)
    resumed = resume(request.out)
    assert not resumed.stopped and resumed.steps == 5
    assert open_model(resumed.model).notes == ()
    assert_same_delta(whole, resumed)


@pytest.fixture
def model_with_dropout(tmp_path):
    """The small foundation model, in whose training half of the features are left out by chance."""
    arguments = {**ARCHITECTURE["arguments"], "dropout_op": "Dropout3d", "dropout_op_kwargs": {"p": 0.5}}
    architecture = {**ARCHITECTURE, "arguments": arguments}
    card = ModelCard(name="dropping", labels={"background": 0, "lymph node": 1}, trained_on="Nothing.")
    write_full(tmp_path / "dropping", build(architecture), card, PLAN, architecture)
    return str(tmp_path / "dropping")


@pytest.mark.parametrize("strategy", ["dgst", "static"])
def test_what_dropout_leaves_out_is_drawn_from_seed_and_step(request_for, model_with_dropout, tmp_path, strategy):
    def asked(folder, **changes):
        out = str(tmp_path / folder)
        return request_for(**{"model": model_with_dropout, "strategy": strategy, "steps": 3, "out": out, **changes})

    before = torch.get_rng_state()
    whole, again = finetune(asked("whole")), finetune(asked("again"))
    assert torch.equal(torch.get_rng_state(), before), "the process's own draws are nothing of the training's"
    assert_same_delta(whole, again)
    stop = StopAfter(1)
    assert finetune(asked("stopped"), on_event=stop.on_event, should_stop=stop.should_stop).stopped
    torch.rand(5)
    assert_same_delta(whole, resume(tmp_path / "stopped"))


def test_dropout_leaves_out_other_features_at_every_step_and_with_every_seed():
    features = torch.ones(1, 64)
    kept = []
    for seed, step in ((0, 0), (0, 1), (1, 0), (0, 0)):
        with drawn_from(seed, step, torch.device("cpu")):
            kept.append(torch.nn.functional.dropout(features, 0.5))
    assert torch.equal(kept[0], kept[3])
    assert not any(torch.equal(kept[a], kept[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize(
    ("more", "draws"),
    [
        ({}, False),
        ({"dropout_op": "Dropout3d", "dropout_op_kwargs": {"p": 0}}, False),
        ({"dropout_op": "Dropout3d", "dropout_op_kwargs": {"p": 0.1}}, True),
    ],
)
def test_only_a_network_that_leaves_something_out_by_chance_draws(more, draws):
    assert draws_at_random(build({**ARCHITECTURE, "arguments": {**ARCHITECTURE["arguments"], **more}})) == draws


@pytest.mark.parametrize("chance", [0.0, 0.1])
def test_a_network_that_leaves_out_whole_paths_by_chance_draws(chance):
    assert draws_at_random(torch.nn.Sequential(DropPath(chance))) == (chance > 0)


def test_a_run_whose_folder_cannot_be_written_to_is_refused_in_one_sentence(request_for):
    request = request_for(steps=5)
    stop = StopAfter(1)
    finetune(request, on_event=stop.on_event, should_stop=stop.should_stop)
    lock = Path(request.out) / LOCK_FILE
    lock.unlink(missing_ok=True)
    lock.mkdir()  # which nobody opens for writing, not even root
    with pytest.raises(InputError, match=r"run cannot be written to \(.+\); change its permissions"):
        resume(request.out)


def test_a_run_in_fp16_goes_on_with_the_scale_of_its_loss(request_for, tmp_path):
    whole = finetune(request_for(precision="fp16", steps=5))
    request = request_for(precision="fp16", steps=5, out=str(tmp_path / "stopped"))
    stop = StopAfter(2)
    finetune(request, on_event=stop.on_event, should_stop=stop.should_stop)
    checkpoint = Run.reopen(request.out)
    tensors, meta = checkpoint.load_checkpoint()
    assert meta["scaler"]["scale"] == 2.0**16 and meta["scaler"]["_growth_tracker"] == 2
    assert_same_delta(whole, resume(request.out))
    scale = torch.amp.GradScaler("cpu").get_scale()
    small = {**meta, "scaler": {**meta["scaler"], "scale": scale * 2.0**100}}
    again = replace(request, out=str(tmp_path / "again"))
    stop = StopAfter(2)
    finetune(again, on_event=stop.on_event, should_stop=stop.should_stop)
    Run.reopen(again.out).save_checkpoint(tensors, small)
    notes = resume(again.out).notes
    assert any("gradients were not finite" in note for note in notes), "it goes on with the scale that was saved"


@pytest.fixture
def stopped_run(request_for, model_folder, study, tmp_path):
    """A request whose run stopped after 2 of 4 steps; its model and its scans are copies that a test may change."""
    model, folder = tmp_path / "base", tmp_path / "scans"
    shutil.copytree(model_folder, model)
    folder.mkdir()
    copies = [
        replace(files, **{part: shutil.copy(getattr(files, part), folder) for part in ("image", "annotation")})
        for files in study[:2]
    ]
    request = replace(request_for(cases=copies), model=str(model))
    stop = StopAfter(2)
    assert finetune(request, on_event=stop.on_event, should_stop=stop.should_stop).stopped
    return request


def test_the_model_of_a_stopped_run_is_what_was_learned_so_far(stopped_run):
    saved, _ = Run.reopen(stopped_run.out).load_checkpoint()
    base, model = (open_model(place).network() for place in (stopped_run.model, stopped_run.out))
    weights = dict(model.named_parameters())
    assert all(torch.equal(weight, saved[f"network.{name}"]) for name, weight in weights.items())
    moved = {name for name, weight in base.named_parameters() if not torch.equal(weight, weights[name])}
    assert {"encoder.stages.0.0.convs.0.conv.weight", "decoder.seg_layers.1.weight"} <= moved


def test_a_run_does_not_go_on_upon_another_base(stopped_run):
    torch.manual_seed(77)
    card = ModelCard(name="small", labels={"background": 0, "lymph node": 1}, trained_on="Nothing.")
    write_full(stopped_run.model, build(ARCHITECTURE), card, PLAN, ARCHITECTURE)
    with pytest.raises(InputError, match="has other weights than when the run"):
        resume(stopped_run.out)


def test_a_run_whose_model_was_moved_goes_on_where_that_is_said(stopped_run, tmp_path, monkeypatch):
    Path(stopped_run.model).rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"What the run in .+ starts from cannot be opened: .+base.+ say so \(--m"):
        resume(stopped_run.out)
    stop = StopAfter(1)
    monkeypatch.chdir(tmp_path)
    assert resume(stopped_run.out, model="moved", on_event=stop.on_event, should_stop=stop.should_stop).stopped
    monkeypatch.undo()
    assert resume(stopped_run.out).steps == 4, "the new place is kept"


def test_a_run_does_not_go_on_upon_equal_weights_that_want_scans_prepared_otherwise(stopped_run, tmp_path):
    base = open_model(stopped_run.model)
    wider = replace(base.plan, spacing_kji=tuple(2 * spacing for spacing in base.plan.spacing_kji))
    write_full(tmp_path / "other", base.network(), base.card, wider, ARCHITECTURE)
    with pytest.raises(InputError, match="wants scans prepared otherwise than when the run"):
        resume(stopped_run.out, model=str(tmp_path / "other"))


def test_a_model_of_other_weights_is_not_kept_as_the_place_that_a_run_starts_from(stopped_run, tmp_path):
    torch.manual_seed(77)
    card = ModelCard(name="small", labels={"background": 0, "lymph node": 1}, trained_on="Nothing.")
    write_full(tmp_path / "other", build(ARCHITECTURE), card, PLAN, ARCHITECTURE)
    begun = read_record(stopped_run.out)
    with pytest.raises(InputError, match="has other weights than when the run"):
        resume(stopped_run.out, model=str(tmp_path / "other"))
    assert read_record(stopped_run.out) == begun
    assert resume(stopped_run.out).steps == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA GPU")
def test_a_run_that_was_begun_on_a_gpu_does_not_go_on_without_one_and_says_what_helps(stopped_run):
    begun = Path(stopped_run.out) / "request.json"
    begun.write_text(
        begun.read_text().replace('"device": "cpu",\n    "precision"', '"device": "cuda",\n    "precision"')
    )
    with pytest.raises(InputError, match="was begun on a GPU, and now there is none to compute on"):
        resume(stopped_run.out)


def test_a_run_goes_on_with_the_threads_it_was_begun_with_and_leaves_the_process_its_own(request_for, tmp_path):
    def threads_of(carry_out, request):
        heard = []
        stop = StopAfter(1)

        def listen(event):
            stop.on_event(event)
            heard.append(torch.get_num_threads())

        carry_out(request, on_event=listen, should_stop=stop.should_stop)
        return set(heard[-2:])

    request = request_for(threads=2)
    assert threads_of(finetune, request) == {2} and torch.get_num_threads() == 1
    assert threads_of(resume, request.out) == {2} and torch.get_num_threads() == 1
    assert threads_of(finetune, request_for(out=str(tmp_path / "next"))) == {1}


def test_a_run_that_goes_on_says_which_scans_and_versions_have_changed(stopped_run):
    stop = StopAfter(1)
    unchanged = resume(stopped_run.out, on_event=stop.on_event, should_stop=stop.should_stop).notes
    assert not any("begun" in note for note in unchanged)
    annotation = read_segmentation(stopped_run.cases[1].annotation)
    write_volume(annotation.with_array(annotation.array * (annotation.array == 1)), stopped_run.cases[1].annotation)
    begun = Path(stopped_run.out) / "request.json"
    begun.write_text(begun.read_text().replace(torch.__version__, "1.2.3").replace(__version__, "0.0.1"))
    notes = resume(stopped_run.out).notes
    assert any("ct1.nii.gz was changed" in note for note in notes) and any("torch 1.2.3" in note for note in notes)
    assert any("DGSTSegment 0.0.1" in note for note in notes)
    assert not any("ct0.nii.gz" in note for note in notes)


@pytest.mark.parametrize("part", ["image", "annotation"])
def test_a_run_goes_on_though_a_scan_that_it_prepared_was_moved(stopped_run, tmp_path, part):
    whole = finetune(replace(stopped_run, out=str(tmp_path / "whole")))
    moved = Path(getattr(stopped_run.cases[1], part))
    moved.rename(tmp_path / moved.name)
    resumed = resume(stopped_run.out)
    assert_same_delta(whole, resumed)
    assert f"{moved} is gone: the run goes on with what it prepared from ct1.nii.gz before." in resumed.notes
    assert not [note for note in resumed.notes if "was changed after" in note]


@pytest.mark.parametrize("part", ["request", "fixed", "inputs"])
def test_a_run_whose_request_is_damaged_is_refused_in_one_sentence_that_names_its_file(stopped_run, part):
    file = Path(stopped_run.out) / "request.json"
    stored = json.loads(file.read_text())
    needed = ("model", "cases", "out") if part == "request" else stored[part]
    less = [{name: value for name, value in stored[part].items() if name != gone} for gone in needed]
    damages = [{**stored, part: damage} for damage in [*less, 3]]
    damages += [{name: value for name, value in stored.items() if name != gone} for gone in (part, "begun")]
    for damaged in [*damages, {**stored, "begun": None}, []]:
        file.write_text(json.dumps(damaged))
        with pytest.raises(InputError, match=r"request\.json cannot be read \(.+\); move .+ away, and begin") as said:
            resume(stopped_run.out)
        assert "\n" not in str(said.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"stopped": true}', "3"])
def test_a_result_that_is_damaged_is_told_in_one_sentence_that_names_its_file(stopped_run, text):
    (Path(stopped_run.out) / "result.json").write_text(text)
    with pytest.raises(InputError, match=r"result\.json is damaged \(.+\); move it away, and go on") as said:
        resume(stopped_run.out)
    assert "\n" not in str(said.value)


def test_a_run_with_another_number_of_cases_than_it_was_begun_with_is_refused(stopped_run):
    file = Path(stopped_run.out) / "request.json"
    stored = json.loads(file.read_text())
    stored["request"]["cases"].pop()
    file.write_text(json.dumps(stored))
    with pytest.raises(InputError, match="it asks for 1 cases and was begun with 2"):
        resume(stopped_run.out)


@pytest.mark.parametrize("gone", ["step", "skipped", "strategy"])
def test_a_checkpoint_in_which_something_is_missing_is_refused_in_one_sentence(stopped_run, gone):
    run = Run.reopen(stopped_run.out)
    tensors, meta = run.load_checkpoint()
    run.save_checkpoint(tensors, {name: value for name, value in meta.items() if name != gone})
    with pytest.raises(InputError, match=rf"^The checkpoint in {run.folder} has no {gone}; begin a new run"):
        resume(stopped_run.out)


def test_what_was_noted_of_a_scan_is_said_though_it_was_moved(stopped_run, tmp_path):
    annotation = Path(stopped_run.cases[1].annotation)
    empty = read_segmentation(annotation)
    write_volume(empty.with_array(empty.array * 0), annotation)
    request, stop = replace(stopped_run, out=str(tmp_path / "empty")), StopAfter(1)
    first = finetune(request, on_event=stop.on_event, should_stop=stop.should_stop)
    annotation.rename(tmp_path / annotation.name)
    noted = [note for note in first.notes if "taken as a scan without lymph nodes" in note]
    assert len(noted) == 1 and set(noted) <= set(resume(request.out).notes)


def test_a_scan_that_was_moved_before_it_was_prepared_is_missed(stopped_run, tmp_path):
    shutil.rmtree(Path(stopped_run.out) / "cache" / "1")
    moved = Path(stopped_run.cases[1].image)
    moved.rename(tmp_path / moved.name)
    with pytest.raises(InputError, match="no file or folder .*ct1.nii.gz; check"):
        resume(stopped_run.out)


def test_a_disk_that_is_full_when_cases_are_prepared_is_said_and_the_run_goes_on_later(request_for, tmp_path):
    request = request_for()
    with files_of_at_most(30_000), pytest.raises(InputError, match="could not be written .*free some space, then go"):
        finetune(request)
    assert not [path for path in (tmp_path / "run").rglob("*") if path.name.startswith(".partial-")]
    assert_same_delta(resume(request.out), finetune(replace(request, out=str(tmp_path / "whole"))))


def test_a_disk_that_is_full_at_a_checkpoint_is_said_and_the_last_one_stands(stopped_run, monkeypatch):
    checkpoint = Path(stopped_run.out) / "checkpoint.safetensors"
    before = checkpoint.read_bytes()
    stop = StopAfter(1)
    with files_of_at_most(1000), pytest.raises(InputError, match=r"checkpoint.safetensors could not be written"):
        resume(stopped_run.out, on_event=stop.on_event, should_stop=stop.should_stop)
    assert checkpoint.read_bytes() == before
    assert resume(stopped_run.out).steps == 4


def test_one_process_at_a_time_works_in_a_runs_folder(stopped_run):
    run = Run.reopen(stopped_run.out)
    with run.held(), pytest.raises(InputError, match="being worked on by another process"):
        resume(stopped_run.out)
    assert resume(stopped_run.out).steps == 4
    assert not (Path(stopped_run.out) / "lock").exists()


def test_a_finished_run_leaves_a_model_and_its_records_and_nothing_else(request_for):
    result = finetune(request_for())
    left = {path.name for path in open_model(result.model).location.iterdir()}
    assert left == {"request.json", "result.json", "card.json", "delta.safetensors"}


def test_resuming_a_finished_run_reports_what_it_came_to(request_for):
    request, heard = request_for(), []
    result = finetune(request)
    assert resume(request.out) == result
    assert resume(request.out, model="elsewhere", on_event=heard.append) == result
    assert [event["message"] for event in heard] == [
        f"The run in {request.out} is finished already, and this is what it came to; no model is needed for that, so "
        "what was given was not looked at."
    ]


def test_stopping_before_the_first_step_leaves_a_run_that_resumes(request_for, study, tmp_path):
    marked = [replace(files, completeness="marked") for files in study[:2]]
    request = request_for(cases=marked)
    preparing = []
    with pytest.raises(Stopped, match="during prepare"):
        finetune(
            request,
            on_event=lambda event: preparing.append(event) if event.get("phase") == "prepare" else None,
            should_stop=lambda: bool(preparing),
        )
    whole = finetune(replace(request, out=str(tmp_path / "whole")))
    assert_same_delta(resume(request.out), whole)


def test_a_folder_with_a_run_is_not_overwritten(request_for):
    finetune(request_for())
    with pytest.raises(InputError, match="holds a run already; go on with it"):
        finetune(request_for())


def test_a_folder_with_other_things_in_it_is_refused(request_for, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("do not lose me")
    with pytest.raises(InputError, match="is not empty"):
        finetune(request_for())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_there_must_be_a_run_to_resume(request_for):
    with pytest.raises(InputError, match="holds no run to go on with"):
        resume(request_for().out)
