"""What the tables say of rows whose numbers are made up here."""

from __future__ import annotations

import pytest
from quality.guard import choice_key, measured_key
from quality.report import goal_text
from quality.summary import summarise
from quality.versions import mixed_code, mixed_processors

SHOTS = 2
DETECTION = {
    "scans": 1,
    "recall": 0.5,
    "false_positives_per_scan": 1.0,
    "by_short_axis_mm": {size: {"reference": 2, "found": 1, "false_positives": 1} for size in ("<5", "5-10", ">=10")},
}


def identity_of(strategies, training=60):
    split = {"training": [f"scan {n}" for n in range(training)]}
    return {"entrants": dict.fromkeys(strategies), "choosing_draws": 2, "data": {"split": split}}


def rows_of(measured):
    """Rows of strategies by name, each with pairs of target and source Dice, one a draw."""
    rows = []
    for strategy, pairs in measured.items():
        place = {"strategy": strategy, "completeness": "all", "shots": SHOTS, "configuration": {"lr": 0.1}}
        cell = f"{strategy}/all/{SHOTS}"
        rows.append({"key": choice_key(cell), "stage": "choice", "at_edge": False, **place})
        for draw, (target, source) in enumerate(pairs):
            found = {"dice": [target], "surface_dice": [target], "detection": DETECTION}
            numbers = {"weights_changed": 0.1, "seconds": {"train": 1.0}, "peak_memory_mb": 1.0}
            of_source = {"dice": [source]}
            key = measured_key(cell, draw)
            rows.append(
                {"key": key, "stage": "test", "draw": draw, "target": found, "source": of_source, **place, **numbers}
            )
    return {row["key"]: row for row in rows}


def setting_of(measured, training=60):
    (setting,) = summarise(identity_of(measured, training), rows_of(measured))["settings"]
    return setting


def choose_rows(strategy, points):
    """Rows of validation, one configuration (lr) a point of target and source Dice."""
    place = {"strategy": strategy, "completeness": "all", "shots": SHOTS, "stage": "choose", "draw": 0}
    return {
        f"choose/{strategy}/{lr}": {
            **place,
            "key": f"choose/{strategy}/{lr}",
            "configuration": {"lr": lr},
            "target": {"dice": [target]},
            "source": {"dice": [source]},
        }
        for lr, (target, source) in points.items()
    }


def falling(target, source, draws=6):
    return [(target - 0.001 * draw, source - 0.002 * draw) for draw in range(draws)]


def test_dgst_is_compared_with_every_other_strategy_and_corrected_for_their_number():
    setting = setting_of(
        {"dgst": falling(0.7, 0.8), "full": falling(0.7, 0.6), "random": falling(0.6, 0.8), "lora": falling(0.65, 0.7)}
    )

    assert set(setting["focus"]) == {"random", "lora"}
    against_random = setting["focus"]["random"]["target_dice"]
    assert against_random["difference"]["mean"] == pytest.approx(0.1)
    assert against_random["p_holm"] == pytest.approx(2 * 2 / 2**6, abs=1e-6)
    assert (against_random["wins"], setting["focus"]["random"]["source_dice"]["ties"]) == (6, 6)


@pytest.mark.parametrize(
    ("dgst", "met"),
    [(falling(0.7, 0.72), True), (falling(0.7, 0.69), False), (falling(0.69, 0.8), False)],
    ids=["keeps .12 more", "keeps .09 more", "segments worse"],
)
def test_the_goal_is_a_tenth_more_source_dice_at_no_less_target_dice(dgst, met):
    setting = setting_of({"dgst": dgst, "full": falling(0.7, 0.6)})

    assert setting["goal"]["met"] is met
    assert goal_text(setting).startswith("met: target Dice " if met else "not met: target Dice ")


def test_five_pairs_never_meet_the_goal():
    assert not setting_of({"dgst": falling(0.7, 0.8, 5), "full": falling(0.7, 0.6, 5)})["goal"]["met"]


def test_draws_that_share_cases_are_not_tested():
    measured = {"dgst": falling(0.7, 0.8), "full": falling(0.7, 0.6), "random": falling(0.6, 0.8)}
    few, many = setting_of(measured, training=15), setting_of(measured, training=16)

    # Two draws that choose and six that test take two cases each.
    assert (few["draws_share_cases"], many["draws_share_cases"]) == (True, False)
    assert few["strategies"][0]["compared"]["source_dice"]["p"] is None
    assert few["focus"]["random"]["target_dice"]["p_holm"] is None
    assert many["strategies"][0]["compared"]["source_dice"]["p"] is not None
    assert (few["goal"]["met"], many["goal"]["met"]) == (False, True)


def test_on_validation_the_chosen_configuration_stands_beside_the_line_through_those_of_full():
    measured = {"dgst": falling(0.7, 0.8), "full": falling(0.7, 0.6), "lora": falling(0.7, 0.6)}
    full = choose_rows("full", {0.1: (0.6, 0.9), 0.2: (0.7, 0.5)})
    others = choose_rows("dgst", {0.1: (0.65, 0.8)}) | choose_rows("lora", {0.1: (0.71, 0.5)})

    (setting,) = summarise(identity_of(measured), rows_of(measured) | full | others)["settings"]

    assert setting["leads"] == {"dgst": pytest.approx(0.8 - 0.7), "lora": None}  # the line ends at .7


def made_by(rows, **authors):
    """The rows of these strategies with the columns given."""
    return {key: {**row, **authors.get(row["strategy"], {})} for key, row in rows.items()}


def test_rows_of_one_draw_that_different_code_made_are_named():
    rows = rows_of({"dgst": falling(0.7, 0.8, 2), "full": falling(0.7, 0.6, 2), "lora": falling(0.7, 0.6, 1)})
    old, new = {"commit": "0123456789"}, {"commit": "abcdefabcd", "code": "f00f00f00f"}

    assert mixed_code(made_by(rows, dgst=old, full=old, lora=old)) == []
    assert mixed_code(made_by(rows, dgst=new, full={**new, "commit": "another"}, lora=new)) == [], "same code"
    assert mixed_code(made_by(rows, dgst=new, full={"commit": "abcdefabcd"}, lora=new)) == [], "same commit"
    assert mixed_code(made_by(rows, dgst=new, full=old, lora=old)) == [
        "2 cases, every node annotated: dgst by f00f00f; full, lora by 0123456 (draw 0)",
        "2 cases, every node annotated: dgst by f00f00f; full by 0123456 (draw 1)",
    ]
    changed = [{"commit": "abcd+changes", "code": code} for code in ("1111111111", "2222222222")]
    assert len(mixed_code(made_by(rows, dgst=changed[0], full=changed[1], lora=changed[0]))) == 2


def test_rows_of_one_draw_that_were_made_on_different_processors_are_named():
    rows = rows_of({"dgst": falling(0.7, 0.8, 2), "full": falling(0.7, 0.6, 2)})
    one, other = {"processor": "AMD EPYC, 2 cores, AVX2"}, {"processor": "AMD EPYC, 2 cores, AVX512"}

    assert mixed_processors(made_by(rows, dgst=one, full=one)) == []
    assert mixed_processors(made_by(rows, dgst=one, full=other)) == [
        "2 cases, every node annotated: dgst on AMD EPYC, 2 cores, AVX2; full on AMD EPYC, 2 cores, AVX512 (draws 0, 1)"
    ]
