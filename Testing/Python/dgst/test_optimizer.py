"""The optimizer by itself: its rules, its step's order, in-backward selection, what it refuses."""

from __future__ import annotations

import copy
import doctest
import gc
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from DGSTSegmentLib.dgst import DGST, Delta, make_strategy, optimizer

from .conftest import snapshot

README = Path(__file__).parents[3] / "README.md"


def small_network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2), nn.Linear(7, 2))


def loss_of(network: nn.Module, batch: int) -> torch.Tensor:
    image = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(batch))
    return network(image).square().mean()


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def test_the_example_in_its_documentation_runs():
    finder = doctest.DocTestFinder(recurse=False)
    for example in finder.find(DGST, "DGST", module=optimizer):
        assert doctest.DocTestRunner().run(example).failed == 0 and example.examples


def test_the_loop_in_the_readme_runs_and_its_delta_brings_the_base_to_what_was_trained(tmp_path, monkeypatch):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.ReLU(), nn.Flatten())
    network = nn.Sequential(OrderedDict(body=body, classifier=nn.Linear(144, 3)))
    other, batches = copy.deepcopy(network), [(torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 1]))] * 2
    section = README.read_text("utf-8").split("## As an optimizer")[1]
    monkeypatch.chdir(tmp_path)
    exec(section.split("```python")[1].split("```")[0], {"network": network, "batches": batches})
    Delta.load("delta.safetensors").apply_(other)
    assert same(network, other) and all(parameter.requires_grad for parameter in network.parameters())


def test_the_papers_rule_subtracts_the_clipped_gradient_times_lr():
    network = small_network()
    dgst = DGST(network, 0.5, gamma=1, update="sgd", head=["3"], max_norm=0.01)
    loss_of(network, 0).backward()
    before, gradient = snapshot(network), network[0].weight.grad.clone()
    norm = torch.cat([p.grad.flatten() for p in network.parameters()]).norm()
    dgst.step()
    change = network[0].weight.detach() - before["0.weight"]
    moved = change != 0
    assert norm > 0.01
    torch.testing.assert_close(torch.tensor(dgst.report.gradient_norm), norm)
    torch.testing.assert_close(change[moved], -0.5 * gradient[moved] * 0.01 / norm, rtol=1e-4, atol=1e-8)


def test_our_rule_moves_by_the_rms_of_the_rows_as_the_foundation_model_has_them():
    network = small_network()
    with torch.no_grad():
        network[0].weight[2] = 0
        network[2].weight.zero_()
    foundation = network[0].weight.detach().flatten(1)
    rms, whole = foundation.square().mean(1).sqrt(), foundation.square().mean().sqrt()
    dgst = DGST(network, 0.1, gamma=1, update="rms", head=["3"])
    for step in range(3):
        with torch.no_grad():
            network[0].weight.mul_(1.5)
        network[2].weight.grad = torch.ones_like(network[2].weight)
        network[0].weight.grad = torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(step))
        before, before_up = network[0].weight.detach().flatten(1).clone(), network[2].weight.detach().clone()
        sign = network[0].weight.grad.flatten(1).sign()
        dgst.step()
        change = network[0].weight.detach().flatten(1) - before
        expected = -0.1 * sign * torch.where(rms > 0, rms, whole).unsqueeze(1)
        torch.testing.assert_close(change[change != 0], expected[change != 0])
        change = (network[2].weight.detach() - before_up).transpose(0, 1).flatten(1)
        torch.testing.assert_close(change.abs().amax(1), torch.full((3,), 0.1 * (4 * 2 * 2) ** -0.5))
        dgst.zero_grad()


def test_selected_weights_have_no_state_but_what_their_rule_needs():
    network = small_network()
    dgst = DGST(network, update="rms", head=["3"])
    for step in range(2):
        loss_of(network, step).backward()
        dgst.step()
        dgst.zero_grad()
    assert set(dgst.state[network[0].weight]) == {"row_rms"}
    assert set(dgst.state[network[3].weight]) == {"step", "exp_avg", "exp_avg_sq"}
    papers = DGST(network, update="sgd", head=["3"])
    loss_of(network, 3).backward()
    papers.step()
    assert network[0].weight not in papers.state
    assert set(papers.state[network[3].weight]) == {"momentum_buffer"}
    assert papers.param_groups[1]["momentum"] == 0.99 and papers.param_groups[1]["nesterov"]
    mean = DGST(network, update="adam", head=["3"])
    assert set(mean.state[network[0].weight]) == {"mean", "square", "step"}


