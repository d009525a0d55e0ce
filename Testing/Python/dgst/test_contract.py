"""One contract for all nine strategies on four networks: only what a strategy names moves, and that moves."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from DGSTSegmentLib.dgst import STRATEGIES, make_strategy
from DGSTSegmentLib.dgst.registry import DEFAULT_RULE, RULES

from .conftest import GAMMA, backward, largest_by_stable_order, snapshot

STEPS = 5
# Momentum and a weight decay that moves a weight of its own accord: what is not masked after them betrays itself.
RESTLESS = {"always_on_rule": "sgd", "always_on_lr": 0.01, "optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1}

MODES = {
    "every_step": {"batches": 1, "bf16": False},
    "accumulating_in_bf16": {"batches": 2, "bf16": True},
}

ALWAYS_ON = {"norm", "bias", "head"}
WHOLE = {
    "dgst": ALWAYS_ON,
    "random": ALWAYS_ON,
    "static": ALWAYS_ON,
    "full": {"row", "norm", "bias", "silent", "head"},
    "bias": {"bias", "head"},
    "norm": {"norm", "head"},
    "head": {"head"},
    "decoder": {"head"},
    "lora": set(),
}


def may_move_whole(strategy: str, tiny, name: str) -> bool:
    kind = tiny.kind_of(name)
    if strategy == "decoder" and tiny.in_decoder(name):
        return kind != "silent"
    if strategy == "bias" and kind == "norm":
        return name.endswith("bias")
    return kind in WHOLE[strategy]


def warm_up(tiny, strategy) -> None:
    for batch in range(strategy.warm_up_batches):
        backward(tiny, strategy.network, [batch])
        strategy.observe()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", STRATEGIES)
def test_only_what_the_strategy_names_moves_and_all_of_that_does(name, tiny, mode):
    network = tiny.fresh()
    strategy = make_strategy(name, network, head=tiny.head, decoder=tiny.decoder, gamma=GAMMA, **RESTLESS)
    keys = list(tiny.original.state_dict())
    warm_up(tiny, strategy)
    with_gradient = set()
    for step in range(STEPS):
        count = MODES[mode]["batches"]
        backward(tiny, network, [10 + step * count + n for n in range(count)], MODES[mode]["bf16"])
        with_gradient |= {key for key, p in network.named_parameters() if p.grad is not None and p.grad.any()}
        before = snapshot(network)
        assert not strategy.step(lr_factor=1.0 - 0.1 * step).skipped
        assert any((now != before[key]).any() for key, now in network.named_parameters())
    strategy.finish()

    assert list(network.state_dict()) == keys
    assert type(network) is type(tiny.original)
    for key, before in tiny.original.named_parameters():
        now = network.get_parameter(key)
        changed = tiny.rows(key, now) != tiny.rows(key, before) if before.dim() > 1 else now != before
        kind = tiny.kind_of(key)
        if may_move_whole(name, tiny, key):
            assert changed.any() == (key in with_gradient), key
        elif kind == "row" and STRATEGIES[name].uses_gamma:
            assert changed.sum(dim=1).max() <= GAMMA * STEPS, key
        elif kind in ("row", "head") and name == "lora":
            continue
        else:
            assert not changed.any(), f"{key} ({kind}) moved"


@pytest.mark.parametrize("name", ["dgst", "random", "static"])
def test_at_most_gamma_entries_of_a_row_move_at_a_step(name, tiny):
    network = tiny.fresh()
    strategy = make_strategy(name, network, head=tiny.head, gamma=GAMMA, **RESTLESS)
    warm_up(tiny, strategy)
    rows = [key for key in snapshot(network) if tiny.kind_of(key) == "row"]
    for step in range(2):
        backward(tiny, network, [step])
        before = snapshot(network)
        strategy.step()
        for key in rows:
            moved = tiny.rows(key, network.get_parameter(key)) != tiny.rows(key, before[key])
            assert moved.sum(dim=1).max() <= GAMMA, key


@pytest.mark.parametrize("update", ["rms", "sgd"])
def test_dgst_moves_exactly_the_entries_with_the_largest_gradients(update, tiny):
    network = tiny.fresh()
    strategy = make_strategy("dgst", network, head=tiny.head, gamma=GAMMA, update=update, max_norm=None)
    for step in range(3):
        backward(tiny, network, [step], bf16=step == 2)
        before, gradients = snapshot(network), {key: p.grad for key, p in network.named_parameters()}
        gradients = {key: g.clone() for key, g in gradients.items() if g is not None}
        strategy.step()
        for key, gradient in gradients.items():
            if tiny.kind_of(key) != "row":
                continue
            gradient = tiny.rows(key, gradient)
            change = tiny.rows(key, network.get_parameter(key)) - tiny.rows(key, before[key])
            chosen = largest_by_stable_order(gradient)
            assert not change[~chosen].any(), key
            if update == "rms":
                assert torch.equal(change[chosen] != 0, gradient[chosen] != 0), key
            else:
                torch.testing.assert_close(change[chosen], -0.1 * gradient[chosen], atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("name", ["dgst", "random", "static"])
def test_rows_outside_the_modules_to_select_among_stay(name, unet):
    network = unet.fresh()
    strategy = make_strategy(name, network, head=unet.head, gamma=GAMMA, among=["encoder"], **RESTLESS)
    warm_up(unet, strategy)
    for step in range(2):
        backward(unet, network, [step])
        strategy.step()
    strategy.finish()
    moved = {key for key, before in unet.original.named_parameters() if (network.get_parameter(key) != before).any()}
    rows = {key for key in moved if unet.kind_of(key) == "row"}
    assert rows and all(key.startswith("encoder.") for key in rows)
    assert {"norm", "head"} <= {unet.kind_of(key) for key in moved if not key.startswith("encoder.")}


def test_adam_moves_the_entries_with_the_largest_mean_gradients_as_adam_would(tiny):
    network = tiny.fresh()
    strategy = make_strategy("dgst", network, head=tiny.head, gamma=GAMMA, update="adam", lr=0.01)
    seen = {key: [] for key, _ in network.named_parameters()}
    for step in range(4):
        backward(tiny, network, [step])
        before = snapshot(network)
        with_gradient = {key: p.grad.clone() for key, p in network.named_parameters() if p.grad is not None}
        strategy.step()
        for key, gradient in with_gradient.items():
            if tiny.kind_of(key) == "row":
                seen[key].append(tiny.rows(key, gradient).double())
                mean, square = (weighted_mean(seen[key], *how) for how in ((0.9, 1), (0.99, 2)))
                chosen, equal = largest_by_stable_order(mean), as_large_as_the_last(mean)
                change = tiny.rows(key, network.get_parameter(key)) - tiny.rows(key, before[key])
                expected = -0.01 * mean / (square.sqrt() + 1e-8)
                moved = torch.where(equal, change != 0, chosen)
                assert not change[~moved].any(), key
                torch.testing.assert_close(change[moved].double(), expected[moved], atol=1e-6, rtol=1e-3)
                seen_to_move = ((expected.abs() > 1e-5) | ~chosen).all(dim=1)
                counts, most = moved.sum(dim=1), min(GAMMA, mean.shape[1])
                assert (counts[seen_to_move] == most).all() and (counts <= most).all()


def as_large_as_the_last(mean):
    """Entries of which rounding to float32 decides whether they are among the GAMMA largest of their row."""
    last = mean.abs().sort(dim=1, descending=True).values[:, :GAMMA][:, -1:]
    return (mean.abs() - last).abs() <= 1e-5 * last


def weighted_mean(values, decay, power):
    """Of powers of values, each weighing ``decay`` times the next one."""
    weights = [decay**age for age in reversed(range(len(values)))]
    return sum(weight * value**power for weight, value in zip(weights, values, strict=True)) / sum(weights)


def test_random_draws_anew_at_each_step_and_by_its_seed(unet):
    def moved_at_two_steps(seed: int) -> list[torch.Tensor]:
        network = unet.fresh()
        strategy = make_strategy("random", network, head=unet.head, gamma=GAMMA, seed=seed)
        key, moved = "encoder.stages.1.0.convs.0.conv.weight", []
        for step in range(2):
            backward(unet, network, [step])
            before = network.get_parameter(key).detach().clone()
            strategy.step()
            moved.append(unet.rows(key, network.get_parameter(key)) != unet.rows(key, before))
        assert all((m.sum(dim=1) == GAMMA).all() for m in moved)
        return moved

    first, second = moved_at_two_steps(7)
    again, _ = moved_at_two_steps(7)
    other, _ = moved_at_two_steps(8)
    assert torch.equal(first, again)
    assert not torch.equal(first, second) and not torch.equal(first, other)


def test_a_three_dimensional_swin_unetr_keeps_to_the_contract(swin_in_3d):
    network = swin_in_3d.fresh()
    strategy = make_strategy("dgst", network, head=swin_in_3d.head, gamma=GAMMA, **RESTLESS)
    backward(swin_in_3d, network, [0])
    strategy.step()
    for key, before in swin_in_3d.original.named_parameters():
        changed = network.get_parameter(key) != before
        if swin_in_3d.kind_of(key) == "row":
            assert 0 < swin_in_3d.rows(key, changed).sum(dim=1).max() <= GAMMA, key
        else:
            assert changed.any(), key


def test_the_gradient_free_head_of_the_lowest_stage_stays(unet):
    network = unet.fresh()
    strategy = make_strategy("full", network, head=unet.head, **RESTLESS)
    backward(unet, network, [0])
    strategy.step()
    assert torch.equal(network.decoder.seg_layers[0].weight, unet.original.decoder.seg_layers[0].weight)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_step_with_a_gradient_that_is_not_finite_moves_nothing_and_the_next_one_moves(name, unet):
    network = unet.fresh()
    strategy = make_strategy(name, network, head=unet.head, decoder=unet.decoder, **RESTLESS)
    warm_up(unet, strategy)
    before = snapshot(network)
    backward(unet, network, [0])
    trained = [p for p in network.parameters() if p.grad is not None]
    trained[-1].grad.view(-1)[0] = float("nan")
    assert strategy.step().skipped
    assert all(torch.equal(now, before[key]) for key, now in snapshot(network).items())
    assert not strategy.optimizer.state_dict()["state"] or name in ("dgst", "random", "static")
    backward(unet, network, [1])
    assert not strategy.step().skipped
    assert any(not torch.equal(now, before[key]) for key, now in snapshot(network).items())


RULES_OF_STRATEGIES = [
    (name, update) for name, info in STRATEGIES.items() for update in (RULES if info.uses_gamma else (DEFAULT_RULE,))
]


@pytest.mark.parametrize(("name", "update"), RULES_OF_STRATEGIES)
def test_a_resumed_run_ends_with_the_identical_bits(name, update, unet, tmp_path):
    def make(network):
        return make_strategy(name, network, head=unet.head, decoder=unet.decoder, update=update, seed=3)

    def train(strategy, steps: range) -> None:
        for step in steps:
            backward(unet, strategy.network, [step])
            strategy.step(lr_factor=1 / (1 + step))

    straight = make(unet.fresh())
    warm_up(unet, straight)
    train(straight, range(5))

    interrupted = make(unet.fresh())
    warm_up(unet, interrupted)
    train(interrupted, range(3))
    tensors, meta = interrupted.state()
    save_file(tensors, tmp_path / "state.safetensors")
    own = {key: value.detach().clone() for key, value in interrupted.network.named_parameters()}

    # The network comes with the weights it had then: what the foundation model was, only the state can tell.
    network = unet.fresh()
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            parameter.copy_(own.get(key, parameter))
    resumed = make(network)
    resumed.load_state(load_file(tmp_path / "state.safetensors"), json.loads(json.dumps(meta)))
    assert resumed.warm_up_batches == 0
    train(resumed, range(3, 5))

    straight.finish(), resumed.finish()
    expected = straight.network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in resumed.network.state_dict().items())


def test_a_state_of_another_strategy_or_other_settings_is_refused(unet):
    tensors, meta = make_strategy("dgst", unet.fresh(), head=unet.head).state()
    with pytest.raises(ValueError, match="of another run"):
        make_strategy("random", unet.fresh(), head=unet.head).load_state(tensors, meta)
    with pytest.raises(ValueError, match="of another run"):
        make_strategy("dgst", unet.fresh(), head=unet.head, gamma=3).load_state(tensors, meta)


def test_flags_are_as_before_once_finished(unet):
    network = unet.fresh()
    network.encoder.stages[0][0].convs[0].conv.weight.requires_grad_(False)
    before = {key: p.requires_grad for key, p in network.named_parameters()}
    strategy = make_strategy("norm", network, head=unet.head)
    assert not network.encoder.stages[1][0].convs[0].conv.weight.requires_grad
    backward(unet, network, [0])
    strategy.step()
    strategy.finish()
    assert {key: p.requires_grad for key, p in network.named_parameters()} == before


@pytest.mark.parametrize("name", STRATEGIES)
def test_running_statistics_stay_as_the_foundation_model_has_them(name):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 1))
    before = {key: value.clone() for key, value in network.named_buffers()}
    strategy = make_strategy(name, network, head=["2"], decoder=["0"])
    for _ in range(strategy.warm_up_batches):
        network.train()(torch.randn(2, 1, 6, 6)).square().mean().backward()
        strategy.observe()
    network.train()(torch.randn(2, 1, 6, 6)).square().mean().backward()
    strategy.step()
    assert all(torch.equal(value, before[key]) for key, value in network.named_buffers())
    assert network[1].training
    network.eval()
    strategy.finish()
    assert not network[1].training
    network.train()(torch.randn(2, 1, 6, 6))
    assert not torch.equal(network[1].running_mean, before["1.running_mean"])


def test_what_cannot_be_done_is_refused_in_a_sentence(unet):
    network = unet.fresh()
    for arguments, sentence in [
        ({"name": "adapter"}, "There is no strategy 'adapter'"),
        ({"name": "head", "head": []}, "moves nothing in this network"),
        ({"name": "dgst", "head": ["decoder.segmentation"]}, "no parameter at or below 'decoder.segmentation'"),
        ({"name": "dgst", "head": "decoder"}, "as a list"),
        ({"name": "dgst", "gamma": 0}, "gamma must be a whole number of at least 1"),
        ({"name": "dgst", "update": "adagrad"}, "update must be one of adam, rms, sgd"),
        ({"name": "dgst", "lr": -1.0}, "must not be negative"),
        ({"name": "dgst", "always_on_rule": "lion"}, "always_on_rule must be one of"),
        ({"name": "full", "optimizer": "lion"}, "optimizer must be one of"),
        ({"name": "static", "in_backward": True}, "cannot free them"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            make_strategy(**{"network": network, "head": unet.head, **arguments})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA; none here")
def test_on_a_gpu_in_fp16_only_what_each_strategy_names_moves(unet):
    for name in STRATEGIES:
        network = unet.fresh().cuda()
        strategy = make_strategy(name, network, head=unet.head, decoder=unet.decoder, gamma=GAMMA, **RESTLESS)
        scaler = torch.amp.GradScaler("cuda", init_scale=256.0)
        for _ in range(strategy.warm_up_batches + STEPS):
            with torch.autocast("cuda", torch.float16):
                output = network(torch.randn(unet.image_shape, device="cuda"))[0]
            scaler.scale(output.float().square().mean()).backward()
            strategy.observe(scaler) if strategy.warm_up_batches else strategy.step(scaler=scaler)
        strategy.finish()
        for key, before in unet.original.named_parameters():
            changed = network.get_parameter(key).cpu() != before
            if unet.kind_of(key) == "row" and STRATEGIES[name].uses_gamma:
                assert unet.rows(key, changed).sum(dim=1).max() <= GAMMA * STEPS, key
            elif not may_move_whole(name, unet, key) and name != "lora":
                assert not changed.any(), key
