import json
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from DGSTSegmentLib.dgst.registry import RULES, STRATEGIES
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry
from DGSTSegmentLib.imaging.files import read_segmentation, read_volume, write_volume
from DGSTSegmentLib.networks.architectures import build
from DGSTSegmentLib.networks.card import ModelCard
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.package import write_full
from DGSTSegmentLib.networks.state import own_state
from DGSTSegmentLib.training import material
from DGSTSegmentLib.training.case_files import CaseFiles
from DGSTSegmentLib.training.events import Reporter, Stopped
from DGSTSegmentLib.training.finetune import finetune, resume
from DGSTSegmentLib.training.knowledge import NODE
from DGSTSegmentLib.training.overlap import dice
from DGSTSegmentLib.training.predict import predict
from DGSTSegmentLib.training.study import Study, StudyCase

from .conftest import ARCHITECTURE, PLAN, StopAfter, assert_same_delta, delta_of, scan


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_ends_in_a_model_that_opens_and_leaves_its_base_as_it_was(request_for, model_folder, strategy):
    before = bytes_of(model_folder)
    result = finetune(request_for(strategy=strategy, steps=2))
    assert bytes_of(model_folder) == before
    model = open_model(result.model)
    assert model.card.strategy["name"] == strategy and model.card.strategy["steps"] == 2
    base, tuned = own_state(open_model(model_folder).network()), own_state(model.network())
    assert base.keys() == tuned.keys()
    changed = sum(int((base[name] != tuned[name]).sum()) for name in base)
    assert changed > 0 and result.weights_changed == pytest.approx(changed / sum(t.numel() for t in base.values()))


@pytest.mark.parametrize("strategy", ["dgst", "full"])
def test_fine_tuning_learns_what_was_marked(request_for, study, strategy):
    result = finetune(request_for(strategy=strategy, steps=100, holdout=0, cases=study[:3]))
    image, labels = read_volume(study[5].image), read_segmentation(study[5].annotation)
    before = predict(open_model(open_model(result.model).base.location), image, device="cpu")
    after = predict(open_model(result.model), image, device="cpu")
    scores = [dice(labels.array > 0, p.segmentation.array > 0) for p in (before, after)]
    assert scores[1] > scores[0] + 0.2


@pytest.mark.parametrize("strategy", ["dgst", "random", "static"])
def test_layers_confine_what_is_selected(request_for, model_folder, strategy):
    result = finetune(request_for(strategy=strategy, layers="early", steps=2))
    model = open_model(result.model)
    base, tuned = own_state(open_model(model_folder).network()), own_state(model.network())
    rows = {name for name in base if base[name].dim() > 1 and not torch.equal(base[name], tuned[name])}
    early = {name for name in base if name.startswith(model.modules_of("early"))}
    heads = {name for name in base if name.startswith(model.head)}
    assert rows & early and rows <= early | heads
    used = model.card.strategy
    assert (used["layers"], used["gamma"], used["lr"]) == ("early", 16, STRATEGIES[strategy].default_lr)


FIRST = "encoder.stages.0.0.convs.0.conv.weight"
"""A convolution with 4 rows of 27 weights."""


def moved_by_one_step(request, model_folder):
    """The first convolution's rows as the base has them, and how far each of their weights moved."""
    result = finetune(replace(request, steps=1))
    base, tuned = (own_state(open_model(one).network())[FIRST].flatten(1) for one in (model_folder, result.model))
    return base, tuned - base


@pytest.mark.parametrize("gamma", [1, 3])
def test_gamma_weights_of_a_row_move_at_a_step(request_for, model_folder, gamma):
    _, moved = moved_by_one_step(request_for(gamma=gamma), model_folder)
    assert (moved != 0).sum(1).tolist() == [gamma] * 4


@pytest.mark.parametrize("lr", [1e-3, 3e-3])
def test_the_first_step_of_adam_moves_weights_by_the_learning_rate(request_for, model_folder, lr):
    """Its mean is the gradient then, and its square's mean the gradient's square."""
    _, moved = moved_by_one_step(request_for(lr=lr, update="adam"), model_folder)
    torch.testing.assert_close(moved[moved != 0].abs(), torch.full((4 * 16,), lr), rtol=1e-3, atol=0)


