"""Cheats that move no weight which they may not move: what answers beside the weights, and steps that are many."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from quality.guard import Refused
from quality.tune import Computing, prepared_case, tune
from torch.nn.modules.module import register_module_forward_hook

from DGSTSegmentLib.dgst.strategies import make_strategy
from DGSTSegmentLib.networks.architectures import outputs
from DGSTSegmentLib.networks.foundation import open_model

STEPS = 2


@pytest.fixture
def tuned(tiny_model, ball_scan, tmp_path, entrant):
    """Fine-tunes the tiny model on the scan by a strategy of this law, made so; returns the network to be measured."""
    model = open_model(tiny_model)
    cases = [prepared_case(ball_scan, "all", 1, model.plan, tmp_path)]
    given = (model, cases, Computing("cpu", "fp32", 1))

    def fine_tune(law, make):
        made = tune(entrant(law, make=make), {"lr": 0.01}, *given, steps=STEPS, batch_size=1, seed=0)
        return made.network

    return fine_tune


def finishing(change):
    """Makes strategies that call ``change(network)`` once they have finished."""

    def make(*arguments, **options):
        strategy = make_strategy(*arguments, **options)
        honest = strategy.finish

        def finish():
            honest()
            change(strategy.network)

        strategy.finish = finish
        return strategy

    return make


def stepping(step):
    """Makes strategies whose step is ``step(strategy, honest step)``."""

    def make(*arguments, **options):
        strategy = make_strategy(*arguments, **options)
        honest = strategy.step
        strategy.step = lambda **how: step(strategy, partial(honest, **how))
        return strategy

    return make


def first_convolution(network):
    return next(module for module in network.modules() if isinstance(module, torch.nn.Conv3d))


def negated(module, inputs, output):
    return -output


def hook_the_output(network):
    network.register_forward_hook(negated)


def hook_the_input_of_a_layer(network):
    first_convolution(network).register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],))


def replace_a_forward(network):
    layer = first_convolution(network)
    honest = layer.forward
    layer.forward = lambda inputs: 2 * honest(inputs)


def replace_a_class(network):
    layer = first_convolution(network)
    layer.__class__ = type("Other", (type(layer),), {"forward": lambda self, inputs: inputs})


def replace_what_is_saved(network):
    network.state_dict = dict


@pytest.mark.parametrize("law", ["full", "lora"])
@pytest.mark.parametrize(
    ("change", "where"),
    [
        (hook_the_output, "the whole network"),
        (hook_the_input_of_a_layer, "encoder"),
        (replace_a_forward, "encoder"),
        (replace_a_class, "encoder"),
        (replace_what_is_saved, "the whole network"),
    ],
)
def test_a_hook_or_method_that_a_strategy_leaves_is_refused(tuned, law, change, where):
    with pytest.raises(Refused, match=f"{law} left a hook or a method of its own on {where}"):
        tuned(law, finishing(change))


def test_a_hook_on_every_module_that_a_strategy_leaves_is_refused(tuned):
    hooks = []
    make = finishing(lambda network: hooks.append(register_module_forward_hook(negated)))
    try:
        with pytest.raises(Refused, match="left a hook or a method of its own on every module"):
            tuned("full", make)
    finally:
        for hook in hooks:
            hook.remove()


def test_a_buffer_that_a_strategy_adds_is_refused(tuned):
    with pytest.raises(Refused, match="full left a network of another structure"):
        tuned("full", finishing(lambda network: network.register_buffer("answers", torch.ones(3))))


def test_what_a_strategy_sets_beside_the_weights_is_not_measured(tuned):
    finished = []

    def flatten(network):
        finished.append(network)
        for module in network.modules():
            if isinstance(module, torch.nn.InstanceNorm3d):
                module.eps = 100.0

    honest, other = (answer(tuned("full", make)) for make in (make_strategy, finishing(flatten)))
    assert torch.equal(other, honest)
    assert not torch.equal(answer(finished[0]), honest), "what was set has an effect"


@torch.no_grad()
def answer(network):
    scan = torch.randn(1, 1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    return outputs(network(scan))[0]


def test_a_network_that_is_saved_with_other_weights_than_it_was_trained_to_is_refused(tuned, monkeypatch):
    def forge(network):
        honest = torch.nn.Module.state_dict

        def forged(module, *given, **options):
            state = honest(module, *given, **options)
            return {name: value + 1 for name, value in state.items()} if module is network else state

        monkeypatch.setattr(torch.nn.Module, "state_dict", forged)

    with pytest.raises(Refused, match="full is saved with other weights of encoder"):
        tuned("full", finishing(forge))


def ten_times_by_the_same_gradients(strategy, honest):
    gradients = {p: p.grad for p in strategy.network.parameters() if p.grad is not None}
    for _ in range(10):
        for parameter, gradient in gradients.items():
            parameter.grad = gradient.clone()
        report = honest()
    return report


def on_by_hand(strategy, honest):
    gradients = {p: p.grad.clone() for p in strategy.network.parameters() if p.grad is not None}
    report = honest()
    with torch.no_grad():
        for _ in range(9):
            for parameter, gradient in gradients.items():
                parameter.sub_(gradient, alpha=1e-3)
    return report


def on_by_nine_optimizers(strategy, honest):
    gradients = {p: p.grad.clone() for p in strategy.network.parameters() if p.grad is not None}
    report = honest()
    for _ in range(9):
        for parameter, gradient in gradients.items():
            parameter.grad = gradient.clone()
        torch.optim.SGD(gradients, lr=1e-3, fused=True).step()
    return report


def by_gradients_of_its_own(strategy, honest):
    outputs(strategy.network(torch.ones(1, 1, 8, 16, 16)))[0].square().mean().backward()
    return honest()


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (ten_times_by_the_same_gradients, "full made 10 updates at step 1, where every strategy makes one"),
        (on_by_hand, "full wrote to .* times at step 1, which is more than one update"),
        (on_by_nine_optimizers, "full wrote to .* 10 times at step 1, which is more than one update"),
        (by_gradients_of_its_own, "full computed gradients of its own at step 1"),
    ],
)
def test_a_step_that_is_more_than_one_update_by_the_batchs_gradients_is_refused(tuned, step, reason):
    with pytest.raises(Refused, match=reason):
        tuned("full", stepping(step))


@pytest.mark.parametrize("law", ["dgst", "lora"])
def test_ten_updates_in_a_step_are_refused_whatever_the_law(tuned, law):
    with pytest.raises(Refused, match=f"{law} made 10 updates at step 1"):
        tuned(law, stepping(ten_times_by_the_same_gradients))


@pytest.mark.parametrize("how", [{"foreach": True}, {"foreach": False}, {"fused": True}])
def test_one_update_by_any_of_torchs_ways_to_compute_adamw_is_one(tuned, how):
    def step(strategy, honest):
        (group,) = strategy.optimizer.param_groups
        group.update({"foreach": None, "fused": None, **how})
        return honest()

    tuned("full", stepping(step))
