"""Numbers that can be worked out by hand."""

from __future__ import annotations

import pytest
from quality.statistics import compare, corrected, estimate, holm, least_p, signed_rank_p


def test_a_mean_has_students_interval_over_draws():
    found = estimate([1.0, 2.0, 3.0])

    # t of 2 degrees of freedom at .975 is 4.3027; the standard error of 1, 2, 3 is 1 / sqrt(3).
    assert (found.mean, found.n) == (2.0, 3)
    assert found.low == pytest.approx(2 - 4.30265 / 3**0.5, abs=1e-4)
    assert found.high == pytest.approx(2 + 4.30265 / 3**0.5, abs=1e-4)


def test_one_draw_has_no_interval_and_none_no_mean():
    assert (estimate([0.5]).low, estimate([0.5]).high) == (None, None)
    assert estimate([]) is None


def test_draws_that_all_point_one_way_reach_the_least_p_of_their_number():
    assert signed_rank_p([0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(2 / 2**5) == least_p(5)
    assert signed_rank_p([0.01 * n for n in range(1, 11)]) == pytest.approx(2 / 2**10) == least_p(10)
    assert least_p(5) > 0.05 > least_p(10)


def test_the_signed_rank_test_counts_ranks():
    # Ranks 1 and 2 are negative: sums of ranks up to 3 come from {}, 1, 2, 3, 1+2, so p = 2 * 5 / 2^5.
    assert signed_rank_p([-0.1, -0.2, 0.3, 0.4, 0.5]) == pytest.approx(10 / 32)


def test_equal_pairs_say_nothing():
    assert signed_rank_p([0.0, 0.0]) == 1.0
    assert signed_rank_p([0.0, 0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(2 / 2**5)


def test_equal_differences_share_a_rank_though_their_last_bits_differ():
    # Five ninths less one ninth is not, to the bit, eight less four ninths. Ranks of 4/9, 4/9, -2/9: 2.5, 2.5, 1.
    found = compare({0: 5 / 9, 1: 8 / 9, 2: 1 / 9}, {0: 1 / 9, 1: 4 / 9, 2: 3 / 9})

    # Patterns of signs whose sum of ranks is as far from 3 as 5 is: (0, 1, 5, 6), two of eight are 0 and 6.
    assert found.p == pytest.approx(4 / 8)


def test_ties_are_tested_exactly():
    # Ranks 2, 2, 2 and 4, 5, all positive but one of the 2s: sums of negative ranks of at most 2 come from {} and three
    # single 2s, so p = 2 * 4 / 2^5.
    assert signed_rank_p([0.1, 0.1, -0.1, 0.2, 0.3]) == pytest.approx(8 / 32)


def test_equal_pairs_cannot_reach_significance():
    found = compare(dict(enumerate([0.1, 0.2, 0.3, 0.4, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0])), dict.fromkeys(range(10), 0.0))

    assert found.least_p == least_p(5)
    assert corrected({"a": found})["a"].p_holm is None


def test_holm_multiplies_by_the_number_of_those_not_yet_rejected_and_never_falls():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_only_draws_that_both_have_are_compared():
    found = compare({0: 0.6, 1: 0.5, 2: 0.7, 7: 0.0}, {0: 0.5, 1: 0.504, 2: 0.8, 9: 1.0})

    assert found.difference.n == 3
    assert found.difference.mean == pytest.approx((0.1 - 0.004 - 0.1) / 3)
    assert (found.wins, found.ties, found.losses) == (1, 1, 1)
    assert compare({0: 1.0}, {1: 1.0}) is None


def test_fewer_false_positives_win():
    found = compare({0: 1.0, 1: 3.0}, {0: 2.0, 1: 2.0}, higher_is_better=False)

    assert (found.wins, found.ties, found.losses) == (1, 0, 1)
    assert found.difference.mean == 0.0


def test_only_comparisons_that_could_reach_significance_are_corrected_for():
    ten, five = ({draw: 0.1 * (draw + 1) for draw in range(n)} for n in (10, 5))
    nothing = dict.fromkeys(range(10), 0.0)
    found = corrected({"a": compare(ten, nothing), "b": compare(ten, nothing), "few": compare(five, nothing)})

    assert found["a"].p_holm == pytest.approx(2 * 2 / 2**10)
    assert found["few"].p_holm is None