@pytest.mark.parametrize("lr", [1e-2, 3e-2])
def test_a_step_of_rms_moves_weights_by_a_share_of_their_row(request_for, model_folder, lr):
    base, moved = moved_by_one_step(request_for(lr=lr, update="rms"), model_folder)
    shares = moved.abs() / base.square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(shares[moved != 0], torch.full((4 * 2,), lr), rtol=1e-3, atol=0)


@pytest.mark.parametrize("update", RULES)
def test_a_request_spells_out_what_strategy_and_rule_bring_along(request_for, update):
    request = request_for(update=update)
    assert (request.gamma, request.layers) == (RULES[update].gamma, RULES[update].layers)
    assert request.lr == STRATEGIES["dgst"].lrs[update]
    assert request_for(update=update, gamma=3, layers="encoder", lr=0.5).lr == 0.5
    static = request_for(strategy="static", update=update)
    assert static.lr == STRATEGIES["static"].lrs[update]
    full = request_for(strategy="full", update=update)
    assert (full.gamma, full.layers, full.lr) == (None, None, STRATEGIES["full"].lrs["adamw"])


def test_a_card_names_what_selected_the_weights_and_nothing_that_had_no_effect(request_for):
    heard = []
    result = finetune(request_for(strategy="full", layers="early", gamma=3, steps=1), on_event=heard.append)
    used = open_model(result.model).card.strategy
    assert used["lr"] == STRATEGIES["full"].default_lr
    assert not {"gamma", "layers", "update"} & used.keys()
    assert [note for note in result.notes if "no effect" in note] == [
        f"{STRATEGIES['full'].title} makes no use of {name}, so it has no effect." for name in ("gamma", "layers")
    ]


def test_a_card_counts_the_scans_that_were_learned_from_and_those_that_measured(
    request_for, quiet_model, nnunet_folder, study, tmp_path
):
    request = request_for(model=str(quiet_model), cases=study[:2], holdout=1, steps=1)
    card = open_model(finetune(request).model).card
    assert card.description == "quiet fine-tuned by dgst on 1 annotated scan, measured on 1."
    assert card.trained_on == "Nothing. Fine-tuned on 1 annotated scan of the user, measured on 1."
    all_learned = replace(request, model=str(nnunet_folder), holdout=0, out=str(tmp_path / "all"))
    card = open_model(finetune(all_learned).model).card
    assert card.trained_on == "a data set without a name. Fine-tuned on 2 annotated scans of the user."


def test_the_same_seed_gives_the_same_delta_and_another_seed_another(request_for, tmp_path):
    runs = [finetune(request_for(out=str(tmp_path / f"run{n}"), seed=seed)) for n, seed in enumerate((0, 0, 1))]
    assert_same_delta(runs[0], runs[1])
    assert any(
        a.shape != b.shape or not torch.equal(a, b)
        for a, b in zip(delta_of(runs[0]).values(), delta_of(runs[2]).values(), strict=False)
    )


def test_a_node_thinner_than_the_models_voxels_is_learned_and_that_is_said(request_for, geometry, tmp_path):
    fine = Geometry.from_parts((60, 32, 32), (2.0, 2.0, 1.0), origin=(-30.0, 12.0, 5.0))
    image, labels = scan(fine, (30, 15, 15))
    thin = np.zeros_like(labels.array)
    thin[30] = labels.array[30]
    write_volume(image, tmp_path / "fine.nii.gz")
    write_volume(labels.with_array(thin), tmp_path / "thin.nii.gz")
    for completeness in ("all", "marked"):
        files = CaseFiles(str(tmp_path / "fine.nii.gz"), str(tmp_path / "thin.nii.gz"), completeness)
        request, stop = request_for(cases=[files], out=str(tmp_path / completeness)), StopAfter(1)
        notes = finetune(request, on_event=stop.on_event, should_stop=stop.should_stop).notes
        (path,) = (tmp_path / completeness / "cache").rglob("knowledge.npy")
        knowledge = np.load(path)
        assert (knowledge == NODE).any()
        assert any("1 of 1 marked nodes are thinner" in note for note in notes)


