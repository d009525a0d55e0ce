"""Cases that measure: which they are, what counts in them, and what becomes of them while the network trains."""

import gc
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume, measure
from DGSTSegmentLib.imaging.files import read_segmentation, read_volume, write_volume
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.training.case import Case
from DGSTSegmentLib.training.finetune import _measured, finetune, resume
from DGSTSegmentLib.training.holdout import HeldOutMeasure, choose_held_out
from DGSTSegmentLib.training.knowledge import knowledge_of
from DGSTSegmentLib.training.overlap import dice
from DGSTSegmentLib.training.predict import predict

from .conftest import StopAfter, assert_same_delta, ball, scan

PARTS = ("image", "annotation")


@pytest.fixture
def request_for(request_for, quiet_model):
    return partial(request_for, model=str(quiet_model))


def test_too_much_of_a_marked_node_is_wrong_and_a_finding_beside_it_is_neither(geometry):
    image, labels = scan(geometry, (9, 15, 15), radius_mm=6.0)
    image.array[:] = 40
    case = Case("scan", image, labels)
    exact, spilled, beside = (
        labels.with_array(ball(geometry, (9, 15, 15), 6.0) | more)
        for more in (False, ball(geometry, (9, 15, 15), 11.0), ball(geometry, (9, 15, 21), 3.0))
    )
    known = knowledge_of(case)
    right, wrong = _measured(case, known, exact, spilled)
    assert right.dice == 1 and wrong.dice == pytest.approx(dice(labels.array > 0, spilled.array), abs=0.02)
    assert [m.dice for m in _measured(case, known, exact, beside)] == [1, 1]


@pytest.mark.parametrize(
    ("completeness", "said"), [("all", 2 * 60 / (100 + 90)), ("region", 2 * 60 / (100 + 60)), ("marked", 120 / 160)]
)
def test_a_measure_counts_nodes_found_ones_and_all_findings(geometry, completeness, said):
    """Of nodes of 60 and 40 voxels the first is found; two findings of 10 and 20 are false, far from both."""
    marked, predicted, region = (np.zeros(geometry.shape, np.uint8) for _ in range(3))
    marked[2:5, 4:8, 3:8], marked[2:5, 20:22, 3:8], marked[5, 20:22, 3:8] = 1, 2, 2
    predicted[2:5, 4:8, 3:8] = predicted[16, 4:6, 24:29] = predicted[16, 20:24, 24:29] = 1
    region[:8] = 1
    image, labels = Volume(np.full(geometry.shape, 40, np.int16), geometry), Volume(marked, geometry)
    case = Case("scan", image, labels, completeness, labels.with_array(region > 0))
    (measured,) = _measured(case, knowledge_of(case), labels.with_array(predicted))
    assert measured == HeldOutMeasure(
        "scan", pytest.approx(said), nodes=2, found=1, findings=3, complete=completeness == "all"
    )


def test_thousands_of_specks_are_counted_without_being_measured_one_by_one(monkeypatch):
    monkeypatch.setattr(measure, "axes_mm", lambda region: pytest.fail("its axes are measured"))
    specks = np.zeros((40, 60, 60), np.uint8)
    specks[::2, ::4, ::4] = 1
    labels = Volume(specks, Geometry.from_parts(specks.shape, (1.0, 1.0, 1.0)))
    case = Case("scan", labels.with_array(specks.astype(np.int16)), labels, "all")
    (measured,) = _measured(case, knowledge_of(case), labels)
    assert (measured.nodes, measured.found, measured.findings) == (4500, 4500, 4500)


def test_before_and_after_are_judged_by_the_same_voxels(geometry):
    image, labels = scan(geometry, (9, 15, 15))
    case = Case("scan", image, labels)
    beside = [
        ball(geometry, (9, 15, 15), 13.0) & (np.indices(geometry.shape)[2] * sign > 15 * sign) for sign in (1, -1)
    ]
    first, second = (labels.with_array((labels.array > 0) | half) for half in beside)
    before, after = _measured(case, knowledge_of(case), first, second)
    assert before.dice == pytest.approx(after.dice, abs=0.02)