def test_a_gradient_that_is_not_finite_stays_out_of_the_running_mean():
    network = small_network()
    dgst = DGST(network, update="adam", head=["3"])
    loss_of(network, 0).backward()
    dgst.step()
    mean = dgst.state[network[0].weight]["mean"].clone()
    network[0].weight.grad.fill_(float("inf"))
    dgst.step()
    assert dgst.report.skipped
    assert torch.equal(dgst.state[network[0].weight]["mean"], mean)


class Waits(TorchDispatchMode):
    """Counts how often the values of tensors are asked for, for which a GPU has to be waited."""

    def __init__(self, but_for):
        super().__init__()
        self.count, self._but_for = 0, {tensor.data_ptr() for tensor in but_for}

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if function is torch.ops.aten._local_scalar_dense.default:
            self.count += arguments[0].data_ptr() not in self._but_for
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("update", ["adam", "rms", "sgd"])
def test_a_step_waits_for_a_gpu_no_more_often_in_a_larger_network(update):
    counts = []
    for layers in (2, 6):
        torch.manual_seed(0)
        network = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(layers)))
        dgst = DGST(network, update=update, head=["0"])
        loss_of(network, 0).backward()
        on_the_cpu = [state["step"] for state in dgst.state.values() if "step" in state]
        with Waits(on_the_cpu) as waits:
            dgst.step()
        counts.append(waits.count)
    assert counts[0] == counts[1] > 0


def test_a_running_mean_that_a_changing_loss_scale_would_distort_is_refused():
    network = small_network()
    strategy = make_strategy("dgst", network, head=["3"], update="adam", in_backward=True)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss_of(network, 0)).backward()
    with pytest.raises(RuntimeError, match="cannot undo a loss scale"):
        strategy.step(scaler=scaler)


@pytest.mark.parametrize("update", ["rms", "adam", "sgd"])
def test_torchs_own_schedulers_and_state_dicts_work(update):
    straight, interrupted = small_network(), small_network()

    def train(network, dgst, steps):
        for step in steps:
            dgst.zero_grad()
            loss_of(network, step).backward()
            dgst.step()

    whole = DGST(straight, head=["3"], update=update)
    train(straight, whole, range(4))
    first = DGST(interrupted, head=["3"], update=update)
    train(interrupted, first, range(2))
    resumed = DGST(interrupted, head=["3"], update=update)
    resumed.load_state_dict(first.state_dict())
    train(interrupted, resumed, range(2, 4))
    assert same(straight, interrupted)

    scheduler = torch.optim.lr_scheduler.LambdaLR(whole, lambda step: 0.0 if step else 1.0)
    train(straight, whole, range(1))
    scheduler.step()
    before = snapshot(straight)
    train(straight, whole, range(1))
    assert all(torch.equal(now, before[name]) for name, now in snapshot(straight).items())


def test_a_weight_stored_in_another_order_is_moved_in_place():
    plain, permuted = small_network(), small_network().to(memory_format=torch.channels_last)
    with torch.no_grad():
        wide = nn.Conv2d(3, 4, 3).weight
        plain[0] = nn.Conv2d(3, 4, 3)
        plain[0].weight.copy_(wide)
        permuted[0] = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        permuted[0].weight.copy_(wide)
    assert not permuted[0].weight.is_contiguous()
    for network in (plain, permuted):
        dgst = DGST(network, head=["3"])
        network[0].weight.grad = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
        dgst.step()
    assert torch.equal(plain[0].weight, permuted[0].weight)
    assert not torch.equal(plain[0].weight, wide)