def test_a_model_that_may_read_other_images_than_ct_is_told_what_unmarked_voxels_mean(request_for, study, tmp_path):
    plan = replace(PLAN, normalization="zscore")
    torch.manual_seed(3)
    card = ModelCard(name="mr", labels={"background": 0, "lymph node": 1})
    write_full(tmp_path / "mr", build(ARCHITECTURE), card, plan, ARCHITECTURE)
    for completeness, said in (("marked", True), ("all", False)):
        cases = [replace(files, completeness=completeness) for files in study[:2]]
        request = request_for(cases=cases, out=str(tmp_path / completeness), steps=1)
        notes = finetune(replace(request, model=str(tmp_path / "mr"))).notes
        assert any("does not say that it reads CT" in note for note in notes) == said


def test_fp16_trains_with_a_scaled_loss_on_a_cpu_too(request_for):
    result = finetune(request_for(precision="fp16", steps=3))
    assert result.weights_changed > 0 and not any("not finite" in note for note in result.notes)


def test_a_rule_that_a_strategy_does_not_use_is_said_to_have_no_effect(request_for):
    notes = finetune(request_for(strategy="full", update="sgd", steps=1)).notes
    assert any("makes no use of update" in note for note in notes)
    assert request_for(strategy="full").without_effect == []


def test_cases_that_do_not_fit_into_memory_together_are_read_when_needed(
    request_for, quiet_model, study, tmp_path, monkeypatch
):
    request = request_for(model=str(quiet_model), cases=study[:3], holdout=1)
    kept = finetune(request)
    monkeypatch.setattr(material, "KEPT_BYTES", 1)
    read = finetune(replace(request, out=str(tmp_path / "read")))
    assert_same_delta(kept, read)
    assert kept.held_out == read.held_out


@pytest.mark.parametrize("position", [0, 2])
def test_a_case_that_is_changed_before_it_is_read_again_is_said_to_be(
    request_for, quiet_model, study, tmp_path, monkeypatch, position
):
    """The first is learned from, the last is held out."""
    monkeypatch.setattr(material, "KEPT_BYTES", 1)
    annotation = read_segmentation(study[position].annotation)
    cases = [*study[:3]]
    cases[position] = replace(cases[position], annotation=shutil.copy(cases[position].annotation, tmp_path))

    def change(event):
        if event.get("phase") == "read" and event["step"] == 3:
            write_volume(annotation.with_array(annotation.array * (annotation.array == 1)), cases[position].annotation)

    request = request_for(model=str(quiet_model), cases=cases, holdout=1, steps=1)
    notes = finetune(request, on_event=change).notes
    said = f"ct{position}.nii.gz was changed after it had been checked; the run takes it as it is now."
    assert [note for note in notes if "changed" in note] == [said]


def test_a_case_that_is_added_while_a_run_reads_its_cases_is_newer_than_the_run(request_for, tmp_path):
    study = Study(tmp_path / "study")

    def add(event):
        if event.get("phase") == "read" and event["step"] == 2:
            study.add(StudyCase("", "late", "all"), {})

    finetune(request_for(out=str(study.new_run_folder()), steps=1), on_event=add)
    assert study.cases()[0].changed_at > study.runs()[0].begun > time.time() - 600


def test_a_fine_tuned_model_starts_again_from_its_base_and_says_so(request_for, tmp_path):
    first = finetune(request_for())
    heard = []
    again = finetune(request_for(out=str(tmp_path / "again")), on_event=heard.append)
    from_tuned = finetune(replace(request_for(out=str(tmp_path / "tuned")), model=first.model), on_event=heard.append)
    assert_same_delta(again, from_tuned)
    assert any("starts from its base" in event.get("message", "") for event in heard)