def test_held_out_cases_are_measured_before_and_after(request_for, study):
    heard = []
    result = finetune(request_for(cases=study[:3], holdout=1), on_event=heard.append)
    (case,) = result.held_out["cases"]
    held = next(files for files in study if files.title == case["name"])
    image, labels = read_volume(held.image), read_segmentation(held.annotation)
    offered = predict(open_model(result.model), image, device="cpu", precision="fp32")
    assert case["after"]["dice"] == dice(labels.array > 0, offered.segmentation.array > 0)
    assert case["before"]["nodes"] == 2 and case["before"]["dice"] > 0
    told = [(event["step"], event["held_out"]) for event in heard if event.get("phase") == "held out"]
    assert told == [(0, case["before"]["dice"]), (4, case["after"]["dice"])]


@pytest.mark.parametrize(("seed", "held"), [(0, 2), (6, 1)])
def test_a_held_out_case_is_not_trained_on(request_for, study, tmp_path, seed, held):
    """The last of three, and the one in their middle; each of the other two is drawn in the four steps."""
    result = finetune(request_for(cases=study[:3], holdout=1, seed=seed))
    assert [case["name"] for case in result.held_out["cases"]] == [study[held].title]
    others = [files for n, files in enumerate(study[:3]) if n != held]
    alone = finetune(request_for(cases=others, holdout=0, seed=seed, out=str(tmp_path / "alone")))
    assert alone.held_out is None
    assert_same_delta(result, alone)


def test_only_held_out_scans_are_predicted_once_before_training_and_once_after(request_for, study):
    heard = []
    cases = [replace(files, completeness="marked") for files in study[:3]]
    finetune(request_for(cases=cases, holdout=1), on_event=heard.append)
    phases = [event["phase"] for event in heard if event.get("step") == 0]
    first_step = next(n for n, event in enumerate(heard) if event.get("phase") == "train")
    before = [event["phase"] for event in heard[:first_step] if event.get("step") == 0]
    assert (before.count("predict"), phases.count("predict")) == (1, 2)
    assert [event["step"] for event in heard if event.get("phase") == "prepare"] == [0, 1, 2]


def test_what_only_training_needed_is_gone_when_the_new_model_is_measured(request_for, study):
    def optimizers():
        return [one for one in gc.get_objects() if issubclass(type(one), torch.optim.Optimizer)]

    before, alive = optimizers(), []  # other tests may have left some

    def hear(event):
        if event.get("phase") in ("train", "predict") and event["step"]:
            made = [one for one in optimizers() if not any(one is other for other in before)]
            alive.append((event["phase"], len(made) > 0))

    finetune(request_for(cases=study[:3], holdout=1, steps=1), on_event=hear)
    phases = [moment for n, moment in enumerate(alive) if n == 0 or moment != alive[n - 1]]
    assert phases == [("predict", False), ("train", True), ("predict", False)]


def test_a_case_that_shows_the_same_scan_as_a_held_out_one_is_not_learned_from(request_for, study, tmp_path):
    held = choose_held_out([True] * 3, 1, seed=0)[0]
    twin = tmp_path / "copy.nii.gz"
    shutil.copy(study[held].image, twin)
    cases = [*study[:3]]
    cases[held - 1] = replace(study[held], image=str(twin))
    result = finetune(request_for(cases=cases, holdout=1))
    assert {case["name"] for case in result.held_out["cases"]} == {"copy.nii.gz", study[held].title}
    assert any("same scan as another case that is held out" in note for note in result.notes)
    (left,) = [files for files in cases if files.title not in ("copy.nii.gz", study[held].title)]
    assert_same_delta(result, finetune(request_for(cases=[left], holdout=0, out=str(tmp_path / "alone"))))


def test_only_copies_of_one_scan_leave_nothing_to_measure_with(request_for, study):
    result = finetune(request_for(cases=[study[0]] * 3, holdout=1, steps=1))
    assert result.held_out is None and any("measures nothing" in note for note in result.notes)


