"""Rows are output channels by module type, and the selection is exact on every path."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils import weight_norm as old_weight_norm

from DGSTSegmentLib.dgst import RowLayout, top_entries
from DGSTSegmentLib.dgst.partition import partition
from DGSTSegmentLib.dgst.selection import random_entries
from DGSTSegmentLib.dgst.selectors import seeded_generator


@pytest.mark.parametrize(
    ("module", "channels", "image"),
    [
        (nn.Conv3d(2, 5, 3), 5, (1, 2, 4, 4, 4)),
        (nn.Conv2d(4, 6, 3, groups=2), 6, (1, 4, 5, 5)),
        (nn.Conv3d(4, 4, 3, groups=4), 4, (1, 4, 4, 4, 4)),
        (nn.ConvTranspose3d(3, 5, 2, stride=2), 5, (1, 3, 2, 2, 2)),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), 6, (1, 4, 3, 3)),
        (nn.ConvTranspose1d(4, 4, 2, groups=4), 4, (1, 4, 3)),
        (nn.Linear(7, 3), 3, None),
    ],
)
def test_a_row_holds_exactly_the_weights_of_one_output_channel(module, channels, image):
    layout = RowLayout.of(module, module.weight)
    assert layout.rows == channels
    assert layout.rows * layout.length == module.weight.numel()
    inputs = torch.rand(image) + 1 if image else torch.rand(2, 7) + 1
    for channel in range(channels):
        module.zero_grad()
        output = module(inputs)
        (output[:, channel] if image else output[..., channel]).sum().backward()
        rows = layout.to_rows(module.weight.grad)
        assert (rows[channel] != 0).all()
        assert not rows[[n for n in range(channels) if n != channel]].any()


@pytest.mark.parametrize(
    ("normed", "direction"),
    [
        (parametrizations.weight_norm, "parametrizations.weight.original1"),
        (parametrizations.spectral_norm, "parametrizations.weight.original"),
        (old_weight_norm, "weight_v"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated")
def test_what_the_weight_of_a_transposed_convolution_is_computed_from_has_its_rows(normed, direction):
    plain, network = nn.ConvTranspose2d(6, 4, 2, groups=2), normed(nn.ConvTranspose2d(6, 4, 2, groups=2))
    layouts = {member.name: member.layout for member in partition(network).rows}
    assert layouts[direction] == RowLayout.of(plain, plain.weight)


@pytest.mark.parametrize("module", [nn.Conv2d(4, 6, 3, groups=2), nn.ConvTranspose2d(4, 6, 3, groups=2)])
def test_flat_indices_and_rows_name_the_same_weights(module):
    weight = module.weight
    layout = RowLayout.of(module, weight)
    rows = layout.to_rows(weight)
    columns = torch.arange(layout.length).expand(layout.rows, -1)
    assert torch.equal(weight.reshape(-1)[layout.flat_indices(columns)], rows)
    assert torch.equal(layout.from_rows(rows, weight.shape), weight)


def test_tables_and_projections_of_any_module_have_rows_along_their_first_axis():
    attention = nn.MultiheadAttention(6, 2)
    layout = RowLayout.of(attention, attention.in_proj_weight)
    assert (layout.rows, layout.length) == (18, 6)
    with pytest.raises(ValueError, match="has no rows"):
        RowLayout.of(attention, attention.in_proj_bias)


@pytest.mark.parametrize(
    ("shape", "rows", "length"),
    [
        ((1, 5, 4), 5, 4),
        ((1, 1, 4), 1, 4),
        ((1, 1, 3, 1, 4), 3, 4),
        ((1, 4), 1, 4),
        ((3, 1, 1), 3, 1),
        ((2, 1, 4), 2, 4),
    ],
)
def test_a_table_that_is_broadcast_has_its_rows_behind_the_axes_for_that(shape, rows, length):
    table = torch.randn(shape)
    layout = RowLayout.of(nn.Module(), table)
    assert (layout.rows, layout.length) == (rows, length)
    columns = torch.arange(length).expand(rows, -1)
    assert torch.equal(table.reshape(-1)[layout.flat_indices(columns)], layout.to_rows(table))


def test_a_convolution_with_one_output_is_one_row():
    assert RowLayout.of(nn.Conv2d(4, 1, 3), nn.Conv2d(4, 1, 3).weight).rows == 1


def test_a_bilinear_layer_with_one_output_is_one_row():
    module = nn.Bilinear(5, 6, 1)
    layout = RowLayout.of(module, module.weight)
    assert (layout.rows, layout.length) == (1, 30)


def test_types_decide_what_is_a_row_whatever_the_names_say():
    class Misnamed(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm_bias = nn.Conv2d(1, 4, 3)
            self.conv = nn.GroupNorm(2, 4)
            self.layer_norm_table = nn.Parameter(torch.randn(5, 4))
            self.weight_of_shape = nn.LayerNorm([4, 3])
            self.frozen = nn.Linear(3, 3).requires_grad_(False)
            self.scale = nn.Parameter(torch.ones(()))
            self.last = nn.ModuleList([nn.ConvTranspose2d(4, 2, 2)])

    parts = partition(Misnamed(), head=["last.0"])
    assert [m.name for m in parts.rows] == ["layer_norm_table", "norm_bias.weight"]
    assert {m.name for m in parts.always_on} == {
        "norm_bias.bias",
        "conv.weight",
        "conv.bias",
        "weight_of_shape.weight",
        "weight_of_shape.bias",
        "scale",
        "last.0.weight",
        "last.0.bias",
    }
    assert {m.name for m in parts.frozen} == {"frozen.weight", "frozen.bias"}


def test_the_caller_can_say_what_is_always_on_instead():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 1))
    parts = partition(network, head=["2"], always_on=["1", "0.bias"])
    assert [m.name for m in parts.always_on] == ["0.bias", "1.weight", "1.bias"]
    assert [m.name for m in parts.rows] == ["0.weight", "2.weight"]
    assert [m.name for m in parts.frozen] == ["2.bias"]


def test_shared_modules_and_tied_weights_count_once():
    first = nn.Linear(4, 4)
    network = nn.ModuleDict({"a": first, "again": first, "tied": nn.Linear(4, 4)})
    network["tied"].weight = first.weight
    assert [m.name for m in partition(network).rows] == ["a.weight"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("length", [1, 3, 63, 64, 65, 500, 8640 + 17])
@pytest.mark.parametrize("gamma", [1, 2, 5, 70])
def test_the_largest_are_found_exactly_and_of_equals_the_first(dtype, length, gamma):
    rows = torch.randn(6, length, generator=torch.Generator().manual_seed(length)).to(dtype)
    rows[1] = 0
    rows[2] = rows[2].sign()
    rows[3, -1] = -9
    expected = np.argsort(-rows.abs().double().numpy(), axis=1, kind="stable")[:, :gamma]
    found = top_entries(rows, gamma)
    assert found.shape == (6, min(gamma, length))
    assert torch.equal(found, torch.from_numpy(expected))


@pytest.mark.parametrize("length", [640, 641, 700, 703, 1728])
@pytest.mark.parametrize("gamma", [1, 2, 4, 5, 8, 9])
@pytest.mark.parametrize("stored", ["by rows", "by columns"])
def test_among_many_equals_the_first_are_found_even_in_a_last_chunk_that_is_short(length, gamma, stored):
    rows = torch.randint(-3, 4, (9, length), generator=torch.Generator().manual_seed(gamma)).float()
    rows[0], rows[1], rows[2] = 0.0, -0.0, 0.0
    rows[2, ::2] = -0.0
    rows[3], rows[3, -3:] = 1.0, -5.0
    rows[4, :-70], rows[4, -70:] = 0.0, 2.0
    expected = np.argsort(-rows.abs().numpy(), axis=1, kind="stable")[:, :gamma]
    given = rows if stored == "by rows" else rows.t().contiguous().t()
    assert torch.equal(top_entries(given, gamma), torch.from_numpy(expected))


@pytest.mark.parametrize("gamma", [1, 3, 9])
def test_rows_that_are_not_finite_still_give_columns_of_theirs(gamma):
    """In-backward selection looks at gradients before anybody knows whether they are finite."""
    rows = torch.randn(4, 1300, generator=torch.Generator().manual_seed(0))
    rows[0], rows[1, 7], rows[2, -1], rows[3, 5] = float("nan"), -float("nan"), float("inf"), -float("inf")
    found = top_entries(rows, gamma)
    assert found.min() >= 0 and found.max() < 1300
    assert all(len(set(row)) == gamma for row in found.tolist())
    assert [row[0] for row in found.tolist()] == [0, 7, 1299, 5]


def test_a_row_of_a_million_weights_needs_no_square_of_them():
    rows = torch.zeros(2, 2**20)
    rows[0, 1_000_000], rows[0, 5], rows[1, 77] = -3.0, 2.0, 1.0
    assert top_entries(rows, 2).tolist() == [[1_000_000, 5], [77, 0]]


def test_a_gamma_below_one_and_what_is_no_matrix_are_refused():
    with pytest.raises(ValueError, match="gamma must be at least 1, not 0"):
        top_entries(torch.zeros(2, 3), 0)
    with pytest.raises(ValueError, match=r"not of shape \(3,\)"):
        top_entries(torch.zeros(3), 1)


@pytest.mark.parametrize(("length", "gamma"), [(5, 2), (5, 4), (3, 7), (1, 1)])
def test_random_entries_of_a_row_never_repeat(length, gamma):
    chosen = random_entries(200, length, gamma, seeded_generator(0))
    assert chosen.shape == (200, min(gamma, length))
    assert chosen.min() >= 0 and chosen.max() < length
    assert all(len(set(row)) == len(row) for row in chosen.tolist())


def test_random_entries_are_equally_likely():
    chosen = random_entries(20_000, 5, 2, seeded_generator(1))
    pairs = torch.zeros(5, 5).index_put_((chosen.min(1).values, chosen.max(1).values), torch.ones(20_000), True)
    expected, deviation = 2000, (20_000 * 0.1 * 0.9) ** 0.5
    assert (pairs[torch.triu(torch.ones(5, 5), 1) > 0] - expected).abs().max() < 5 * deviation
