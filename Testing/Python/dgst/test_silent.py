"""Biases that a norm cancels are frozen, and no others, whatever a network does between the two."""

from __future__ import annotations

import copy
import gc

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from DGSTSegmentLib.dgst import DGST, make_strategy


class Then(nn.Module):
    """A layer with a bias, and what follows it."""

    def __init__(self, layer: nn.Module, rest: nn.Module):
        super().__init__()
        self.layer, self.rest = layer, rest

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.layer(x))


class PreActivation(Then):
    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        return x + self.rest(x)


class NormAtOneUseOnly(Then):
    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.layer(x)) + self.layer(x.flip(2)).relu()


def conv(inputs: int = 1) -> nn.Module:
    return nn.Conv2d(inputs, 4, 3, padding=1)


def norm() -> nn.Module:
    return nn.InstanceNorm2d(4, affine=True)


IMAGE = (2, 1, 6, 6)
NEEDED = {
    "changed in place before the norm": (lambda: Then(conv(), nn.Sequential(nn.ReLU(inplace=True), norm())), IMAGE),
    "skipping past the norm": (lambda: PreActivation(conv(), nn.Sequential(norm(), nn.ReLU(), conv(4))), IMAGE),
    "with a norm at one use only": (lambda: NormAtOneUseOnly(conv(), norm()), IMAGE),
    "of tokens, normalised by place": (lambda: Then(nn.Linear(3, 4), nn.BatchNorm1d(5)), (2, 5, 3)),
    "of lines without a batch": (lambda: Then(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(6)), (1, 8)),
    "of features, normalised together": (lambda: Then(nn.Linear(3, 4), nn.InstanceNorm1d(2)), (2, 3)),
}
CANCELLED = {
    "of an image": (lambda: Then(conv(), nn.Sequential(norm(), nn.ReLU(inplace=True))), IMAGE),
    "of an image without a batch": (lambda: Then(conv(), norm()), IMAGE[1:]),
    "of features": (lambda: Then(nn.Linear(3, 4), nn.BatchNorm1d(4)), (6, 3)),
}


def after_three_steps(make, shape) -> tuple[nn.Module, Tensor, Tensor]:
    """The network, its first bias before, and that bias's greatest gradient."""
    torch.manual_seed(0)
    network = make()
    optimizer = DGST(network, always_on_rule="sgd", max_norm=None, weight_decay=0.1)
    before, greatest = network.layer.bias.detach().clone(), torch.zeros(())
    for _ in range(3):
        output = network(torch.randn(shape))
        (output - torch.randn(output.shape)).square().mean().backward()
        if network.layer.bias.grad is not None:
            greatest = torch.maximum(greatest, network.layer.bias.grad.abs().max())
        optimizer.step()
        optimizer.zero_grad()
    return network, before, greatest


@pytest.mark.parametrize("name", NEEDED)
def test_a_bias_that_matters_moves(name):
    network, before, gradient = after_three_steps(*NEEDED[name])
    assert gradient > 1e-3
    assert (network.layer.bias != before).all()


@pytest.mark.parametrize("name", CANCELLED)
def test_a_bias_that_the_norm_cancels_stays(name):
    network, before, gradient = after_three_steps(*CANCELLED[name])
    assert gradient < 1e-6
    assert torch.equal(network.layer.bias, before)


def test_an_optimizer_that_is_gone_before_its_first_step_watches_no_more():
    network = Then(conv(), norm())
    DGST(network)
    gc.collect()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("one", [0, 1])
def test_each_of_several_optimizers_that_watch_one_network_finds_its_silent_biases(one):
    torch.manual_seed(0)
    network = Then(conv(), norm())
    optimizers = [DGST(network), DGST(network)]
    network(torch.randn(IMAGE)).square().sum().backward()
    before = network.layer.bias.detach().clone()
    optimizers[one].step()
    assert torch.equal(network.layer.bias, before) and not network.layer.bias.requires_grad


class Doubled(nn.Module):
    def forward(self, bias: Tensor) -> Tensor:
        return 2 * bias


def test_a_bias_that_is_computed_is_stepped_by_what_it_is_computed_from():
    torch.manual_seed(0)
    network = Then(conv(), norm())
    parametrize.register_parametrization(network.layer, "bias", Doubled())
    optimizer = DGST(network)
    network(torch.randn(IMAGE)).square().sum().backward()
    optimizer.step()
    assert not optimizer.report.skipped


def test_a_bias_lent_for_a_call_is_not_frozen():
    torch.manual_seed(0)
    network = Then(conv(), norm())
    optimizer = DGST(network)
    lent = nn.Parameter(torch.ones(4))
    weight = network.layer.weight
    output = torch.func.functional_call(network, {"layer.bias": lent, "layer.weight": weight}, torch.randn(IMAGE))
    output.square().sum().backward()
    optimizer.step()
    assert lent.requires_grad and lent.grad is not None


def test_a_compiled_network_is_trained_whole():
    torch.manual_seed(0)
    network = Then(conv(), nn.Sequential(norm(), nn.ReLU(inplace=True)))
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    optimizer = DGST(network, gamma=1)
    before = network.layer.weight.detach().clone()
    compiled(torch.randn(IMAGE)).square().sum().backward()
    optimizer.step()
    assert ((network.layer.weight != before).flatten(1).sum(1) == 1).all()


@pytest.mark.parametrize("among", [None, ["layer"]])
def test_a_network_that_an_optimizer_has_left_is_as_it_found_it(among):
    torch.manual_seed(0)
    network = Then(conv(), nn.Sequential(norm(), conv(4)))
    network.rest[1].bias.requires_grad_(False)
    before = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    optimizer = DGST(network, among=among)
    network(torch.randn(IMAGE)).square().sum().backward()
    optimizer.step()
    assert not network.layer.bias.requires_grad
    optimizer.detach()
    assert {name: parameter.requires_grad for name, parameter in network.named_parameters()} == before
    again = DGST(network, among=among)
    again.load_state_dict(optimizer.state_dict())


def test_a_copy_of_the_network_is_not_watched_and_its_norms_learn_their_statistics():
    torch.manual_seed(0)
    network = Then(conv(), nn.Sequential(nn.BatchNorm2d(4), conv(4)))
    strategy = make_strategy("dgst", network, head=["rest.1"])
    copied = copy.deepcopy(network)
    before = network.rest[0].running_mean.clone()
    for made in (network, copied):
        made(torch.randn(IMAGE)).square().sum().backward()
    strategy.step()
    assert torch.equal(network.rest[0].running_mean, before) and not torch.equal(copied.rest[0].running_mean, before)
    assert network.rest[0].training and copied.rest[0].training
    strategy.finish()
    copied.eval()(torch.randn(IMAGE))
    assert not copied.rest[0].training