@pytest.fixture
def without_nodes(study, tmp_path):
    """Makes of a case one whose findings were all refused, and nothing is marked in it."""

    def made(files, completeness="marked"):
        labels, name = read_segmentation(files.annotation), Path(files.annotation).name
        write_volume(labels.with_array(labels.array * 0), tmp_path / f"empty-{name}")
        return replace(
            files, annotation=str(tmp_path / f"empty-{name}"), rejected=files.annotation, completeness=completeness
        )

    return made


@pytest.mark.parametrize("holdout", [1, 2])
def test_the_only_case_with_marked_nodes_is_learned_from(request_for, study, without_nodes, holdout):
    """By its seed alone the draw would take the last of three."""
    assert choose_held_out([True] * 3, 1, seed=0) == [2]
    cases = [without_nodes(study[0]), without_nodes(study[1]), study[2]]
    result = finetune(request_for(cases=cases, holdout=holdout, steps=1))
    assert result.held_out is None
    assert f"Of {holdout} cases to hold out 0 can be, so that marked nodes are left to learn from." in result.notes


def test_the_cases_that_measure_may_be_named(request_for, study):
    """By its seed the draw would take the last of three."""
    result = finetune(request_for(cases=study[:3], holdout_cases=[study[0].image], steps=1))
    assert [case["name"] for case in result.held_out["cases"]] == [study[0].title]


@pytest.mark.parametrize(
    ("named", "more", "said"),
    [
        ([0, 1, 2], {}, "No lymph node is marked in any case to learn from.+ in a case that is not held out"),
        ([3], {}, "ct3.nii.gz is to be held out, but is the CT of no case"),
        ([0], {"holdout": 1}, "either how many cases to hold out or which"),
    ],
)
def test_named_cases_that_cannot_measure_or_leave_nothing_are_refused(request_for, study, tmp_path, named, more, said):
    with pytest.raises(InputError, match=said):
        finetune(request_for(cases=study[:3], holdout_cases=[study[n].image for n in named], **more))
    assert not (tmp_path / "run").exists()


def test_cases_to_measure_with_are_drawn_from_those_with_marked_nodes_and_leave_one():
    assert [choose_held_out([True] * 6, n, seed=3) for n in (0, 6)] == [[], [0, 1, 3, 4, 5]]
    for seed in range(5):
        assert set(choose_held_out([True, False, True, False, True], None, seed)) <= {0, 2, 4}
        assert len(choose_held_out([True, False, True], 2, seed)) == 1
        assert choose_held_out([True, True, False], 1, seed, [{"a"}, {"a"}, {"b"}]) == []


def test_without_any_node_there_must_be_something_else_to_learn(request_for, study, without_nodes, tmp_path):
    for completeness, more in (("all", {}), ("marked", {"distillation": 0.0})):
        with pytest.raises(InputError, match="No lymph node is marked in any case to learn from, so all that could"):
            finetune(request_for(cases=[without_nodes(files, completeness) for files in study[:2]], **more))
    assert not (tmp_path / "run").exists()
    refused = finetune(request_for(cases=[without_nodes(study[0])], steps=1))
    beside = finetune(request_for(cases=[study[1], without_nodes(study[0])], steps=1, out=str(tmp_path / "beside")))
    assert not [note for note in refused.notes + beside.notes if "marked nodes" in note or "No lymph node" in note]


def test_a_run_goes_on_with_the_cases_held_out_that_it_was_begun_with(request_for, study):
    stop = StopAfter(1)
    request = request_for(cases=study[:3], holdout=1)
    finetune(request, on_event=stop.on_event, should_stop=stop.should_stop)
    begun = Path(request.out) / "request.json"
    stored = json.loads(begun.read_text())
    assert stored["inputs"]["held_out"] == [2]
    begun.write_text(json.dumps({**stored, "request": {**stored["request"], "holdout": 2}}))
    assert [case["name"] for case in resume(request.out).held_out["cases"]] == [study[2].title]


def test_without_held_out_cases_it_says_that_nothing_was_measured(request_for):
    result = finetune(request_for())
    assert result.held_out is None and open_model(result.model).card.measured is None
    assert any("measures nothing" in note for note in result.notes)