def test_biases_that_a_norm_cancels_are_frozen_and_the_others_are_not():
    class Blocks(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Conv2d(n, 4, 3, padding=1) for n in (1, 4, 4, 4))
            self.instance, self.own, self.kept = nn.InstanceNorm2d(4), nn.GroupNorm(4, 4), nn.BatchNorm2d(4).eval()
            self.grouped = nn.GroupNorm(2, 4)

        def forward(self, x):
            x = self.instance(self.a(x)).relu()
            x = self.own(self.b(x)).relu()
            x = self.kept(self.c(x)).relu()
            return self.grouped(self.d(x))

    torch.manual_seed(0)
    network = Blocks()
    dgst = DGST(network, always_on_rule="sgd", weight_decay=0.1)
    with torch.no_grad():
        network(torch.randn(2, 1, 6, 6))
    before = snapshot(network)
    (network(torch.randn(2, 1, 6, 6)) - torch.randn(2, 4, 6, 6)).square().mean().backward()
    dgst.step()
    moved = {name for name, now in snapshot(network).items() if not torch.equal(now, before[name])}
    assert {"a.bias", "b.bias"}.isdisjoint(moved)
    assert {"c.bias", "d.bias"} <= moved
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("name", ["dgst", "random"])
@pytest.mark.parametrize("update", ["rms", "adam", "sgd"])
def test_selecting_in_backward_gives_the_same_bits_as_selecting_after_it(name, update, tiny):
    networks = tiny.fresh(), tiny.fresh()
    for network, in_backward in zip(networks, (False, True), strict=True):
        strategy = make_strategy(
            name, network, head=tiny.head, update=update, max_norm=0.05, always_on_lr=1e-3, in_backward=in_backward
        )
        for step in range(3):
            tiny.loss(network, step).backward()
            freed = [key for key, p in network.named_parameters() if tiny.kind_of(key) == "row" and p.grad is None]
            assert bool(freed) == in_backward
            report = strategy.step()
            assert report.gradient_norm > 0.05
    assert same(*networks) and not same(networks[0], tiny.original)


@pytest.mark.parametrize("strategy", ["dgst", "random", "norm"])
def test_a_finished_strategy_watches_the_network_no_more(strategy):
    network = small_network()
    in_backward = {"in_backward": True} if strategy != "norm" else {}
    finished = make_strategy(strategy, network, head=["3"], **in_backward)
    loss_of(network, 0).backward()
    finished.step()
    finished.finish()
    for module in network.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    before = network[0].weight.detach().clone()
    plain = torch.optim.SGD(network.parameters(), lr=0.1)
    loss_of(network, 1).backward()
    loss_of(network, 2).backward()
    plain.step()
    assert bool((network[0].weight != before).all())


def test_selecting_in_backward_refuses_to_accumulate():
    network = small_network()
    dgst = DGST(network, head=["3"], in_backward=True)
    loss_of(network, 0).backward()
    with pytest.raises(RuntimeError, match="cannot accumulate gradients: step and clear"):
        loss_of(network, 1).backward()
    dgst.zero_grad()
    loss_of(network, 2).backward()
    dgst.step()
    assert not dgst.report.skipped


def test_an_optimizer_that_is_gone_takes_no_gradients():
    network = small_network()
    DGST(network, head=["3"], in_backward=True)
    gc.collect()
    for batch in range(2):
        loss_of(network, batch).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("in_backward", [False, True])
def test_a_scaled_loss_gives_the_step_of_the_plain_one(in_backward):
    plain, scaled = small_network(), small_network()
    for network, scaler in ((plain, None), (scaled, torch.amp.GradScaler("cpu", init_scale=1024.0))):
        strategy = make_strategy("dgst", network, head=["3"], update="sgd", in_backward=in_backward)
        for step in range(2):
            loss = loss_of(network, step)
            (loss if scaler is None else scaler.scale(loss)).backward()
            strategy.step(scaler=scaler)
    assert same(plain, scaled)


