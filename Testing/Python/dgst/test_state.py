"""Saved states: what fits is taken, what does not is refused in a sentence before anything is changed."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from DGSTSegmentLib.dgst import DGST, make_strategy

from .conftest import backward


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.ReLU(), nn.Conv2d(4, 2, 1))


def step(network: nn.Module, optimizer) -> None:
    network(torch.ones(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_a_second_strategy_on_a_network_takes_the_state_of_the_first(unet):
    made = unet.fresh()
    first = make_strategy("dgst", made, head=unet.head)
    backward(unet, made, [0])
    first.step()
    tensors, meta = first.state()
    assert meta["silent"]
    second = make_strategy("dgst", made, head=unet.head)
    second.load_state(tensors, meta)
    assert all(torch.equal(value, tensors[path]) for path, value in second.state()[0].items())


def test_a_silent_bias_that_this_network_does_not_have_is_refused(unet):
    strategy = make_strategy("dgst", unet.fresh(), head=unet.head)
    tensors, meta = strategy.state()
    with pytest.raises(ValueError, match="silent bias 'elsewhere.bias'"):
        strategy.load_state(tensors, {**meta, "silent": ["elsewhere.bias"]})


@pytest.mark.parametrize("name", ["dgst", "random", "lora"])
def test_an_incomplete_state_is_refused(name, unet):
    strategy = make_strategy(name, unet.fresh(), head=unet.head)
    with pytest.raises(ValueError, match="incomplete"):
        strategy.load_state({}, strategy.state()[1])


@pytest.mark.parametrize("key", ["mean", "exp_avg", "selected"])
def test_a_state_of_other_shapes_is_refused_and_changes_nothing(key, unet):
    strategy = make_strategy("static", unet.fresh(), head=unet.head)
    for batch in range(6):
        backward(unet, strategy.network, [batch])
        strategy.observe() if strategy.warm_up_batches else strategy.step()
    tensors, meta = strategy.state()
    path = next(path for path in tensors if path.endswith(f"/{key}"))
    fresh = make_strategy("static", unet.fresh(), head=unet.head)
    with pytest.raises(ValueError, match="of another network"):
        fresh.load_state({**tensors, path: torch.zeros(3, 5, dtype=tensors[path].dtype)}, meta)
    assert not any(value.any() for value in fresh.state()[0].values())
    fresh.load_state(tensors, meta)


def test_a_state_of_other_modules_is_refused(unet):
    tensors, meta = make_strategy("dgst", unet.fresh(), head=unet.head, update="sgd").state()
    with pytest.raises(ValueError, match="of another run"):
        make_strategy("dgst", unet.fresh(), head=[], update="sgd").load_state(tensors, meta)


@pytest.mark.parametrize("rule", ["adamw", "sgd"])
def test_a_state_that_says_less_than_torchs_of_today_is_stepped_on(rule):
    made = network()
    optimizer = DGST(made, always_on_rule=rule)
    step(made, optimizer)
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        for newer in ("decoupled_weight_decay", "fused", "differentiable", "maximize", "foreach", "capturable"):
            group.pop(newer, None)
    optimizer.detach()
    again = DGST(made, always_on_rule=rule)
    again.load_state_dict(state)
    step(made, again)
    assert not again.report.skipped


def test_a_state_of_a_network_that_another_optimizer_holds_is_refused_in_a_sentence():
    made = network()
    first = DGST(made)
    step(made, first)
    with pytest.raises(ValueError, match="no other optimizer holds"):
        DGST(made).load_state_dict(first.state_dict())


def three_layers(**options) -> DGST:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    optimizer = DGST(made, **{"head": ["2"], **options})
    made(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"update": "rms"}, "of the rules adam and adamw, this optimizer of rms and adamw"),
        ({"update": "sgd", "always_on_rule": "adamw"}, "of the rules adam and adamw, this optimizer of sgd and adamw"),
        ({"always_on_rule": "sgd"}, "this optimizer of adam and sgd: make it with the same update"),
        ({"head": ["0"]}, "with 1.weight where it has 0.weight: make it with the same head"),
    ],
)
def test_a_state_of_other_rules_or_of_a_head_elsewhere_is_refused_and_changes_nothing(options, sentence):
    state, optimizer = three_layers().state_dict(), three_layers(**options)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=sentence):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    torch.testing.assert_close(after["state"], before["state"], rtol=0, atol=0)


@pytest.mark.parametrize("update", ["adam", "rms"])
@pytest.mark.parametrize("wider", [0, 2])
def test_a_state_of_a_network_with_other_shapes_is_refused_and_changes_nothing(update, wider):
    def stepped(widths: list[int]) -> DGST:
        made = nn.Sequential(nn.Linear(4, widths[0]), nn.Linear(widths[0], 4), nn.Linear(4, widths[2]))
        optimizer = DGST(made, head=["2"], update=update)
        made(torch.ones(2, 4)).sum().backward()
        optimizer.step()
        return optimizer

    state, optimizer = stepped([3, 4, 3]).state_dict(), stepped([3 + 2 * (n == wider) for n in range(3)])
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=rf"of {wider}.weight in the shape .3,.*: it is of another network"):
        optimizer.load_state_dict(state)
    torch.testing.assert_close(optimizer.state_dict()["state"], before["state"], rtol=0, atol=0)


def test_a_state_that_lacks_what_a_rule_began_with_is_refused():
    optimizer = three_layers(update="rms")
    with pytest.raises(ValueError, match="lacks the row_rms of 0.weight"):
        optimizer.load_state_dict({**optimizer.state_dict(), "state": {}})


def test_a_state_says_gamma_so_that_a_file_of_plain_data_can_be_read(tmp_path):
    torch.save(three_layers(gamma=np.int64(2)).state_dict(), tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True)["param_groups"][0]["gamma"] == 2


def test_a_state_without_names_is_taken_by_its_counts():
    state, optimizer = three_layers().state_dict(), three_layers()
    for group in state["param_groups"]:
        del group["param_names"]
    optimizer.load_state_dict(state)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["0.weight", "1.weight"]


@pytest.mark.parametrize("name", ["dgst", "static", "full", "lora"])
def test_going_back_to_an_earlier_state_forgets_what_came_after_it(name):
    made = network()
    strategy = make_strategy(name, made, head=["3"])
    began, weights = strategy.state(), copy.deepcopy(strategy.network.state_dict())

    def trained() -> dict[str, torch.Tensor]:
        for batch in range(strategy.warm_up_batches + 2):
            noise = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(batch))
            made(noise).square().mean().backward()
            strategy.observe() if strategy.warm_up_batches else strategy.step()
        return copy.deepcopy(strategy.plain_state())

    straight = trained()
    made.load_state_dict(weights)
    strategy.load_state(*began)
    torch.testing.assert_close(trained(), straight, rtol=0, atol=0)
