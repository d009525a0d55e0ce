"""What the optimizer and the strategies cannot do, they refuse in a sentence, and leave the network as it was."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from DGSTSegmentLib.dgst import DGST, make_strategy


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def backward(network: nn.Module) -> None:
    first = next(network.parameters())
    network(torch.ones(2, 1, 8, 8).to(first)).abs().square().mean().backward()


@pytest.mark.parametrize("dtype", [torch.float16, torch.complex64])
def test_weights_that_cannot_hold_a_step_are_refused_where_they_would_move(dtype):
    made = network()
    made[0].weight = nn.Parameter(made[0].weight.detach().to(dtype))
    with pytest.raises(ValueError, match=f"0.weight is of {dtype}, but weights that move"):
        DGST(made, head=["3"])
    with pytest.raises(ValueError, match="0.weight is of"):
        make_strategy("full", made, head=["3"])
    made[0].requires_grad_(False)
    DGST(made, head=["3"])


def test_a_sharded_weight_is_refused():
    whole = nn.Module()
    whole._fsdp_wrapped_module = network()
    with pytest.raises(ValueError, match="_fsdp_wrapped_module.0.weight is sharded over processes"):
        DGST(whole)
    made = network()
    made[3].weight.placements = ("Shard(0)",)  # as a DTensor's
    with pytest.raises(ValueError, match="3.weight is sharded over processes"):
        make_strategy("full", made, head=["3"])


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_layers_that_lost_their_types_are_refused_where_they_would_move():
    made = nn.Sequential(torch.jit.trace(nn.ConvTranspose2d(3, 5, 2), torch.ones(1, 3, 4, 4)), nn.Conv2d(5, 2, 1))
    with pytest.raises(ValueError, match="0.weight belongs to a scripted or traced layer"):
        DGST(made, head=["1"])
    made[0].requires_grad_(False)
    DGST(made, head=["1"])


@pytest.mark.parametrize("wrapper", ["_orig_mod", "module"])
def test_a_wrapped_network_that_lacks_a_name_is_asked_for_unwrapped(wrapper):
    wrapped = nn.Module()
    wrapped.add_module(wrapper, network())
    with pytest.raises(ValueError, match="Pass the unwrapped network"):
        DGST(wrapped, head=["3"])


@pytest.mark.parametrize("gamma", [0, 1.5, float("nan")])
def test_a_gamma_that_is_no_count_is_refused(gamma):
    with pytest.raises(ValueError, match="gamma must be a whole number of at least 1"):
        DGST(network(), gamma=gamma)


@pytest.mark.parametrize("lr", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("of", ["lr", "always_on_lr"])
def test_a_learning_rate_that_is_no_size_is_refused(of, lr):
    with pytest.raises(ValueError, match="learning rate must be finite and must not be negative"):
        DGST(network(), **{of: lr})


@pytest.mark.parametrize("make", [DGST, lambda network, **names: make_strategy("dgst", network, **names).optimizer])
def test_names_that_can_be_gone_through_only_once_are_heeded(make):
    optimizer = make(network(), head=(name for name in ["3"]))
    assert [member.name for member in optimizer.rows] == ["0.weight"]
    optimizer = make(network(), head=iter(()), among=iter(["3"]), always_on=iter(["0"]))
    assert [member.name for group in (optimizer.rows, optimizer.always_on) for member in group] == [
        "3.weight",
        "0.weight",
        "0.bias",
    ]
    with pytest.raises(ValueError, match="no rows to select from at or below 1 that may move"):
        make(network(), head=[], among=iter(["1"]))


def test_a_network_in_which_nothing_may_move_is_refused():
    with pytest.raises(ValueError, match="Nothing may move in this network"):
        DGST(network().requires_grad_(False))
    with pytest.raises(ValueError, match="no rows to select from at or below 1 that may move"):
        DGST(network(), among=["1"])


@pytest.mark.parametrize("name", ["dgst", "full"])
def test_sparse_gradients_are_refused_with_the_parameters_name(name):
    made = nn.Sequential(nn.Embedding(5, 3, sparse=True), nn.Linear(3, 2))
    strategy = make_strategy(name, made, head=["1"])
    made(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(ValueError, match="gradient of 0.weight is sparse"):
        strategy.step()


def test_sparse_gradients_are_refused_while_they_are_selected_from_or_observed():
    made = nn.Sequential(nn.Embedding(5, 3, sparse=True), nn.Linear(3, 2))
    static = make_strategy("static", made, head=["1"])
    made(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(ValueError, match="gradient of 0.weight is sparse"):
        static.observe()
    static.finish()
    optimizer = DGST(made, in_backward=True)
    optimizer.zero_grad()
    with pytest.raises(ValueError, match="gradient of 0.weight is sparse"):
        made(torch.tensor([1, 2])).sum().backward()


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_a_copy_apart_from_the_network_is_refused(copied):
    with pytest.raises(TypeError, match="keep state_dict"):
        copied(DGST(network()))


def test_further_parameters_are_refused():
    optimizer = DGST(network())
    with pytest.raises(ValueError, match="takes no further parameters"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(3))]})
    assert len(optimizer.param_groups) == 2


def test_parameters_in_place_of_their_network_are_refused():
    with pytest.raises(TypeError, match="takes the network itself"):
        DGST(network().parameters())


@pytest.mark.parametrize("max_norm", [-1.0, 0.0, float("nan")])
@pytest.mark.parametrize("name", ["dgst", "full", "lora"])
def test_a_norm_that_would_turn_gradients_round_is_refused(name, max_norm):
    with pytest.raises(ValueError, match="max_norm must be greater than 0"):
        make_strategy(name, network(), head=["3"], max_norm=max_norm)


def test_a_parameter_without_elements_stays_out():
    made = network()
    made.empty = nn.Parameter(torch.zeros(3, 0))
    optimizer = DGST(made)
    backward(made)
    made.empty.grad = torch.zeros(3, 0)
    optimizer.step()
    assert not optimizer.report.skipped


@pytest.mark.parametrize("update", ["adam", "rms"])
@pytest.mark.parametrize("in_backward", [False, True])
def test_a_network_converted_after_the_optimizer_was_made_is_refused(update, in_backward):
    made = network()
    optimizer = DGST(made, update=update, in_backward=in_backward)
    made.double()
    with pytest.raises(RuntimeError, match="weight is torch.float64 on cpu, but was torch.float32"):
        backward(made)
        optimizer.step()


def test_a_strategy_refuses_a_scheduler_that_would_have_no_effect():
    strategy = make_strategy("full", network(), head=["3"])
    torch.optim.lr_scheduler.LambdaLR(strategy.optimizer, lambda step: 0.5)
    backward(strategy.network)
    with pytest.raises(RuntimeError, match="give step the schedule's lr_factor"):
        strategy.step()


def test_one_cycle_schedules_work_as_documented():
    made = network()
    optimizer = DGST(made)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [0.01, 0.001], total_steps=4, cycle_momentum=False)
    lrs = []
    for _ in range(3):
        lrs.append([group["lr"] for group in optimizer.param_groups])
        backward(made)
        optimizer.step()
        schedule.step()
    assert lrs[0][0] != lrs[1][0] and lrs[1] == pytest.approx([10 * lrs[1][1], lrs[1][1]])


def test_a_scaler_that_is_switched_off_scales_nothing_that_could_distort_a_mean():
    strategy = make_strategy("dgst", network(), head=["3"], update="adam", in_backward=True)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    scaler.scale(strategy.network(torch.randn(2, 1, 8, 8)).square().mean()).backward()
    assert not strategy.step(scaler=scaler).skipped


def test_after_a_scaler_was_refused_the_right_calls_work():
    made = network()
    optimizer = DGST(made, update="rms", in_backward=True)
    scaler = torch.amp.GradScaler("cpu")
    for wrong in (True, False):
        optimizer.zero_grad()
        scaler.scale(made(torch.ones(2, 1, 8, 8)).square().mean()).backward()
        if wrong:
            with pytest.raises(RuntimeError, match="call unscale_"):
                scaler.step(optimizer)
            continue
        optimizer.unscale_(scaler)
        optimizer.step()
        scaler.update()
    assert not optimizer.report.skipped


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "dgst", "head": ["typo"]},
        {"name": "dgst", "head": [], "max_norm": -1.0},
        {"name": "dgst", "head": [], "always_on_rule": "lion"},
        {"name": "dgst", "head": [], "always_on": [], "among": []},
        {"name": "head", "head": []},
        {"name": "norm", "head": ["3"], "lr": -1.0},
        {"name": "lora", "head": [], "optimizer": "lion"},
        {"name": "lora", "head": [], "lr": -1.0},
        {"name": "lora", "head": [], "rank": 0},
    ],
)
def test_a_strategy_that_is_refused_leaves_the_network_as_it_was(arguments):
    made = network()
    made[3].bias.requires_grad_(False)
    described, keys = repr(made), list(made.state_dict())
    weights = {name: (id(p), p.requires_grad) for name, p in made.named_parameters()}
    with pytest.raises(ValueError):
        make_strategy(network=made, **arguments)
    assert repr(made) == described and list(made.state_dict()) == keys
    assert {name: (id(p), p.requires_grad) for name, p in made.named_parameters()} == weights
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in made.modules())
