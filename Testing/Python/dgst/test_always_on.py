"""Norms, biases and head beside the selected weights: torch's own optimizer moves them, at their own learning rate."""

from __future__ import annotations

import pytest
import torch

from DGSTSegmentLib.dgst import make_strategy

from .conftest import backward


def torchs_own(rule: str, parameters: list, lr: float) -> torch.optim.Optimizer:
    """AdamW, or the reference's Nesterov momentum, as the paper's page of facts has it."""
    if rule == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=3e-5)
    return torch.optim.SGD(parameters, lr=lr, momentum=0.99, nesterov=True, weight_decay=3e-5)


@pytest.mark.parametrize("given", [None, 7e-3])
@pytest.mark.parametrize(("update", "rule", "usual_lr"), [("adam", "adamw", 5e-4), ("sgd", "sgd", 1e-3)])
@pytest.mark.parametrize("name", ["dgst", "random"])
def test_what_is_always_on_moves_as_torchs_own_optimizer_moves_it(unet, name, update, rule, usual_lr, given):
    network, separate = unet.fresh(), unet.fresh()
    strategy = make_strategy(
        name, network, head=unet.head, lr=0.3, update=update, always_on_lr=given, max_norm=None, in_backward=False
    )
    names = [key for key, _ in separate.named_parameters() if unet.kind_of(key) in ("norm", "bias", "head")]
    plain = torchs_own(rule, [separate.get_parameter(key) for key in names], given or usual_lr)
    backward(unet, network, [0])
    backward(unet, separate, [0])
    strategy.step()
    plain.step()
    assert {unet.kind_of(key) for key in names} == {"norm", "bias", "head"}
    moved = 0
    for key in names:
        before, now = unet.original.get_parameter(key), network.get_parameter(key)
        torch.testing.assert_close(now, separate.get_parameter(key), rtol=1e-6, atol=1e-7)
        moved += not torch.equal(before, now)
    assert moved > len(names) / 2, "but for the lowest head, which gets no gradient"