def test_progress_tells_step_loss_learning_rate_memory_and_time_left(request_for):
    heard = []
    finetune(request_for(steps=3), on_event=heard.append)
    steps = [event for event in heard if event["event"] == "progress" and event["phase"] == "train"]
    assert [event["step"] for event in steps] == [1, 2, 3]
    assert steps[-1]["seconds_left"] == 0 and steps[0]["lr"] > steps[2]["lr"] > 0
    assert all(np.isfinite(event["loss"]) and event["memory_mb"] > 1 for event in steps)
    json.dumps(heard)


def test_minutes_become_a_number_of_steps_once(request_for):
    request = request_for(steps=None, minutes=0.02)
    stop, told = StopAfter(14), []

    def hear(event):
        stop.on_event(event)
        if event.get("phase") == "train":
            told.append(event["steps"])

    assert finetune(request, on_event=hear, should_stop=stop.should_stop).stopped
    assert told[:10] == [None] * 10 and told[11] >= 20
    result = resume(request.out, on_event=hear)
    assert set(told[11:]) == {result.steps}


def test_that_little_time_is_left_to_train_is_said_once(request_for, quiet_model, study):
    request = request_for(model=str(quiet_model), steps=None, minutes=1e-3, cases=study[:3], holdout=1)
    result = finetune(request)
    (said,) = [note for note in result.notes if "Only 20 steps are taken: reading and measuring" in note]
    assert "of 0.001 min" in said and said.endswith("or hold out fewer scans.") and result.steps == 20