def test_marked_cases_count_what_is_known_only(request_for, model_folder, study, tmp_path):
    """The second ball of each scan is left unmarked; a model that finds it must not be punished."""
    cases = []
    for n, files in enumerate(study[:4]):
        labels = read_segmentation(files.annotation)
        path = tmp_path / f"first{n}.nii.gz"
        write_volume(labels.with_array((labels.array == 1).astype(np.uint8)), path)
        cases.append(replace(files, annotation=str(path), completeness="marked"))
    result = finetune(request_for(model=str(model_folder), cases=cases, holdout=1, steps=60))
    measured = result.held_out["cases"][0]["after"]
    assert measured["nodes"] == 1
    held = next(files for files in study if files.title == result.held_out["cases"][0]["name"])
    labels = read_segmentation(held.annotation).array
    predicted = predict(open_model(result.model), read_volume(held.image), device="cpu").segmentation.array > 0
    assert (predicted & (labels == 2)).any(), "the model finds the ball that nobody marked"
    assert measured["dice"] > dice(labels == 1, predicted)


@pytest.fixture
def movable(request_for, study, tmp_path):
    """A request that holds out the last of three cases, whose files are copies that a test may change."""
    (tmp_path / "scans").mkdir()
    held = replace(study[2], **{part: shutil.copy(getattr(study[2], part), tmp_path / "scans") for part in PARTS})
    return request_for(cases=[*study[:2], held], holdout=1)


def predictions(events):
    return sum(event.get("phase") == "predict" and event["step"] == 0 for event in events)


@pytest.mark.parametrize("completeness", ["all", "marked"])
def test_no_held_out_case_is_in_memory_while_the_network_trains(movable, completeness):
    cases = [replace(files, completeness=completeness) for files in movable.cases]

    def in_memory():
        return [one for one in gc.get_objects() if issubclass(type(one), Case)]

    before, alive = in_memory(), []  # other tests may have left some

    def hear(event):
        if event.get("phase") == "train":
            alive.extend(one for one in in_memory() if not any(one is other for other in before))

    assert finetune(replace(movable, cases=cases), on_event=hear).held_out is not None
    assert alive == []


def test_a_run_that_goes_on_does_not_ask_the_base_again(movable, tmp_path):
    whole = finetune(replace(movable, out=str(tmp_path / "whole")))
    stop, heard = StopAfter(2), []
    finetune(movable, on_event=stop.on_event, should_stop=stop.should_stop)
    resumed = resume(movable.out, on_event=heard.append)
    assert predictions(heard) == 1
    assert_same_delta(whole, resumed)
    assert resumed.held_out == whole.held_out
    assert not (tmp_path / "run" / "cache").exists()


def test_a_held_out_case_that_was_marked_anew_is_measured_as_it_is_now(movable):
    stop, heard = StopAfter(2), []
    finetune(movable, on_event=stop.on_event, should_stop=stop.should_stop)
    annotation = read_segmentation(movable.cases[2].annotation)
    write_volume(annotation.with_array(annotation.array * (annotation.array == 1)), movable.cases[2].annotation)
    (case,) = resume(movable.out, on_event=heard.append).held_out["cases"]
    assert (case["before"]["nodes"], case["after"]["nodes"], predictions(heard)) == (1, 1, 2)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_held_out_case_measures_though_its_files_were_moved_while_the_network_trained(movable, tmp_path, resumed):
    whole = finetune(replace(movable, out=str(tmp_path / "whole")))
    stop = StopAfter(2)

    def hear(event):
        stop.on_event(event)
        if stop.heard == 2 and (tmp_path / "scans").exists():
            (tmp_path / "scans").rename(tmp_path / "removed")

    result = finetune(movable, on_event=hear, should_stop=stop.should_stop if resumed else None)
    if resumed:
        result = resume(movable.out)
        assert f"{movable.cases[2].image} is gone: the run goes on with what it prepared from ct2.nii.gz before." in (
            result.notes
        )
    assert result.held_out == whole.held_out
