"""The real worker with a tiny model: one process for all tests here."""

from __future__ import annotations

import json
import shutil
import threading

import numpy as np
import pytest
import torch
from scipy import ndimage

from DGSTSegmentLib.engine.session import Session
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import read_ct, read_segmentation, read_volume, write_volume
from DGSTSegmentLib.networks.architectures import build, plain_unet
from DGSTSegmentLib.networks.card import ModelCard
from DGSTSegmentLib.networks.package import write_full
from DGSTSegmentLib.networks.plan import Plan
from DGSTSegmentLib.training.devices import why_no_gpu


@pytest.fixture
def prediction(tiny_model, tiny_study, tmp_path):
    return {
        "model": str(tiny_model),
        "image": str(tiny_study[0][0]),
        "out": str(tmp_path / "seg.nii.gz"),
        "device": "cpu",
        "precision": "fp32",
    }


@pytest.fixture
def session():
    with Session() as session:
        yield session


@pytest.fixture
def finetuning(tiny_model, tiny_study, tmp_path):
    cases = [{"image": str(image), "annotation": str(annotation)} for image, annotation in tiny_study[:2]]
    return {
        "model": str(tiny_model),
        "cases": cases,
        "out": str(tmp_path / "run"),
        "steps": 8,
        "holdout": 0,
        "device": "cpu",
        "threads": 1,
    }


def test_describe_gives_card_and_devices(engine, tiny_model):
    described = engine.describe(str(tiny_model))
    assert described["card"]["labels"] == {"background": 0, "lymph node": 1}
    assert described["title"] == "tiny (demonstration, trained on phantoms)"
    as_asked = engine.submit("describe", {"model": str(tiny_model), "orientation": "ras"}).result()
    assert (described["orientation"], as_asked["orientation"]) == ("lps", "ras")
    assert described["devices"][0]["name"] == "cpu"
    assert 0 < described["devices"][0]["free_mb"] <= described["devices"][0]["memory_mb"]
    assert described["why_no_gpu"] == why_no_gpu()


def test_predict_writes_a_segmentation_on_the_cts_own_grid(engine, prediction, tmp_path):
    heard = []
    result = engine.predict({**prediction, "probability": str(tmp_path / "p.nii.gz")}, heard.append)
    ct, segmentation = read_ct(prediction["image"]), read_segmentation(result["out"])
    assert segmentation.geometry.same_grid(ct.geometry)
    probability = read_volume(result["probability"]).array
    np.testing.assert_array_equal(segmentation.array > 0, probability > 0.5)
    steps = [event["step"] for event in heard if event["event"] == "progress" and event.get("steps")]
    assert steps == sorted(steps) and steps[-1] > 1


@pytest.mark.parametrize("field", ["out", "probability"])
def test_a_format_that_cannot_hold_a_tilted_scan_is_refused_before_it_is_predicted(engine, prediction, tmp_path, field):
    ct, heard = read_ct(prediction["image"]), []
    matrix = ct.geometry.ijk_to_world.copy()
    matrix[1, 2] += 0.3 * ct.geometry.spacing[2]
    write_volume(Volume(ct.array, Geometry(ct.geometry.shape, matrix)), tmp_path / "tilted.nrrd")
    paths = {"image": str(tmp_path / "tilted.nrrd"), "out": str(tmp_path / "seg.nrrd")}
    with pytest.raises(InputError, match="not perpendicular; name it .nrrd"):
        engine.predict({**prediction, **paths, field: str(tmp_path / "answer.nii.gz")}, heard.append)
    assert not any(event.get("steps") for event in heard)


def test_a_volume_in_memory_gets_the_same_answer_as_its_file(engine, prediction, session):
    engine.predict(prediction)
    ct = read_ct(prediction["image"])
    image, parts = session.put(ct), {name: session.path(name) for name in ("out", "probability")}
    result = engine.predict({**prediction, "image": image, **parts})
    segmentation, probability = session.take(result["out"]), session.take(result["probability"])
    np.testing.assert_array_equal(segmentation.array, read_segmentation(prediction["out"]).array)
    np.testing.assert_array_equal(segmentation.geometry.ijk_to_world, ct.geometry.ijk_to_world)
    assert probability.array.dtype == np.float32
    np.testing.assert_array_equal(session.take(image).array, ct.array)
    assert not list(session.folder.glob("*.npy"))


