"""What is timed is what it is called: the reference selects what DGST selects, each contestant really steps."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from speed import memory_child, step_memory, steps
from speed.networks import Subject, residual_unet
from speed.part import Context
from speed.reference_selection import comparable_layers, identity_bytes, reference_mask
from speed.training_step import DEFAULT_DGST, TORCH_OPTIMIZERS, DefaultDGSTStep, DGSTStep, TorchStep, Training

from DGSTSegmentLib.dgst import top_entries
from DGSTSegmentLib.dgst.registry import DEFAULT_RULE, RULES
from DGSTSegmentLib.networks.architectures import head_modules, plain_unet

TINY = Subject("tiny", plain_unet([4, 6], convolutions=1), patch=8, batch_size=1)
CPU = torch.device("cpu")


@pytest.fixture
def training():
    torch.set_num_threads(1)
    made = Training(TINY, CPU, "fp32")
    made.forward_backward()
    return made


@pytest.fixture
def context(tmp_path):
    return Context("cpu", 1, "fp32", 2, True, tmp_path, tmp_path / "work", lambda line: None)


@pytest.mark.parametrize("gamma", [1, 2, 8])
def test_the_reference_selects_what_dgst_selects(gamma):
    gradient = torch.randn(5, 3, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(5, 81).scatter_(1, top_entries(gradient.flatten(1), gamma), 1.0)
    assert torch.equal(reference_mask(gradient, gamma), expected.view_as(gradient))


def test_layers_whose_identity_is_too_large_are_left_out_and_named(training):
    layers, left_out = comparable_layers(training.network, limit_bytes=4 * 27**2)
    assert layers and left_out
    assert max(map(identity_bytes, layers)) <= 4 * 27**2 < min(map(identity_bytes, left_out))
    everything, nothing = comparable_layers(training.network)
    assert len(everything) == len(layers) + len(left_out) and not nothing
    assert not any("seg_layers" in member.name for member in everything)


@pytest.mark.parametrize("name", TORCH_OPTIMIZERS)
def test_torchs_optimizers_clip_and_move_every_weight_that_has_a_gradient(training, name):
    before = {p: p.detach().clone() for p in training.parameters}
    for parameter in training.parameters:
        if parameter.grad is not None:
            parameter.grad.fill_(100.0)
    TorchStep(training.parameters, name)()
    moved = [p for p in training.parameters if p.grad is not None]
    assert all((p != before[p]).any() for p in moved if p.numel() > 1)
    assert torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in moved])) <= 12.001


def test_the_dgst_step_moves_gamma_weights_of_a_row_from_the_gradients_put_in_place():
    training = Training(TINY, CPU, "fp32")
    step = DGSTStep(training.network, gamma=2)
    training.forward_backward()
    saved = training.gradients()
    step()
    training.clear_gradients()
    training.put_gradients(step.moved, saved)
    member = step.optimizer.rows[0]
    before = member.parameter.detach().clone()
    assert torch.equal(member.parameter.grad, saved[member.parameter])
    assert member.parameter.grad is not saved[member.parameter]
    step()
    assert (member.layout.to_rows(member.parameter != before).sum(1) == 2).all()


def test_the_default_step_moves_what_finetune_moves():
    training = Training(Subject("tiny", plain_unet([4, 6, 8], convolutions=1), patch=16, batch_size=1), CPU, "fp32")
    step = DefaultDGSTStep(training.network)
    names = {parameter: name for name, parameter in training.network.named_parameters()}
    rule = RULES[DEFAULT_RULE]
    assert {(group["update"], group["gamma"]) for group in step.optimizer.param_groups[:1]} == {(rule.name, rule.gamma)}
    in_stages = [names[member.parameter].split(".stages.")[1][0] for member in step.optimizer.rows]
    assert set(in_stages) == {"0", "1"}
    training.forward_backward()
    assert {member.parameter for member in step.optimizer.rows} <= set(training.gradients())
    assert not any("stages.2" in names[p] and p.dim() > 1 for p in training.gradients())


def test_gradients_that_are_not_finite_are_never_timed(training):
    step = DGSTStep(training.network, gamma=1)
    training.parameters[0].grad.fill_(float("nan"))
    with pytest.raises(RuntimeError, match="not finite"):
        step()


def test_the_part_measures_every_contestant_on_every_network_and_judges_by_its_rows(context, monkeypatch):
    monkeypatch.setattr(steps, "subjects", lambda context: [TINY])
    rows = list(steps.measure(context))
    absolute = [one["subject"] for one in rows if one["against"] is None and "selection" not in one["subject"]]
    ours = ["DGST gamma 1", "DGST gamma 2", "DGST gamma 8", DEFAULT_DGST]
    assert sorted(absolute) == sorted([steps.PASSES, steps.DEFAULT_PASSES, *ours, *TORCH_OPTIMIZERS])
    assert all(len(one["values"]) == 2 for one in rows)
    seconds = {one["subject"]: one["values"] for one in rows if one["quantity"] == "seconds"}
    by_adamw, by_passes, default_by_adamw, default_by_passes, by_reference = steps.goals(rows)
    for goal, name in ((by_adamw, "DGST gamma 2"), (default_by_adamw, DEFAULT_DGST)):
        expected = sorted(a / b for a, b in zip(seconds[name], seconds["AdamW fused"], strict=True))
        assert (goal.measured.low, goal.measured.high) == pytest.approx(tuple(expected))
    assert (by_adamw.limit, by_passes.limit, by_reference.limit) == (1.0, 0.01, 100.0)
    assert [goal.at_most for goal in (by_adamw, by_passes, by_reference)] == [True, True, False]


def test_a_goal_without_its_rows_is_not_measured(context):
    assert [goal.measured for goal in steps.goals([{**_seconds_row(), "subject": "SGD"}])] == [None] * 5


def _seconds_row():
    return {"quantity": "seconds", "against": None, "setting": {"network": "A"}, "values": [1.0]}


def test_peak_memory_counts_what_is_held_for_a_moment():
    def hold() -> None:
        torch.ones(64 * 2**20, dtype=torch.uint8)

    assert 60 <= memory_child.highest_on_cpu(hold) <= 80


def test_memory_is_measured_in_processes_of_their_own_and_compared_by_round(context, monkeypatch):
    monkeypatch.setattr(step_memory, "CONTESTANTS", ("DGST in backward",))
    peaks = step_memory._peaks(context, TINY, rounds=1)
    assert list(peaks) == ["DGST in backward"] and peaks["DGST in backward"][0] > 0


@pytest.mark.parametrize("contestant", step_memory.CONTESTANTS)
def test_every_contestant_of_the_memory_measurement_trains(contestant):
    task = {"subject": asdict(TINY), "device": "cpu", "precision": "fp32", "threads": 1, "contestant": contestant}
    assert memory_child.peak_of(task) >= 0


def test_a_process_that_fails_is_no_measurement(context):
    impossible = Subject("tiny", {"class": "PlainConvUNet", "arguments": {}}, patch=8)
    with pytest.raises(RuntimeError, match="Measuring the memory of SGD on tiny failed"):
        step_memory._peak_in_a_process(context, impossible, "SGD")


def test_a_residual_network_has_its_blocks():
    network = Subject("r", residual_unet([4, 6], [1, 3]), patch=8).build(CPU)
    assert [len(stage.blocks) for stage in network.encoder.stages] == [1, 3]
    assert head_modules(network) == ["decoder.seg_layers"]