@pytest.mark.parametrize("strategy", ["dgst", "full"])
def test_the_weight_of_distillation_reaches_the_training(request_for, open_cases, tmp_path, strategy):
    runs = [
        finetune(request_for(cases=open_cases, strategy=strategy, distillation=w, out=str(tmp_path / f"run{w:g}")))
        for w in (0.0, 10.0)
    ]
    one, other = (delta_of(run) for run in runs)
    assert one.keys() != other.keys() or any(
        one[name].shape != other[name].shape or not torch.equal(one[name], other[name]) for name in one
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "magic"}, "strategy must be one of dgst"),
        ({"gamma": 0}, "gamma must be greater than 0, not 0"),
        ({"layers": "late"}, "layers must be one of all, encoder, early, not 'late'"),
        ({"steps": 3, "minutes": 1.0}, "either a number of steps or of minutes"),
        ({"holdout": 2}, "2 of 2 cases cannot be held out"),
        ({"cases": []}, "no case to learn from"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda"),
        ({"orientation": "upright"}, "orientation must be one of lps, ras, as-stored, not 'upright'"),
        ({"seed": -1}, "seed must be 0 or greater, not -1"),
        ({"steps": None, "minutes": float("inf")}, "minutes must be greater than 0, not inf"),
        ({"distillation": float("nan")}, "distillation must be 0 or greater, not nan"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_a_sentence(request_for, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        finetune(request_for(**changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("beside", [True, False])
def test_the_ignore_label_of_an_nnunet_model_is_unknown_in_its_cases(request_for, nnunet_folder, beside):
    if beside:
        (nnunet_folder / "dataset.json").write_text('{"labels": {"background": 0, "lymph node": 1, "ignore": 2}}')
    material_ = material.Material.checked(replace(request_for(), model=str(nnunet_folder)), Reporter())
    case = material_.cases.take(0)
    assert (case.unknown is not None) == beside and case.annotation.array.max() == 2 - beside


@pytest.mark.parametrize("checkpoint", ["final", "best"])
def test_the_checkpoint_that_is_named_is_what_training_starts_from(request_for, nnunet_folder, checkpoint):
    files = {name: nnunet_folder / "fold_0" / f"checkpoint_{name}.pth" for name in ("final", "best")}
    shutil.copy(files["final"], files["best"])
    asked = replace(request_for(), model=str(nnunet_folder), checkpoint=checkpoint)
    base = material.Material.checked(asked, Reporter()).model.foundation
    assert base.checkpoint == files[checkpoint].name


def test_a_run_that_is_not_finished_is_no_model_to_start_from(request_for, tmp_path):
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "request.json").write_text("{}")
    with pytest.raises(InputError, match="begun is an unfinished run"):
        material.Material.checked(replace(request_for(), model=str(tmp_path / "begun")), Reporter())


def test_bad_cases_are_refused_before_anything_is_written(request_for, study, tmp_path):
    with pytest.raises(InputError, match="missing.nii.gz"):
        finetune(request_for(cases=[*study[:1], replace(study[1], annotation=str(tmp_path / "missing.nii.gz"))]))
    assert not (tmp_path / "run").exists()


def test_what_is_noted_of_scans_of_one_file_name_is_said_of_each(request_for, study, tmp_path):
    cases = []
    for n, files in enumerate(study[:2]):
        (tmp_path / f"p{n}").mkdir()
        image = read_volume(files.image)
        write_volume(image.with_array(image.array + 1000), tmp_path / f"p{n}" / "ct.nii.gz")
        cases.append(replace(files, image=str(tmp_path / f"p{n}" / "ct.nii.gz")))
    described = material.Material.checked(request_for(cases=cases), Reporter()).cases.described
    assert [case.notes[0].split(":")[0] for case in described] == ["p0/ct.nii.gz", "p1/ct.nii.gz"]


def test_reading_tells_of_each_case_and_stops_between_two_with_nothing_written(request_for, study, tmp_path):
    heard = []
    missing = replace(study[2], image=str(tmp_path / "missing.nii.gz"))
    with pytest.raises(Stopped, match="during read"):
        finetune(
            request_for(cases=[*study[:2], missing]), on_event=heard.append, should_stop=lambda: heard[-1]["step"] == 2
        )
    assert [(event["phase"], event["step"], event["steps"]) for event in heard] == [("read", n, 3) for n in range(3)]
    assert not (tmp_path / "run").exists()


def test_a_model_of_several_structures_is_refused(request_for, tmp_path):
    architecture = {**ARCHITECTURE, "arguments": {**ARCHITECTURE["arguments"], "num_classes": 3}}
    card = ModelCard(name="organs", labels={"background": 0, "liver": 1, "spleen": 2})
    write_full(tmp_path / "organs", build(architecture), card, PLAN, architecture)
    with pytest.raises(InputError, match=r"organs tells 2 structures apart \(liver, spleen\)"):
        finetune(replace(request_for(), model=str(tmp_path / "organs")))
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA GPU")
def test_asking_for_cuda_where_there_is_none_is_refused(request_for):
    with pytest.raises(InputError, match="no CUDA GPU"):
        finetune(request_for(device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_fine_tuning_runs_on_a_gpu(request_for):
    result = finetune(request_for(device="cuda", precision="auto"))
    assert result.weights_changed > 0


def test_a_base_that_another_program_writes_to_while_it_is_fine_tuned_changes_nothing(request_for, nnunet_folder):
    """nnU-Net saves over the checkpoint that it goes on training; its weights are mapped from there when opened."""
    request = replace(request_for(steps=2), model=str(nnunet_folder))
    checkpoint = nnunet_folder / "fold_0" / "checkpoint_final.pth"
    expected, was = finetune(request), checkpoint.read_bytes()

    def save_over(event):
        if event.get("phase") == "train" and event.get("step") == 1:
            with open(checkpoint, "r+b") as file:
                file.write(b"\x3c" * len(was))

    disturbed = finetune(replace(request, out=f"{request.out}2"), on_event=save_over)
    assert checkpoint.read_bytes() != was
    assert_same_delta(disturbed, expected)


@pytest.mark.parametrize(("axes", "said"), [([0], "along k of"), (None, "along none of"), ((0, 1, 2), "")])
def test_that_fine_tuning_mirrors_what_the_base_never_saw_mirrored_is_said(request_for, nnunet_folder, axes, said):
    checkpoint = nnunet_folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(checkpoint)
    torch.save({**content, "inference_allowed_mirroring_axes": axes}, checkpoint)
    notes = finetune(replace(request_for(steps=1), model=str(nnunet_folder))).notes
    assert [said in note for note in notes if "mirrored" in note] == ([True] if said else [])
