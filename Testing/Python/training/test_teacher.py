"""The foundation model is asked of patches while another copy of it learns."""

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.training.finetune import finetune, resume
from DGSTSegmentLib.training.teacher import Teacher

from .conftest import StopAfter, assert_same_delta


def test_a_probability_is_what_the_network_says_at_the_highest_resolution(model_folder):
    network = open_model(model_folder).network()
    image = torch.randn(2, 1, 16, 24, 24, generator=torch.Generator().manual_seed(0))
    probability = Teacher(network, torch.device("cpu"), "fp32").probability(image)
    with torch.no_grad():
        scores = network(image)
    scores = scores if isinstance(scores, torch.Tensor) else scores[0]
    assert probability.shape == image.shape and not probability.requires_grad
    torch.testing.assert_close(probability[:, 0], torch.sigmoid(scores[:, 1] - scores[:, 0]))


def test_values_that_fp16_cannot_hold_are_computed_in_fp32():
    network = nn.Conv3d(1, 2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([3e4, 6e4]).reshape(2, 1, 1, 1, 1))
        network.bias.zero_()
    image = torch.full((1, 1, 2, 2, 2), 4.0)
    probability = Teacher(network, torch.device("cpu"), "fp16").probability(image)
    assert (probability == 1).all()


@pytest.mark.parametrize("strategy", ["dgst", "full", "lora"])
def test_the_network_agrees_with_the_foundation_model_until_it_learns(request_for, open_cases, strategy):
    heard = []
    finetune(request_for(cases=open_cases, strategy=strategy, steps=6), on_event=heard.append)
    told = [event["loss_distillation"] for event in heard if event.get("phase") == "train"]
    assert told[0] == pytest.approx(0, abs=1e-7) and max(told[1:]) > 1e-6


def test_a_run_with_unknown_voxels_resumes_to_the_very_delta_of_an_uninterrupted_one(request_for, open_cases, tmp_path):
    whole = finetune(request_for(cases=open_cases, steps=5, out=str(tmp_path / "whole")))
    stop = StopAfter(2)
    request = request_for(cases=open_cases, steps=5)
    assert finetune(request, on_event=stop.on_event, should_stop=stop.should_stop).stopped
    assert_same_delta(whole, resume(request.out))


@pytest.fixture
def passes():
    """Whether each pass through a network was one of training, in order."""
    noted = []

    def note(module, inputs):
        if isinstance(module, PlainConvUNet):
            noted.append(module.training)

    watch = torch.nn.modules.module.register_module_forward_pre_hook(note)
    yield noted
    watch.remove()


def test_it_is_asked_before_the_network_in_training_keeps_its_activations(request_for, open_cases, passes):
    finetune(request_for(cases=open_cases, steps=2))
    assert passes[: 2 * 2] == [False, True] * 2, "then the new model is tried out"
    assert not any(passes[2 * 2 :])


@pytest.mark.parametrize("asked", [False, True])
def test_during_training_it_stays_on_the_device_only_where_it_is_asked(
    request_for, study, open_cases, monkeypatch, asked
):
    moves = []
    for name in ("to", "cpu"):
        plain = getattr(nn.Module, name)
        monkeypatch.setattr(nn.Module, name, lambda m, *a, n=name, p=plain: (moves.append((id(m), n)), p(m, *a))[1])
    before_training = []

    def hear(event):
        if event.get("phase") == "train" and not before_training:
            before_training.extend(moves)

    cases = [*(open_cases if asked else study[:2]), study[2]]
    finetune(request_for(cases=cases, holdout=1, steps=1), on_event=hear)
    measured = before_training[0][0]
    assert [name for module, name in before_training if module == measured] == ["to", "cpu", *(["to"] * asked)]
