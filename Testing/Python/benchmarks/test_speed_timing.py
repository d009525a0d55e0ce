"""Taking turns, ratios within a round, goals and the rows that they are told from."""

from __future__ import annotations

import pytest
from speed.goals import Goal
from speed.part import find, row
from speed.timing import Estimate, interleaved, ratios


def test_everybody_has_one_turn_a_round_in_an_order_that_changes_but_is_always_the_same():
    def turns() -> list[str]:
        order: list[str] = []
        interleaved({name: (lambda name=name: order.append(name)) for name in "abcd"}, rounds=6, warmup=2)
        return order

    order = turns()
    rounds = ["".join(order[n : n + 4]) for n in range(0, len(order), 4)]
    assert len(rounds) == 8 and all(sorted(one) == list("abcd") for one in rounds)
    assert len(set(rounds)) > 2
    assert turns() == order


def test_only_the_turn_itself_is_on_the_clock():
    called = []
    seconds = interleaved(
        {"a": lambda: called.append("run")},
        rounds=2,
        warmup=1,
        before=lambda name: called.append(f"before {name}"),
        settle=lambda: called.append("settle"),
    )
    assert called == ["before a", "settle", "run", "settle"] * 3
    assert len(seconds["a"]) == 2 and all(value >= 0 for value in seconds["a"])


def test_a_turn_that_fails_ends_the_measurement():
    with pytest.raises(ZeroDivisionError):
        interleaved({"a": lambda: 1 / 0}, rounds=1)


def test_no_contestants_or_no_rounds_are_refused():
    with pytest.raises(ValueError, match="0 contestants cannot take turns in 3 rounds"):
        interleaved({}, rounds=3)
    with pytest.raises(ValueError, match="in 0 rounds"):
        interleaved({"a": print}, rounds=0)


def test_ratios_are_taken_within_a_round():
    """A machine that is three times slower in one round changes no ratio."""
    assert ratios([1.0, 3.0, 1.0], [2.0, 6.0, 2.0]) == [0.5, 0.5, 0.5]
    with pytest.raises(ValueError, match="2 and 1 rounds"):
        ratios([1.0, 2.0], [1.0])


def test_an_estimate_is_the_median_with_its_spread():
    assert Estimate.of([5.0, 1.0, 2.0, 3.0, 4.0]) == Estimate(3.0, 1.0, 5.0, 5, 2.0, 4.0)
    assert Estimate.of([7.0]) == Estimate(7.0, 7.0, 7.0, 1, 7.0, 7.0)
    with pytest.raises(ValueError, match="no median"):
        Estimate.of([])


@pytest.mark.parametrize(
    ("limit", "at_most", "median", "met", "distance"),
    [
        (1.0, True, 1.0, True, 1.0),
        (1.0, True, 1.5, False, 1.5),
        (100.0, False, 50.0, False, 2.0),
        (0.5, False, 1.0, True, 0.5),
    ],
)
def test_a_goal_is_met_up_to_its_limit_and_knows_how_far_it_is(limit, at_most, median, met, distance):
    goal = Goal("a", limit, "x", at_most, Estimate.of([median]), "Why not.")
    assert (goal.met, goal.distance) == (met, distance)


def test_what_was_not_measured_is_neither_met_nor_missed():
    goal = Goal("a", 1.0, "x", True, None, "No GPU.")
    assert (goal.met, goal.distance, goal.to_json()["measured"]) == (None, None, None)


def test_a_row_is_found_by_subject_opponent_and_setting():
    rows = [
        row("p", "DGST", "ratio", [n], {"network": network}, against=against)
        for n, (network, against) in enumerate([("A", "SGD"), ("B", "SGD"), ("B", "AdamW"), ("B", "AdamW")])
    ]
    assert find(rows, "DGST", "ratio", "SGD", network="B")["values"] == [1.0]
    assert find(rows, "DGST", "ratio", "AdamW", network="B")["values"] == [3.0]
    assert find(rows, "DGST", "ratio", "AdamW", network="A") is None
    assert find(rows, "DGST", "seconds", "SGD", network="A") is None


def test_a_row_of_nothing_or_of_an_unknown_quantity_is_refused():
    with pytest.raises(ValueError, match="not 'parsecs'"):
        row("p", "DGST", "parsecs", [1.0], {})
    with pytest.raises(ValueError, match="has no value"):
        row("p", "DGST", "seconds", [], {})
