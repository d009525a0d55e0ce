"""Trainings that cannot go on as they were begun: begun anew with other settings, or ended with a sentence."""

from dataclasses import replace

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.architectures import build
from DGSTSegmentLib.networks.card import ModelCard
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.package import write_full
from DGSTSegmentLib.training.finetune import finetune, resume
from DGSTSegmentLib.training.memory import OutOfMemory
from DGSTSegmentLib.training.remedies import remedy_for
from DGSTSegmentLib.training.run import Run
from DGSTSegmentLib.training.run_files import read_record

from ..conftest import FULL_GPU
from .conftest import ARCHITECTURE, PLAN, StopAfter, assert_same_delta, run_in


def write_model(folder, first_weights):
    """The small model, with the weights of its first convolution multiplied; its norm cancels that in fp32."""
    torch.manual_seed(3)
    network = build(ARCHITECTURE)
    with torch.no_grad():
        next(network.parameters()).mul_(first_weights)
    write_full(folder, network, ModelCard("big", labels={"background": 0, "lymph node": 1}), PLAN, ARCHITECTURE)
    return str(folder)


@pytest.fixture
def beyond_fp16(tmp_path):
    """A model whose activations are larger than fp16 holds."""
    return write_model(tmp_path / "big", 1e7)


@pytest.fixture
def broken(tmp_path):
    """A model whose activations are no numbers."""
    return write_model(tmp_path / "broken", float("inf"))


@pytest.fixture
def room_for():
    """Lets networks in training hold so many patches at a time; more, and memory runs out as on a GPU."""
    room = {"patches": 99}

    def hold(module, inputs):
        if isinstance(module, PlainConvUNet) and module.training and len(inputs[0]) > room["patches"]:
            raise torch.OutOfMemoryError(FULL_GPU)

    watch = torch.nn.modules.module.register_module_forward_pre_hook(hold)
    yield lambda patches: room.update(patches=patches)
    watch.remove()


@pytest.mark.parametrize("strategy", ["dgst", "static", "random", "lora", "full"])
@pytest.mark.parametrize("steps", [3, 12])
def test_what_fp16_cannot_hold_is_trained_in_fp32_from_the_first_step(
    request_for, beyond_fp16, tmp_path, strategy, steps
):
    request = replace(request_for(strategy=strategy, precision="fp16", steps=steps), model=beyond_fp16)
    result = finetune(request)
    assert result.steps == steps and result.weights_changed > 0
    assert [note for note in result.notes if "never were finite in fp16" in note]
    assert Run.reopen(request.out).fixed.precision == "fp32"
    assert_same_delta(result, finetune(replace(request, precision="fp32", out=str(tmp_path / "fp32"))))


def test_a_run_that_went_over_to_fp32_is_gone_on_with_in_fp32(request_for, beyond_fp16, tmp_path):
    request = replace(request_for(precision="fp16", steps=14), model=beyond_fp16)
    whole = finetune(replace(request, out=str(tmp_path / "whole")))
    stop = StopAfter(12)
    assert finetune(request, on_event=stop.on_event, should_stop=stop.should_stop).steps == 2
    resumed = resume(request.out)
    assert not any("began anew" in note for note in resumed.notes)
    assert_same_delta(resumed, whole)


def test_a_run_that_was_stopped_at_a_standstill_goes_over_when_it_is_gone_on_with(request_for, beyond_fp16, tmp_path):
    request = replace(request_for(precision="fp16", steps=12), model=beyond_fp16)
    stop = StopAfter(4)
    stopped = finetune(request, on_event=stop.on_event, should_stop=stop.should_stop)
    assert stopped.stopped and "Steps skipped because their gradients were not finite: 4 of 4." in stopped.notes
    steps = []

    def hear(event):
        if event.get("phase") == "train":
            steps.append(event["step"])

    resumed = resume(request.out, on_event=hear)
    assert steps.index(10) < steps.index(1), "six more were tried in fp16"
    assert_same_delta(resumed, finetune(replace(request, precision="fp32", out=str(tmp_path / "fp32"))))


@pytest.mark.parametrize("strategy", ["dgst", "static", "full"])
def test_a_run_in_which_nothing_could_move_is_no_success(request_for, broken, tmp_path, strategy):
    request = replace(request_for(strategy=strategy, steps=3), model=broken)
    with pytest.raises(InputError, match=r"gradients of the first \d+ batches were not finite in fp32, so nothing was"):
        finetune(request)
    assert {path.name for path in (tmp_path / "run").iterdir()} <= {"request.json", "cache"}
    with pytest.raises(InputError, match="nothing was learned"):
        resume(request.out)


