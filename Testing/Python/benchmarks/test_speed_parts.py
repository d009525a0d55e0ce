"""What the parts that compare with nnU-Net and MONAI hand to them, and how they judge what comes back."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from speed import finetuning, first_step, peers, prediction, scans
from speed.companion import Companion
from speed.nnunet_layout import write_raw, write_results
from speed.part import Context
from speed.usage import run_whole

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import read_volume, write_volume
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.nnunet_own_plans import plans_of
from DGSTSegmentLib.networks.nnunet_plans import plan_of
from DGSTSegmentLib.training.overlap import dice
from DGSTSegmentLib.training.predict import predict

WORK = Path(__file__).resolve().parents[3] / "build" / "speed-work"
SETTING = {"device": "cpu", "network": "small", "scan": "a scan"}


@pytest.fixture
def context(tmp_path):
    return Context("cpu", 1, "fp32", 1, True, tmp_path / "out", tmp_path / "work", lambda line: None)


def test_a_results_folder_holds_the_same_model(tiny_model, tmp_path):
    model = open_model(tiny_model)
    opened = open_model(write_results(tmp_path / "results", model), fold=0)
    assert opened.plan == model.plan and opened.card.patch_size_kji == model.card.patch_size_kji
    image = torch.randn(1, 1, *model.plan.patch_size_kji)
    with torch.inference_mode():
        ours, theirs = model.network()(image), opened.network()(image)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_raw_data_set_holds_ct_and_mask_and_says_so(tmp_path, ball_scan):
    ct, nodes = ball_scan.read()
    raw = write_raw(tmp_path, "Dataset900_Test", {"background": 0, "lymph node": 1}, [(ct, nodes)])
    description = json.loads((raw / "dataset.json").read_text())
    assert description["numTraining"] == 1 and description["labels"] == {"background": 0, "lymph node": 1}
    assert np.array_equal(read_volume(raw / "imagesTr" / "scan0_0000.nii.gz").array, ct.array)
    assert np.array_equal(read_volume(raw / "labelsTr" / "scan0.nii.gz").array, nodes.array)
    assert plan_of(plans_of("D", *_plan_and_network(), 2), description, "3d_fullres").spacing_kji == (2.0, 1.5, 1.5)


def _plan_and_network():
    starter = open_model("starter")
    return starter.plan, starter.architecture


def test_air_is_laid_around_a_scan_that_stays_where_it_was():
    geometry = Geometry.from_parts((4, 6, 8), (0.8, 0.9, 2.5), (-10.0, 5.0, 3.0))
    scan = Volume(np.arange(192, dtype=np.int16).reshape(4, 6, 8), geometry)
    wide = scans.in_air(scan, (6, 12, 20))
    index = np.rint(wide.geometry.to_index(geometry.to_world(np.argwhere(scan.array >= 0)))).astype(int)
    assert wide.array.shape == (6, 12, 20) and np.array_equal(wide.array[tuple(index.T)], scan.array.ravel())
    around = np.ones(wide.array.shape, bool)
    around[tuple(index.T)] = False
    assert (wide.array[around] < -900).all() and wide.array[around].std() > 1


def test_masks_are_compared_voxel_by_voxel_and_only_on_the_same_grid(tmp_path):
    geometry = Geometry.from_parts((2, 4, 4), (1.0, 1.0, 2.0))
    mask = np.zeros((2, 4, 4), np.uint8)
    mask[0] = 1
    paths = {name: tmp_path / f"{n}.nii.gz" for n, name in enumerate((prediction.OURS, "half", "shifted"))}
    write_volume(Volume(mask, geometry), paths[prediction.OURS])
    half = mask.copy()
    half[0, :2] = 0
    write_volume(Volume(half, geometry), paths["half"])
    (found,) = prediction.agreement_rows({name: paths[name] for name in (prediction.OURS, "half")}, SETTING)
    assert found["values"] == [pytest.approx(2 * 8 / 24)] and found["against"] == "half"
    write_volume(Volume(mask, Geometry.from_parts((2, 4, 4), (1.0, 1.0, 2.5))), paths["shifted"])
    with pytest.raises(ValueError, match="another grid"):
        list(prediction.agreement_rows(paths, SETTING))


def _prediction_rows(ours, nnunet, command):
    values = {prediction.OURS: ours, prediction.NNUNET: nnunet, prediction.NNUNET_COMMAND: command}
    for way in (prediction.CALL, prediction.COMMAND):
        yield from prediction.time_rows(values, {**SETTING, "way": way})


def test_prediction_is_judged_against_nnunets_faster_way():
    rows = list(_prediction_rows([4.0, 5.0, 6.0], [10.0, 10.0, 10.0], [40.0, 40.0, 40.0]))
    by_title = {goal.title: goal for goal in prediction.goals(rows)}
    goal = by_title["Time against nnU-Net, whole command, a scan"]
    assert goal.measured.median == pytest.approx(0.5) and goal.met
    slower = {g.title: g for g in prediction.goals(list(_prediction_rows([6.0], [10.0], [5.0])))}
    assert slower["Time against nnU-Net, whole command, a scan"].measured.median == pytest.approx(1.2)
    assert by_title["Peak memory against nnU-Net, a scan"].met is None


def test_a_training_step_is_judged_against_nnunets_faster_way_in_its_own_precision():
    names = [finetuning.nnunet_name(0), finetuning.nnunet_name(2)]
    seconds = {finetuning.OURS: [1.0, 1.0], names[0]: [2.0, 2.0], names[1]: [1.6, 1.6]}
    seconds[f"{names[0]}, bf16 autocast"] = [0.5, 0.5]
    rows = list(finetuning.rows_of(seconds, SETTING))
    (goal,) = finetuning.goals(rows)
    assert goal.measured.median == pytest.approx(1.6) and goal.met
    speeds = {one["subject"]: one["values"] for one in rows if one["quantity"] == "steps/s"}
    assert speeds[finetuning.OURS][0] == pytest.approx(2 * speeds[names[0]][0])
    assert finetuning.goals([])[0].met is None
    on_gpu = [{**one, "setting": {**SETTING, "device": "cuda"}} for one in rows]
    assert finetuning.goals(on_gpu)[0].met is None


def test_a_run_never_begins_in_a_folder_that_is_in_use(tmp_path):
    first = finetuning.new_folder(tmp_path / "run")
    first.mkdir()
    assert finetuning.new_folder(tmp_path / "run") not in (first, tmp_path / "run")


def test_the_first_step_is_waited_for_in_what_the_command_prints(context):
    pairs = scans.written(scans.phantoms(1), context.work)
    command = first_step.command_of(context, pairs, "marked", context.work / "run")
    assert command[command.index("--completeness") + 1] == "marked" and str(pairs[0][1]) in command
    met, open_ = first_step.goals(
        [{"part": "first_step", "subject": first_step.SUBJECT, "against": None, "quantity": "seconds", "values": [9.0],
          "setting": {"completeness": "all", "device": "cpu"}}]
    )  # fmt: skip
    assert met.met and open_.met is None


def test_our_training_side_goes_as_many_steps_as_it_is_asked_for(tiny_model, tiny_study, tmp_path):
    out, request = tmp_path / "run", tmp_path / "request.json"
    cases = [{"image": str(image), "annotation": str(nodes), "completeness": "all"} for image, nodes in tiny_study]
    fields = {"model": str(tiny_model), "cases": cases, "out": str(out), "steps": 5, "holdout": 0, "device": "cpu"}
    request.write_text(json.dumps({**fields, "threads": 1, "precision": "fp32"}))
    side = Companion([sys.executable, finetuning.SIDES / "our_training.py", request], os.environ, tmp_path / "log.txt")
    try:
        assert np.isfinite(side.ask("steps", count=3))
        assert not (out / "result.json").exists()
        with pytest.raises(InputError):  # the fifth step is the last one: the run ends
            side.ask("steps", count=3)
    finally:
        side.close()
    assert json.loads((out / "result.json").read_text())["steps"] == 5


def test_our_prediction_side_leaves_the_mask_that_the_engine_leaves(tiny_model, tiny_study, tmp_path):
    side = Companion(
        [sys.executable, prediction.SIDES / "our_prediction.py", tiny_model, "cpu", "fp32"],
        os.environ,
        tmp_path / "log",
    )
    try:
        left = side.ask("predict", image=str(tiny_study[0][0]), out=str(tmp_path / "mask.nii.gz"))
    finally:
        side.close()
    assert read_volume(left).geometry.same_grid(read_volume(tiny_study[0][0]).geometry)


def test_nnunet_predicts_what_we_predict(tiny_model, tiny_study, tmp_path):
    python = peers.python_of(peers.NNUNET, WORK)
    if python is None:
        pytest.skip(f"nnU-Net is not installed in {WORK}; python3 run.py bench speed does that")
    model = open_model(write_results(tmp_path / "results", open_model(tiny_model)), fold=0)
    out, environment = tmp_path / "mask.nii.gz", peers.threads_environment(1, "cpu")
    command = [python, prediction.SIDES / "nnunet_prediction.py", model.location, "cpu", tiny_study[0][0], out]
    run_whole(command, environment, tmp_path / "log.txt")
    image, theirs = read_volume(tiny_study[0][0]), read_volume(out)
    ours = predict(model, image, device="cpu", precision="fp32").segmentation
    assert ours.array.any() and theirs.geometry.same_grid(image.geometry, 1e-3)
    assert dice(ours.array > 0, theirs.array > 0) > 0.99