def test_the_usual_step_of_a_gradient_scaler_gives_the_step_of_the_plain_one():
    plain, scaled = small_network(), small_network()
    for network, scaler in ((plain, torch.amp.GradScaler("cpu", enabled=False)), (scaled, torch.amp.GradScaler("cpu"))):
        optimizer = DGST(network, head=["3"])
        for step in range(2):
            optimizer.zero_grad()
            scaler.scale(loss_of(network, step)).backward()
            scaler.step(optimizer)
            scaler.update()
    assert same(plain, scaled)


@pytest.mark.parametrize("in_backward", [False, True])
def test_an_overflow_of_the_scaled_loss_skips_the_step_and_lowers_the_scale(in_backward):
    network = small_network()
    strategy = make_strategy("dgst", network, head=["3"], update="rms", in_backward=in_backward)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    before = snapshot(network)
    # Only the first weight's gradient overflows: it is one of those that are freed.
    network[0].weight.register_hook(lambda gradient: gradient * float("inf"))
    scaler.scale(loss_of(network, 0)).backward()
    assert strategy.step(scaler=scaler).skipped
    assert scaler.get_scale() == 512.0
    assert all(torch.equal(now, before[name]) for name, now in snapshot(network).items())


@pytest.mark.parametrize("in_backward", [False, True])
def test_a_scale_that_has_fallen_to_nothing_skips_the_step(in_backward):
    network = small_network()
    strategy = make_strategy("dgst", network, head=["3"], update="rms", in_backward=in_backward)
    scaler = torch.amp.GradScaler("cpu", init_scale=1e-45)
    for _ in range(3):
        scaler.scale(loss_of(network, 0) * float("inf")).backward()
        assert strategy.step(scaler=scaler).skipped
    assert scaler.get_scale() == 0


def test_a_scaler_that_cannot_see_the_freed_gradients_is_refused():
    network = small_network()
    dgst = DGST(network, head=["3"], in_backward=True)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss_of(network, 0)).backward()
    with pytest.raises(RuntimeError, match="call unscale_"):
        scaler.step(dgst)


TWO_RANKS = """
import sys, torch, torch.distributed as dist
from torch import nn
from DGSTSegmentLib.dgst import DGST, make_strategy
torch.set_num_threads(1)
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
torch.manual_seed(0)
norm = nn.InstanceNorm2d(4, affine=True)
network = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1))
before = {name: p.detach().clone() for name, p in network.named_parameters()}
parallel = nn.parallel.DistributedDataParallel(network)
dgst = DGST(network, gamma=2, head=["4"], among=["0"], update="sgd")
torch.manual_seed(1 + rank)
for step in range(3):
    last = network[0].weight.detach().clone()
    parallel(torch.randn(2, 1, 8, 8)).square().mean().backward()
    dgst.step()
    dgst.zero_grad()
    for name, parameter in network.named_parameters():
        both = [torch.zeros_like(parameter) for _ in range(2)]
        dist.all_gather(both, parameter.detach())
        assert torch.equal(*both), f"ranks differ in {name} at step {step}"
    assert ((network[0].weight != last).flatten(1).sum(1) == 2).all()
assert torch.equal(network[0].bias, before["0.bias"]), "a bias that the norm cancels moved"
assert torch.equal(network[3].weight, before["3.weight"]), "a layer outside those to select among moved"
assert (network[3].bias != before["3.bias"]).all()
network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.Conv2d(4, 2, 1))
biases = nn.parallel.DistributedDataParallel(network)
strategy = make_strategy("bias", network, head=["2"])
for _ in range(3):
    biases(torch.randn(2, 1, 8, 8)).square().mean().backward()
    strategy.step()
strategy.finish()
both = [torch.zeros_like(network[1].bias) for _ in range(2)]
dist.all_gather(both, network[1].bias.detach())
assert torch.equal(*both) and both[0].any(), "ranks differ where biases alone move"
try:
    DGST(network, in_backward=True)
except RuntimeError as error:
    assert "cannot average gradients across ranks" in str(error)
else:
    raise AssertionError("in-backward selection was not refused")
# gloo aborts a rank that ends while its threads still run.
del parallel, biases
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed training")
def test_ranks_select_alike_and_selecting_in_backward_is_refused(tmp_path):
    command = [sys.executable, "-c", TWO_RANKS]
    ranks = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "meeting")], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], errors
