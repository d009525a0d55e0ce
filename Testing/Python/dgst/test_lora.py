"""Low-rank corrections take part in the forward pass, on every convolution and linear layer, and merge."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from DGSTSegmentLib.dgst import attach_lora, fingerprint, make_strategy, merge_lora


def outputs(tiny, network) -> list[torch.Tensor]:
    image = torch.randn(tiny.image_shape, generator=torch.Generator().manual_seed(99))
    with torch.no_grad():
        result = network.eval()(image)
    return result if isinstance(result, list) else [result]


def test_attached_it_changes_nothing_and_trained_it_changes_the_output(tiny):
    network = tiny.fresh()
    before = outputs(tiny, network)
    strategy = make_strategy("lora", network, head=tiny.head, lr=0.01)
    assert fingerprint(strategy.plain_state()) == fingerprint(tiny.original.state_dict())
    for attached, plain in zip(outputs(tiny, network), before, strict=True):
        # Only nearly: torch takes another attention kernel for weights that need no gradient.
        torch.testing.assert_close(attached, plain, rtol=1e-5, atol=1e-6)
    network.train()
    for step in range(2):
        tiny.loss(network, step).backward()
        strategy.step()
    after = outputs(tiny, network)
    assert all((a - b).abs().max() > 1e-3 * b.abs().max() for a, b in zip(after[:1], before[:1], strict=True))


def test_merged_it_gives_the_same_output_under_the_plain_keys(tiny):
    network = tiny.fresh()
    keys, order = list(network.state_dict()), [name for name, _ in network.named_parameters()]
    strategy = make_strategy("lora", network, head=tiny.head, lr=0.01)
    with torch.autocast("cpu", torch.bfloat16):
        loss = tiny.loss(network, 0)
    loss.backward()
    strategy.step()
    tiny.loss(network, 1).backward()
    strategy.step()
    attached, promised = outputs(tiny, network), copy.deepcopy(strategy.plain_state())
    strategy.finish()
    assert list(network.state_dict()) == keys
    assert [name for name, _ in network.named_parameters()] == order
    assert promised.keys() == set(keys)
    assert all(torch.equal(promised[key], value) for key, value in network.state_dict().items())
    for merged, before in zip(outputs(tiny, network), attached, strict=True):
        torch.testing.assert_close(merged, before, rtol=1e-5, atol=1e-6)
    fresh = tiny.fresh()
    fresh.load_state_dict(network.state_dict(), strict=True)
    assert all(torch.equal(a, b) for a, b in zip(outputs(tiny, fresh), outputs(tiny, network), strict=True))


def test_every_convolution_and_linear_layer_with_a_gradient_changes_by_at_most_its_rank(tiny):
    network = tiny.fresh()
    strategy = make_strategy("lora", network, head=tiny.head, rank=2, lr=0.01)
    for step in range(2):
        tiny.loss(network, step).backward()
        strategy.step()
    strategy.finish()
    adapted = {f"{name}.weight" for name, m in network.named_modules() if isinstance(m, (_ConvNd, nn.Linear))}
    for name, before in tiny.original.named_parameters():
        change = network.get_parameter(name).detach() - before.detach()
        if name not in adapted:
            assert not change.any(), name
        elif "seg_layers.0" not in name:
            rows = tiny.rows(name, change).double()
            size = torch.linalg.matrix_norm(rows)
            assert size > 0, name
            assert torch.linalg.matrix_rank(rows, atol=1e-4 * float(size)) <= 2, name


def test_transposed_convolutions_are_adapted_group_by_group():
    torch.manual_seed(0)
    module = nn.ConvTranspose2d(4, 6, 2, groups=2)
    before = module.weight.detach().clone()
    up = [p for p in attach_lora(module, rank=1) if not p.any()]
    nn.init.ones_(up[0])
    merge_lora(module)
    change = (module.weight.detach() - before).reshape(2, 2, 3, 4)
    # With "up" all ones, every output channel gets the same change.
    torch.testing.assert_close(change, change[:1, :, :1].expand_as(change))
    assert change.any()


def test_layers_that_share_a_weight_share_its_correction():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    network[1].weight = network[0].weight
    corrections = attach_lora(network)
    assert len(corrections) == 2
    with torch.no_grad():
        corrections[1].normal_()
    attached = network(torch.ones(1, 4))
    merge_lora(network)
    assert network[0].weight is network[1].weight
    torch.testing.assert_close(network(torch.ones(1, 4)), attached)


@pytest.mark.parametrize("seeds", [(1, 1), (1, 2)])
def test_the_start_follows_from_the_seed(seeds, unet):
    starts = [make_strategy("lora", unet.fresh(), head=unet.head, seed=seed).state()[0] for seed in seeds]
    alike = all(torch.equal(value, starts[1][key]) for key, value in starts[0].items())
    assert alike == (seeds[0] == seeds[1])


class Words(nn.Module):
    """A model of words, whose output layer has the embedding's weights."""

    def __init__(self):
        super().__init__()
        self.embedding, self.middle, self.output = nn.Embedding(6, 4), nn.Linear(4, 4), nn.Linear(4, 6, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.output(self.middle(self.embedding(words)).tanh())


def test_a_weight_that_an_embedding_uses_as_well_stays_so_that_the_merged_network_computes_what_was_trained():
    torch.manual_seed(0)
    network, words = Words(), torch.arange(6)
    before = network.embedding.weight.detach().clone()
    strategy = make_strategy("lora", network, head=["output"], lr=0.05)
    for _ in range(3):
        nn.functional.cross_entropy(network(words), words.flip(0)).backward()
        strategy.step()
    trained, promised = network(words).detach(), copy.deepcopy(strategy.plain_state())
    strategy.finish()
    torch.testing.assert_close(network(words), trained)
    assert all(torch.equal(promised[key], value) for key, value in network.state_dict().items())
    assert network.output.weight is network.embedding.weight and torch.equal(network.embedding.weight, before)