@pytest.mark.parametrize(("steps", "holdout", "taken"), [(40, 0, 20), (4, 0, 4), (1, 1, 1), (1, 0, 1)])
def test_a_training_that_diverges_ends_and_names_the_learning_rate(request_for, quiet_model, steps, holdout, taken):
    request, heard = request_for(strategy="full", lr=1e20, steps=steps, holdout=holdout), []
    with pytest.raises(InputError, match=r"^The training diverged at the learning rate 1e\+20, .+ one \(--lr\)\.$"):
        finetune(replace(request, model=str(quiet_model)), on_event=heard.append)
    assert max(event["step"] for event in heard if event.get("phase") == "train") <= taken


def test_how_many_steps_were_skipped_is_said(request_for):
    request = request_for(precision="fp16", steps=6)
    stop = StopAfter(2)
    finetune(request, on_event=stop.on_event, should_stop=stop.should_stop)
    run = Run.reopen(request.out)
    tensors, meta = run.load_checkpoint()
    run.save_checkpoint(tensors, {**meta, "scaler": {**meta["scaler"], "scale": 2.0**100}})
    assert "Steps skipped because their gradients were not finite: 4 of 6." in resume(request.out).notes


@pytest.mark.parametrize("strategy", ["dgst", "static", "full"])
def test_a_step_that_does_not_fit_is_made_of_one_patch_from_the_beginning(request_for, room_for, tmp_path, strategy):
    request = request_for(strategy=strategy, batch_size=3)
    alone = finetune(replace(request, batch_size=1, out=str(tmp_path / "alone")))
    room_for(2)
    stop = StopAfter(2)
    stopped = finetune(request, on_event=stop.on_event, should_stop=stop.should_stop)
    assert stopped.steps == 2
    assert [note for note in stopped.notes if "Memory ran out with 3 patches a step" in note]
    assert_same_delta(resume(request.out), alone)
    assert open_model(request.out).card.strategy["batch_size"] == 1


def test_a_run_that_begins_anew_still_says_from_when_its_cases_are(request_for, room_for):
    request = request_for(batch_size=3)
    room_for(2)
    before = []

    def hear(event):
        if event.get("phase") == "prepare":
            before.append(read_record(request.out))

    finetune(request, on_event=hear)
    after = read_record(request.out)
    assert (before[0].fixed.batch_size, after.fixed.batch_size) == (3, 1)
    assert before[0].begun == after.begun


def test_where_one_patch_does_not_fit_either_a_sentence_says_what_to_do(request_for, room_for):
    room_for(0)
    with pytest.raises(OutOfMemory, match="batch size 1 on the CPU; close other programs and go on") as told:
        finetune(request_for())
    assert "\n" not in str(told.value)


def test_once_there_is_a_checkpoint_batches_stay_as_they_are(request_for, room_for, tmp_path):
    request = request_for()
    whole = finetune(replace(request, out=str(tmp_path / "whole")))
    stop = StopAfter(2)
    finetune(request, on_event=stop.on_event, should_stop=stop.should_stop)
    room_for(1)
    with pytest.raises(
        OutOfMemory, match=r"go on with the run, or begin a new run with batch size 1 \(--batch-size 1\)"
    ):
        resume(request.out)
    room_for(2)
    assert_same_delta(resume(request.out), whole)


def test_on_a_gpu_the_cpu_is_named(request_for, tmp_path):
    run = run_in(tmp_path, request_for(), device="cuda", precision="bf16", batch_size=1)
    with pytest.raises(OutOfMemory, match="batch size 1 on the GPU.*or begin a new run on the device cpu"):
        remedy_for(torch.OutOfMemoryError(FULL_GPU), run)


def test_what_is_no_lack_of_memory_is_raised_as_it_is(request_for):
    def fail(module, inputs):
        if module.training and isinstance(module, torch.nn.Conv3d):  # of the network, not of an augmentation
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    watch = torch.nn.modules.module.register_module_forward_pre_hook(fail)
    try:
        with pytest.raises(RuntimeError, match="illegal memory access"):
            finetune(request_for())
    finally:
        watch.remove()
