"""Every strategy gets the same: cases, seeds, effort; and the parts of the data stay apart."""

from __future__ import annotations

import pytest
from quality.data import Sizes, open_pool
from quality.entrants import MANY_DRAWS, known_entrants
from quality.protocol import Cell, Piece, Protocol, choice, pieces
from quality.rows import Rows
from quality.splits import drawn_cases

from DGSTSegmentLib.dgst.registry import STRATEGIES
from DGSTSegmentLib.errors import InputError


def test_every_strategy_of_the_registry_takes_part_with_as_many_configurations():
    entrants = known_entrants()

    assert {entrant.law for entrant in entrants.values()} == set(STRATEGIES)
    assert len({len(entrant.configurations) for entrant in entrants.values()}) == 1


def test_draws_are_paired_across_strategies_and_apart_from_those_of_the_choice():
    protocol, entrants = Protocol(), known_entrants()
    todo = [piece for piece in pieces(protocol, entrants) if piece.cell]

    for setting in {(piece.cell.completeness, piece.cell.shots) for piece in todo}:
        here = [p for p in todo if (p.cell.completeness, p.cell.shots) == setting]
        chosen_on, tested_on = (
            {p.case_draw(protocol) for p in here if p.stage == stage} for stage in ("choose", "test")
        )
        assert not chosen_on & tested_on
        of_full = [p.case_draw(protocol) for p in here if p.cell.entrant == "full" and p.stage == "test"]
        for name in entrants:
            draws = [p.case_draw(protocol) for p in here if p.cell.entrant == name and p.stage == "test"]
            assert draws == of_full[: len(draws)]
            assert len(draws) == (10 if name in MANY_DRAWS else 6)


def test_draws_share_no_case_as_long_as_the_pool_lasts():
    draws = [drawn_cases(60, 5, draw) for draw in range(12)]

    assert sorted(case for draw in draws for case in draw) == list(range(60))
    assert drawn_cases(60, 5, 3) == drawn_cases(60, 5, 3)
    assert len(set(drawn_cases(4, 3, 7))) == 3
    with pytest.raises(InputError, match="fewer shots"):
        drawn_cases(4, 5, 0)


def test_the_best_configuration_on_the_validation_scans_is_chosen_once_all_were_tried(entrant):
    tried = entrant("full", configurations=({"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}))
    cell, protocol = Cell("full", "all", 1), Protocol(choosing_draws=1)
    rows = {
        Piece("choose", cell, 0, configuration).key: {"target": {"dice": [dice, None]}}
        for configuration, dice in zip(tried.configurations, (0.4, 0.6, 0.5), strict=True)
    }

    chosen = choice(cell, tried, protocol, rows)

    assert (chosen["configuration"], chosen["at_edge"]) == ({"lr": 0.2}, False)
    key = Piece("choose", cell, 0, {"lr": 0.1}).key
    close = {**rows, key: {"target": {"dice": [0.59]}, "source": {"dice": [0.5]}}}
    assert choice(cell, tried, protocol, close)["configuration"] == {"lr": 0.1}, "as good, and forgets less"
    rows[key] = {"target": {"dice": [0.57]}, "source": {"dice": [0.9]}}
    assert choice(cell, tried, protocol, rows)["configuration"] == {"lr": 0.2}, "worse, however little it forgets"
    assert choice(cell, tried, protocol, dict(list(rows.items())[:2])) is None


def test_unequal_effort_is_refused(small_benchmark, entrant):
    with pytest.raises(InputError, match="give every strategy as many"):
        small_benchmark(entrant("full"), entrant("dgst", configurations=({"lr": 0.1}, {"lr": 0.2})))


def test_a_folder_does_not_go_on_with_another_benchmark(small_benchmark, entrant):
    small_benchmark(entrant("full"))

    small_benchmark(entrant("full"), entrant("dgst"), draws=5)
    with pytest.raises(InputError, match="another steps"):
        small_benchmark(entrant("full"), steps=3)
    with pytest.raises(InputError, match="other configurations"):
        small_benchmark(entrant("full", configurations=({"lr": 0.5},)))


def test_phantoms_of_different_parts_are_different_and_those_to_learn_from_have_nodes(tmp_path):
    pool = open_pool("phantoms", Rows(tmp_path), Sizes(3, 2, 2, 1, 1), source="phantoms")

    names = [name for part in pool.split.values() for name in part]
    assert len(names) == len(set(names)) == 9
    assert all(scan.occupied for scan in pool.training)
    assert not any(scan.occupied for scan in pool.validation)
