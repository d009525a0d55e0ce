"""What two masks with a place have in common, against the same masks on the whole grid."""

from __future__ import annotations

import numpy as np
import pytest


def placed(whole):
    from DGSTSegmentLib.panel.placed import PlacedMask

    first = np.argwhere(whole).min(axis=0)
    box = tuple(slice(a, b + 1) for a, b in zip(first, np.argwhere(whole).max(axis=0), strict=True))
    return PlacedMask(whole[box], tuple(int(n) for n in first))


def on_grid(one, shape):
    whole = np.zeros(shape, bool)
    whole[tuple(slice(a, b) for a, b in one.box)] = one.mask
    return whole


@pytest.mark.parametrize("seed", range(6))
def test_shared_and_united_masks_are_those_of_the_whole_grid(module, seed):
    rng = np.random.default_rng(seed)
    wholes = []
    for _ in range(2):
        low = rng.integers(0, 6, 3)
        whole = np.zeros((12, 13, 14), bool)
        part = whole[tuple(slice(a, a + n) for a, n in zip(low, rng.integers(3, 7, 3), strict=True))]
        part[...] = rng.random(part.shape) < 0.6
        wholes.append(whole)
    one, other = map(placed, wholes)
    assert one.shared(other) == np.count_nonzero(wholes[0] & wholes[1])
    np.testing.assert_array_equal(on_grid(one.united(other), wholes[0].shape), wholes[0] | wholes[1])


def test_a_whole_mask_fits_into_the_smallest_box_around_it(module):
    from DGSTSegmentLib.panel.placed import PlacedMask

    whole = np.zeros((9, 10, 11), bool)
    whole[2, 3:5, 4] = whole[6, 4, 5:8] = True
    tight, wanted = PlacedMask.of(whole).tight(), placed(whole)
    assert PlacedMask.of(whole).box == ((0, 9), (0, 10), (0, 11))
    assert tight.box == wanted.box == ((2, 7), (3, 5), (4, 8))
    np.testing.assert_array_equal(tight.mask, wanted.mask)
    np.testing.assert_array_equal(whole[tight.slices], tight.mask)
    assert PlacedMask(whole[1:], (1, 0, 0)).tight().box == tight.box


@pytest.mark.parametrize(("shift", "same"), [(0, True), (2, True), (3, False), (9, False)])
def test_two_masks_are_one_node_from_half_of_the_smaller_one_on(module, shift, same):
    wholes = np.zeros((2, 4, 4, 16), bool)
    wholes[0, 1:3, 1:3, 0:4] = True
    wholes[1, 1:3, 1:3, shift : shift + 6] = True
    one, other = map(placed, wholes)
    assert one.isSameNode(other) == other.isSameNode(one) == same
