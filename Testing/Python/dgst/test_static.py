"""static: the entries with the largest gradients over some batches before training, then always the same."""

from __future__ import annotations

import pytest
import torch

from DGSTSegmentLib.dgst import make_strategy

from .conftest import GAMMA, backward, largest_by_stable_order, snapshot


def test_static_keeps_moving_the_entries_with_the_largest_summed_gradients(unet):
    network = unet.fresh()
    strategy = make_strategy("static", network, head=unet.head, gamma=GAMMA)
    sums = {key: torch.zeros_like(p) for key, p in network.named_parameters()}
    for batch in range(5):
        assert strategy.warm_up_batches == 5 - batch
        backward(unet, network, [batch])
        for key, parameter in network.named_parameters():
            if parameter.grad is not None:
                sums[key] += parameter.grad.abs()
        strategy.observe()
    assert all(torch.equal(now, snapshot(unet.original)[key]) for key, now in snapshot(network).items())
    for step in range(3):
        backward(unet, network, [100 + step])
        strategy.step()
    for key, before in unet.original.named_parameters():
        if unet.kind_of(key) == "row":
            moved = unet.rows(key, network.get_parameter(key)) != unet.rows(key, before)
            assert torch.equal(moved, largest_by_stable_order(unet.rows(key, sums[key]))), key


@pytest.mark.parametrize("broken", [[0], [2, 3], [0, 1, 2, 3, 4, 5, 6]])
@pytest.mark.parametrize("where", ["encoder.stages.0.0.convs.0.conv.weight", "decoder.seg_layers.1.weight"])
def test_a_batch_whose_gradients_are_not_finite_does_not_count_as_observed(unet, broken, where):
    networks = [unet.fresh(), unet.fresh()]
    strategies = [make_strategy("static", network, head=unet.head, gamma=GAMMA) for network in networks]
    for batch in range(5 + len(broken)):
        left = strategies[0].warm_up_batches
        for network, strategy in zip(networks, strategies, strict=True):
            if strategy is strategies[1] and batch in broken:
                continue
            backward(unet, network, [batch])
            if batch in broken:
                network.get_parameter(where).grad.fill_(float("nan"))
            strategy.observe()
        assert strategies[0].warm_up_batches == left - (batch not in broken)
        assert all(parameter.grad is None for parameter in networks[0].parameters())
    chosen, expected = (strategy.selector.columns for strategy in strategies)
    assert chosen and chosen.keys() == expected.keys()
    assert all(torch.equal(chosen[name], expected[name]) for name in chosen)


def test_static_refuses_to_step_before_it_has_observed(unet):
    network = unet.fresh()
    strategy = make_strategy("static", network, head=unet.head)
    backward(unet, network, [0])
    with pytest.raises(RuntimeError, match="5 more batches"):
        strategy.step()
