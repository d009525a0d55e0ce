"""Learning rates follow the schedule, and gradients are clipped by one global norm, for everything that moves."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from DGSTSegmentLib.dgst import STRATEGIES, make_strategy

MAX_NORM = 0.25
LINEAR = {"update": "sgd", "always_on_rule": "sgd", "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}
"""Rules by which a step is the gradient times a learning rate."""


def network() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(6, 7), nn.LayerNorm(7), nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 2))


def backward(net: nn.Module, batch: int = 0) -> None:
    image = torch.randn(16, 6, generator=torch.Generator().manual_seed(batch))
    (100 * net(image).square().mean()).backward()


def made(name: str, net: nn.Module, **options):
    return make_strategy(name, net, head=["4"], decoder=["2"], lr=0.1, always_on_lr=0.2, **options)


def moved_by(name: str, factor: float) -> dict[str, torch.Tensor]:
    """How far each weight moves at the second step, with a first one at full speed before it."""
    net = network()
    strategy = made(name, net, **LINEAR)
    for batch in range(strategy.warm_up_batches):
        backward(net, batch)
        strategy.observe()
    backward(net, 7)
    strategy.step()
    before = {key: value.clone() for key, value in strategy.plain_state().items()}
    backward(net, 8)
    strategy.step(lr_factor=factor)
    return {key: value - before[key] for key, value in strategy.plain_state().items()}


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_follows_the_schedule(name):
    full, half, none = (moved_by(name, factor) for factor in (1.0, 0.5, 0.0))
    assert any(change.any() for change in full.values())
    assert not any(change.any() for change in none.values())
    if name != "lora":  # whose weights are products of what moves
        for key, change in full.items():
            torch.testing.assert_close(half[key], change / 2, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["full", "bias", "norm", "head", "decoder"])
def test_dense_strategies_clip_what_they_move_by_its_global_norm(name):
    net = network()
    strategy = made(name, net, **LINEAR, max_norm=MAX_NORM)
    backward(net)
    gradients = {key: p.grad.clone() for key, p in net.named_parameters() if p.grad is not None}
    before = {key: p.detach().clone() for key, p in net.named_parameters()}
    strategy.step()
    changed = {key: before[key] - p.detach() for key, p in net.named_parameters() if not torch.equal(before[key], p)}
    norm = math.sqrt(sum(float(gradients[key].square().sum()) for key in changed))
    assert norm > 10 * MAX_NORM
    for key, change in changed.items():
        torch.testing.assert_close(change, 0.1 * gradients[key] * MAX_NORM / norm, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("update", ["sgd", "adam"])
def test_dgst_clips_what_is_always_on_and_adams_direction_not(update):
    changes = {}
    for max_norm in (None, MAX_NORM):
        net = network()
        strategy = made("dgst", net, **{**LINEAR, "update": update}, gamma=2, max_norm=max_norm)
        backward(net)
        if max_norm is None:
            norm = math.sqrt(sum(float(p.grad.square().sum()) for p in net.parameters() if p.grad is not None))
        before = {key: p.detach().clone() for key, p in net.named_parameters()}
        strategy.step()
        changes[max_norm] = {key: before[key] - p.detach() for key, p in net.named_parameters()}
    assert norm > 10 * MAX_NORM
    for key, change in changes[MAX_NORM].items():
        selected = key in ("0.weight", "2.weight")
        factor = 1.0 if selected and update == "adam" else MAX_NORM / norm
        torch.testing.assert_close(change, changes[None][key] * factor, rtol=1e-3, atol=1e-6)
        assert change.any() or key == "0.bias"  # which the norm cancels
