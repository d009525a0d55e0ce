"""Rows into tables: what was measured of each strategy in each setting, and how it compares with full fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .entrants import FOCUS, REFERENCE
from .measures import QUANTITIES, Quantity, mean_of, quantities_of
from .protocol import BEFORE, refused_cells
from .rows import Row
from .splits import drawn_cases
from .statistics import CONFIDENCE, Comparison, compare, corrected, estimate, on_curve, rounded, untested

SOURCE_GOAL = 0.10
"""How much more source Dice DGST is meant to keep than full fine-tuning, at no lower target Dice."""

ANNOTATION = {"all": "every node annotated", "marked": "a few nodes marked"}

ByDraw = dict[int, dict[str, float | None]]
Setting = tuple[str, int]
Pair = tuple[str, str]


def summarise(identity: Mapping[str, Any], rows: Mapping[str, Row]) -> dict[str, Any]:
    """Everything that the report tells, as plain values.

    Args:
        identity: what the benchmark was begun with.
        rows: all of it.
    """
    settings = sorted({(row["completeness"], row["shots"]) for row in rows.values() if row.get("shots")})
    return {
        "identity": dict(identity),
        "before": _before(rows),
        "settings": [_setting_summary(setting, identity, rows) for setting in settings],
        "circumstances": circumstances_of(rows.values()),
        "rows": len(rows),
        "openings": sum(row["stage"] == "test" and "target" in row for row in rows.values()),
    }


def _setting_summary(setting: Setting, identity: Mapping[str, Any], rows: Mapping[str, Row]) -> dict[str, Any]:
    completeness, shots = setting
    order = list(identity["entrants"])
    here = [row for row in rows.values() if (row.get("completeness"), row.get("shots")) == setting]
    refused = refused_cells({row["key"]: row for row in here})
    refused = {cell.split("/")[0]: reason for cell, reason in refused.items()}
    measured = {name: _by_draw(here, name) for name in order if name not in refused}
    measured = {name: draws for name, draws in measured.items() if draws}
    shared = _share_cases(identity, shots, sorted({draw for draws in measured.values() for draw in draws}))
    compared = _comparisons([(name, REFERENCE) for name in measured if name != REFERENCE], measured, shared)
    focus = _comparisons([(FOCUS, name) for name in measured if name not in (FOCUS, REFERENCE)], measured, shared)
    choices = {row["strategy"]: row for row in here if row["stage"] == "choice"}
    curve = {name: _curve(here, name) for name in order if name not in refused}
    return {
        "title": f"{shots} case{'s' if shots != 1 else ''}, {ANNOTATION.get(completeness, completeness)}",
        "completeness": completeness,
        "shots": shots,
        "refused": refused,
        "draws_share_cases": shared,
        "strategies": [
            _strategy_summary(name, measured[name], compared.get((name, REFERENCE), {}), choices[name])
            for name in measured
        ],
        "focus": {other: _plain_comparisons(found) for (_, other), found in focus.items()},
        "curve": curve,
        "leads": {name: _lead(curve, name, choices[name]["configuration"]) for name in measured if name != REFERENCE},
        "goal": _goal(measured, shared),
    }


def _share_cases(identity: Mapping[str, Any], shots: int, draws: Sequence[int]) -> bool:
    """Whether a case is learned from in more than one of the test ``draws``, or was in a draw that chose."""
    pool, choosing = len(identity["data"]["split"]["training"]), identity["choosing_draws"]
    numbers = [*range(choosing), *(choosing + draw for draw in draws)]
    cases = [case for number in numbers for case in drawn_cases(pool, shots, number)]
    return len(set(cases)) < len(cases)


def _by_draw(rows: Iterable[Row], strategy: str) -> ByDraw:
    tested = [row for row in rows if row["stage"] == "test" and row["strategy"] == strategy and "target" in row]
    return {row["draw"]: quantities_of(row) for row in sorted(tested, key=lambda row: row["draw"])}


def _values(draws: ByDraw, quantity: str) -> dict[int, float]:
    return {draw: numbers[quantity] for draw, numbers in draws.items() if numbers[quantity] is not None}


def _comparisons(
    pairs: Sequence[Pair], measured: Mapping[str, ByDraw], shared: bool
) -> dict[Pair, dict[str, Comparison]]:
    """Of the first of each pair minus the second, by quantity, corrected over the pairs of one quantity."""
    result: dict[Pair, dict[str, Comparison]] = {}
    for quantity in QUANTITIES:
        if quantity.compared:
            found = {pair: _comparison(quantity, pair, measured, shared) for pair in pairs}
            for pair, one in corrected({pair: one for pair, one in found.items() if one is not None}).items():
                result.setdefault(pair, {})[quantity.name] = one
    return result


def _comparison(quantity: Quantity, pair: Pair, measured: Mapping[str, ByDraw], shared: bool) -> Comparison | None:
    """Not tested where draws share cases."""
    found = compare(*(_values(measured.get(name, {}), quantity.name) for name in pair), quantity.higher_is_better)
    return untested(found) if found is not None and shared else found


def _plain_comparisons(found: Mapping[str, Comparison]) -> dict[str, Any]:
    return {quantity: plain(asdict(one)) for quantity, one in found.items()}


def _strategy_summary(
    name: str, draws: ByDraw, compared: Mapping[str, Comparison], chosen: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "strategy": name,
        "draws": len(draws),
        "configuration": chosen["configuration"],
        "at_edge": chosen["at_edge"],
        "points": [
            {"draw": draw, **{name: rounded(numbers[name]) for name in ("source_dice", "target_dice")}}
            for draw, numbers in draws.items()
        ],
        "quantities": {quantity.name: _estimated(draws, quantity.name) for quantity in QUANTITIES},
        "compared": _plain_comparisons(compared),
    }


def _estimated(draws: ByDraw, quantity: str) -> dict[str, Any] | None:
    found = estimate(list(_values(draws, quantity).values()))
    return None if found is None else plain(asdict(found))


def _curve(rows: Iterable[Row], strategy: str) -> list[dict[str, Any]]:
    """Target and source Dice on the validation scans over the configurations that were tried, in their order."""
    points: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["stage"] == "choose" and row["strategy"] == strategy and "target" in row:
            text = str(sorted(row["configuration"].items()))
            point = points.setdefault(text, {"configuration": row["configuration"], "target": [], "source": []})
            point["target"].append(mean_of(row["target"]["dice"]))
            point["source"].append(mean_of(row["source"]["dice"]) if row["source"] else None)
    return [
        {
            "configuration": point["configuration"],
            "target_dice": rounded(mean_of(point["target"])),
            "source_dice": rounded(mean_of(point["source"])),
            "draws": len(point["target"]),
        }
        for point in sorted(points.values(), key=lambda point: point["configuration"].get("lr", 0.0))
    ]


def _lead(curve: Mapping[str, list[dict[str, Any]]], name: str, chosen: Mapping[str, Any]) -> float | None:
    """Validation source Dice of the chosen configuration above the line through those of full fine-tuning, at the
    same target Dice; None where that line does not reach so far."""
    at = next((point for point in curve[name] if point["configuration"] == chosen), None)
    places = [(point["target_dice"], point["source_dice"]) for point in curve.get(REFERENCE, [])]
    line = None if at is None else on_curve(places, at["target_dice"])
    return None if line is None or at["source_dice"] is None else rounded(at["source_dice"] - line)


def _goal(measured: Mapping[str, ByDraw], shared: bool) -> dict[str, Any] | None:
    """How far DGST is from keeping 0.10 more source Dice than full fine-tuning at no lower target Dice.

    Of all comparisons this one was meant to be tested from the start, so that its p is not corrected.
    """
    named = {quantity.name: quantity for quantity in QUANTITIES}
    target, source = (
        _comparison(named[name], (FOCUS, REFERENCE), measured, shared) for name in ("target_dice", "source_dice")
    )
    if target is None or source is None:
        return None
    met = target.difference.mean >= 0 and source.difference.mean >= SOURCE_GOAL
    return {
        "target_difference": plain(asdict(target)),
        "source_difference": plain(asdict(source)),
        "source_wanted": SOURCE_GOAL,
        "met": bool(met and source.p is not None and source.p < 1 - CONFIDENCE),
    }


def _before(rows: Mapping[str, Row]) -> dict[str, Any]:
    """The foundation model as it is, on both splits."""
    found = {row["stage"]: row for row in rows.values() if row["strategy"] == BEFORE and "target" in row}
    return {stage: plain(quantities_of(row)) for stage, row in found.items()}


def circumstances_of(rows: Iterable[Row]) -> dict[str, list[str]]:
    made = [row for row in rows if "processor" in row]
    names = ("processor", "device", "precision", "threads", "torch", "commit", "code")
    found = {name: sorted({str(row[name]) for row in made if name in row}) for name in names}
    return {name: values for name, values in found.items() if values or name != "code"}


def plain(values: Any) -> Any:
    """Numbers rounded for files, within dicts."""
    if isinstance(values, dict):
        return {name: plain(value) for name, value in values.items()}
    return rounded(values) if isinstance(values, float) else values