def test_findings_come_measured_on_the_prediction_they_belong_to(engine, prediction, tmp_path):
    numbers = str(tmp_path / "numbers.nii.gz")
    found = engine.predict({**prediction, "findings": numbers})["findings"]
    segmentation, instances = read_segmentation(prediction["out"]), read_segmentation(numbers)
    np.testing.assert_array_equal(instances.array > 0, segmentation.array > 0)
    assert [item["number"] for item in found["items"]] == list(range(1, instances.array.max() + 1))
    ct = read_ct(prediction["image"])
    for item in found["items"]:
        inside = instances.array == item["number"]
        assert item["volume_ml"] == pytest.approx(inside.sum() * ct.geometry.voxel_volume_ml)
        assert item["mean_hu"] == pytest.approx(ct.array[inside].mean())
        assert 0.5 <= item["confidence"] <= 1


def test_each_connected_part_is_a_finding_though_the_model_tells_structures_apart(engine, prediction, tmp_path):
    architecture = plain_unet([4, 8], convolutions=1)
    architecture["arguments"]["num_classes"] = 3
    card = ModelCard("two", "Untrained.", {"background": 0, "left": 1, "right": 2})
    plan = Plan(spacing_kji=(3, 2, 2), patch_size_kji=(16, 16, 16), lower=-160, upper=240, mean=40, std=80)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        write_full(tmp_path / "two", build(architecture), card, plan, architecture)
    numbers = str(tmp_path / "numbers.nii.gz")
    result = engine.predict({**prediction, "model": str(tmp_path / "two"), "findings": numbers})
    values, instances = read_segmentation(result["out"]).array, read_segmentation(numbers).array
    assert {1, 2} <= set(np.unique(values)), "without both structures this says nothing"
    assert any("2 structures apart (left, right)" in note for note in result["notes"])
    assert engine.describe(str(tmp_path / "two"))["notes"]
    for item in result["findings"]["items"]:
        inside = instances == item["number"]
        assert ndimage.label(inside, np.ones((3, 3, 3)))[1] == 1
        assert set(values[inside]) == {item["label"]}


def test_voxels_that_are_no_numbers_are_refused_though_they_never_were_in_a_file(engine, prediction, session):
    ct = read_ct(prediction["image"])
    array = ct.array.astype(np.float32)
    array[3, 4, 5] = np.nan
    with pytest.raises(InputError, match="1 voxels that are infinite or no numbers"):
        engine.predict({**prediction, "image": session.put(ct.with_array(array))})


def test_what_is_unlike_a_ct_is_noted_and_not_refused(engine, prediction, session):
    ct = read_ct(prediction["image"])
    picture = ct.with_array(((ct.array + 1000) / 8).clip(0, 255).astype(np.uint8))
    heard = []
    notes = engine.predict({**prediction, "image": session.put(picture)}, heard.append)["notes"]
    assert any("255" in note or "picture" in note for note in notes)
    assert [event["message"] for event in heard if event["event"] == "note"] == notes


def test_nnunets_other_orientation_is_noted_where_none_was_chosen(engine, prediction, two_folds, tmp_path, session):
    ct = read_ct(prediction["image"])
    turned = Geometry(ct.geometry.shape, ct.geometry.ijk_to_world * [[-1], [-1], [1], [1]])
    write_volume(Volume(ct.array, turned), tmp_path / "ras.nrrd")
    asked = {**prediction, "model": str(two_folds), "fold": 0, "image": str(tmp_path / "ras.nrrd")}
    (note,) = engine.predict(asked)["notes"]
    assert "stored in RAS order" in note
    assert engine.predict({**asked, "orientation": "as-stored"})["notes"] == []
    assert engine.predict({**asked, "image": session.put(Volume(ct.array, turned))})["notes"] == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": "missing.nii.gz"}, "missing.nii.gz"),
        ({"model": "missing"}, "missing does not exist"),
        ({"device": "tpu"}, "device must be one of"),
        ({"contrast": "high"}, "no field contrast"),
        ({"out": "nowhere/seg.nii.gz"}, "nowhere"),
        ({"out": "seg.png"}, "ending"),
    ],
)
def test_bad_input_to_predict_is_one_sentence_and_leaves_nothing(engine, prediction, tmp_path, change, sentence):
    relative = {k: str(tmp_path / v) if k in ("image", "out") else v for k, v in change.items()}
    with pytest.raises(InputError, match=sentence) as told:
        engine.predict({**prediction, **relative})
    assert "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_cuda_where_there_is_none_is_bad_input(engine, prediction, tiny_model):
    if any(device["name"] == "cuda" for device in engine.describe(str(tiny_model))["devices"]):
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="CUDA"):
        engine.predict({**prediction, "device": "cuda"})


