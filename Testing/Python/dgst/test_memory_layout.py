"""Weights stored channels last: a resumed run and a gradient stored otherwise give the step that they should."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from DGSTSegmentLib.dgst import DGST, make_strategy


def network(channels_last: bool) -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 3))
    return made.to(memory_format=torch.channels_last) if channels_last else made


def train(strategy, steps: range) -> None:
    for step in steps:
        image = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        strategy.network(image).square().mean().backward()
        strategy.step()


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_resumed_run_on_weights_stored_channels_last_ends_with_the_identical_bits(optimizer):
    straight = make_strategy("full", network(True), head=["2"], optimizer=optimizer)
    train(straight, range(4))
    interrupted = make_strategy("full", network(True), head=["2"], optimizer=optimizer)
    train(interrupted, range(2))
    resumed = make_strategy("full", network(True), head=["2"], optimizer=optimizer)
    resumed.network.load_state_dict(interrupted.network.state_dict())
    resumed.load_state(*interrupted.state())
    train(resumed, range(2, 4))
    assert same(straight.network, resumed.network)


def step_of_the_head(optimizer: DGST, network: nn.Module, step: int) -> None:
    gradient = torch.randn(2, 6, 3, 3, generator=torch.Generator().manual_seed(step))
    network[2].weight.grad = torch.empty_like(network[2].weight).copy_(gradient)
    optimizer.step()


@pytest.mark.parametrize("rule", ["adamw", "sgd"])
@pytest.mark.parametrize("channels_last", [True, False])
def test_a_state_saved_from_weights_in_another_order_is_gone_on_from(channels_last, rule):
    straight, other = network(channels_last), network(not channels_last)
    optimizer = DGST(straight, head=["2"], always_on_rule=rule)
    for step in range(3):
        step_of_the_head(optimizer, straight, step)
    other.load_state_dict(straight.state_dict())
    resumed = DGST(other, head=["2"], always_on_rule=rule)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for made, own in ((straight, optimizer), (other, resumed)):
        step_of_the_head(own, made, 3)
    torch.testing.assert_close(other[2].weight, straight[2].weight, rtol=0, atol=1e-6)


def step_with(gradient: Tensor, channels_last: bool, name: str) -> nn.Module:
    strategy = make_strategy(name, network(channels_last), head=["2"], optimizer="sgd", always_on_rule="sgd")
    strategy.network[2].weight.grad = gradient
    strategy.step()
    return strategy.network


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", ["full", "dgst"])
def test_a_gradient_stored_in_another_order_than_its_weight_gives_the_same_step(name, channels_last):
    gradient = torch.randn(2, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    otherwise = gradient.contiguous() if channels_last else gradient.contiguous(memory_format=torch.channels_last)
    assert same(step_with(otherwise, channels_last, name), step_with(gradient.clone(), False, name))
