"""Backward passes that record themselves (``create_graph``): nothing of their graphs is kept from step to step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from DGSTSegmentLib.dgst import DGST, make_strategy


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Conv2d(4, 2, 1))


def backward(network: nn.Module) -> None:
    network(torch.ones(2, 1, 8, 8)).square().mean().backward(create_graph=True)


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph")
@pytest.mark.parametrize("in_backward", [False, True])
def test_an_optimizer_keeps_no_graph(in_backward):
    made = network()
    optimizer = DGST(made, update="adam", in_backward=in_backward)
    for _ in range(2):
        backward(made)
        optimizer.step()
        optimizer.zero_grad()
    tensors = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    assert tensors and not any(tensor.requires_grad for tensor in tensors)
    assert all(parameter.is_leaf for parameter in made.parameters())


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph")
def test_what_static_observes_keeps_no_graph():
    made = network()
    strategy = make_strategy("static", made, head=["2"])
    backward(made)
    graph = made[0].weight.grad.grad_fn
    assert graph is not None
    strategy.observe()
    assert not any(sums.requires_grad for sums in strategy.selector._sums.values())