def test_a_damaged_model_is_bad_input_and_the_engine_goes_on(engine, prediction, tiny_model, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "card.json").write_bytes((tiny_model / "card.json").read_bytes())
    (damaged / "weights.safetensors").write_bytes((tiny_model / "weights.safetensors").read_bytes()[:500])
    pid = engine.engine["pid"]
    with pytest.raises(InputError, match="damaged"):
        engine.describe(str(damaged))
    assert engine.describe(str(tiny_model)) and engine.engine["pid"] == pid


def test_finetune_tells_of_its_progress_and_writes_a_model(engine, finetuning, prediction, tmp_path):
    heard = []
    result = engine.finetune({**finetuning, "holdout": 1}, on_event=heard.append)
    assert result["stopped"] is False and result["steps"] == 8
    assert set(result["held_out"]) >= {"dice_before", "dice_after"}
    training = [event for event in heard if event.get("phase") == "train"]
    assert [event["step"] for event in training] == list(range(1, 9))
    assert all({"steps", "loss", "lr", "memory_mb", "seconds_left"} <= set(event) for event in training)
    before = tmp_path / "before.nii.gz"
    engine.predict({**prediction, "out": str(before), "probability": str(tmp_path / "p1.nii.gz")})
    engine.predict({**prediction, "model": result["model"], "probability": str(tmp_path / "p2.nii.gz")})
    changed = read_volume(tmp_path / "p1.nii.gz").array != read_volume(tmp_path / "p2.nii.gz").array
    assert changed.any()


def test_finetune_stopped_in_the_middle_is_kept_and_resumes_to_the_same_delta(engine, finetuning, tmp_path):
    """Though its model was moved meanwhile."""
    reached = threading.Event()
    shutil.copytree(finetuning["model"], tmp_path / "model")
    finetuning |= {"steps": 40, "model": str(tmp_path / "model")}

    def hear(event):
        if event.get("phase") == "train" and event["step"] == 5:
            engine.stop()
            reached.set()

    stopped = engine.finetune(finetuning, on_event=hear)
    assert reached.is_set() and stopped["stopped"] is True and 5 <= stopped["steps"] < 40
    steps = []
    moved = str((tmp_path / "model").rename(tmp_path / "moved"))
    resumed = engine.resume(
        finetuning["out"],
        on_event=lambda e: steps.append(e["step"]) if e.get("phase") == "train" else None,
        model=moved,
    )
    assert resumed["stopped"] is False and resumed["steps"] == 40
    assert steps[0] == stopped["steps"] + 1
    whole = {**finetuning, "out": str(tmp_path / "whole"), "model": moved}
    engine.finetune(whole)
    cards = [json.loads((tmp_path / run / "card.json").read_text()) for run in ("run", "whole")]
    assert cards[0]["card"]["fingerprint"] == cards[1]["card"]["fingerprint"]


def test_predict_stopped_writes_nothing(engine, prediction, tmp_path):
    job = engine.submit("predict", prediction, lambda event: engine.stop())
    assert job.result(60) == {"stopped": True}
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_never_begun_over_another_one(engine, finetuning, tmp_path):
    engine.finetune(finetuning)
    files = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(InputError, match="holds a run already"):
        engine.finetune(finetuning)
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == files


def test_resuming_where_there_is_no_run_is_bad_input(engine, finetuning, tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        engine.resume(finetuning["out"])
    assert list(tmp_path.iterdir()) == []


def test_a_model_written_over_the_opened_one_is_read_again(engine, tiny_model, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for path in tiny_model.iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    assert engine.describe(str(model))["card"]["name"] == "tiny"
    card = model / "card.json"
    card.write_text(card.read_text().replace('"name": "tiny"', '"name": "renamed"'))
    assert engine.describe(str(model))["card"]["name"] == "renamed"
