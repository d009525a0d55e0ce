"""Rows into tables: what was measured of each strategy in each setting, and how it compares with full fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .entrants import REFERENCE
from .measures import QUANTITIES, Quantity, mean_of, quantities_of
from .protocol import BEFORE, refused_cells
from .rows import Row
from .statistics import Comparison, compare, corrected, estimate, rounded

SOURCE_GOAL = 0.10
"""How much more source Dice DGST is meant to keep than full fine-tuning, at no lower target Dice."""

ANNOTATION = {"all": "every node annotated", "marked": "a few nodes marked"}

ByDraw = dict[int, dict[str, float | None]]
Setting = tuple[str, int]


def summarise(identity: Mapping[str, Any], rows: Mapping[str, Row]) -> dict[str, Any]:
    """Everything that the report tells, as plain values.

    Args:
        identity: what the benchmark was begun with.
        rows: all of it.
    """
    settings = sorted({(row["completeness"], row["shots"]) for row in rows.values() if row.get("shots")})
    order = list(identity["entrants"])
    return {
        "identity": dict(identity),
        "before": _before(rows),
        "settings": [_setting_summary(setting, order, rows) for setting in settings],
        "circumstances": circumstances_of(rows.values()),
        "rows": len(rows),
        "openings": sum(row["stage"] == "test" and "target" in row for row in rows.values()),
    }


def _setting_summary(setting: Setting, order: Sequence[str], rows: Mapping[str, Row]) -> dict[str, Any]:
    completeness, shots = setting
    here = [row for row in rows.values() if (row.get("completeness"), row.get("shots")) == setting]
    refused = refused_cells({row["key"]: row for row in here})
    refused = {cell.split("/")[0]: reason for cell, reason in refused.items()}
    measured = {name: _by_draw(here, name) for name in order if name not in refused}
    measured = {name: draws for name, draws in measured.items() if draws}
    compared = _comparisons(measured)
    choices = {row["strategy"]: row for row in here if row["stage"] == "choice"}
    return {
        "title": f"{shots} case{'s' if shots != 1 else ''}, {ANNOTATION.get(completeness, completeness)}",
        "completeness": completeness,
        "shots": shots,
        "refused": refused,
        "strategies": [
            _strategy_summary(name, measured[name], compared.get(name, {}), choices[name]) for name in measured
        ],
        "curve": {name: _curve(here, name) for name in order if name not in refused},
        "goal": _goal(measured),
    }


def _by_draw(rows: Iterable[Row], strategy: str) -> ByDraw:
    tested = [row for row in rows if row["stage"] == "test" and row["strategy"] == strategy and "target" in row]
    return {row["draw"]: quantities_of(row) for row in sorted(tested, key=lambda row: row["draw"])}


def _values(draws: ByDraw, quantity: str) -> dict[int, float]:
    return {draw: numbers[quantity] for draw, numbers in draws.items() if numbers[quantity] is not None}


def _comparisons(measured: Mapping[str, ByDraw]) -> dict[str, dict[str, Comparison]]:
    """By strategy and quantity, corrected over the strategies of one quantity."""
    result: dict[str, dict[str, Comparison]] = {}
    for quantity in QUANTITIES:
        if not quantity.compared or REFERENCE not in measured:
            continue
        for name, one in corrected(_comparisons_of(quantity, measured)).items():
            result.setdefault(name, {})[quantity.name] = one
    return result


def _comparisons_of(quantity: Quantity, measured: Mapping[str, ByDraw]) -> dict[str, Comparison]:
    reference = _values(measured[REFERENCE], quantity.name)
    found = {
        name: compare(_values(draws, quantity.name), reference, quantity.higher_is_better)
        for name, draws in measured.items()
        if name != REFERENCE
    }
    return {name: one for name, one in found.items() if one is not None}


def _strategy_summary(
    name: str, draws: ByDraw, compared: Mapping[str, Comparison], chosen: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "strategy": name,
        "draws": len(draws),
        "configuration": chosen["configuration"],
        "at_edge": chosen["at_edge"],
        "quantities": {quantity.name: _estimated(draws, quantity.name) for quantity in QUANTITIES},
        "compared": {quantity: plain(asdict(one)) for quantity, one in compared.items()},
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


def _goal(measured: Mapping[str, ByDraw]) -> dict[str, Any] | None:
    """How far DGST is from keeping 0.10 more source Dice than full fine-tuning at no lower target Dice."""
    if REFERENCE not in measured or "dgst" not in measured:
        return None
    target, source = (
        compare(_values(measured["dgst"], name), _values(measured[REFERENCE], name))
        for name in ("target_dice", "source_dice")
    )
    if target is None or source is None:
        return None
    return {
        "target_difference": plain(asdict(target)),
        "source_difference": plain(asdict(source)),
        "source_wanted": SOURCE_GOAL,
        "met": bool(
            target.difference.mean >= 0
            and source.difference.mean >= SOURCE_GOAL
            and source.difference.low is not None
            and source.difference.low > 0
            and source.p < 0.05
        ),
    }


def _before(rows: Mapping[str, Row]) -> dict[str, Any]:
    """The foundation model as it is, on both splits."""
    found = {row["stage"]: row for row in rows.values() if row["strategy"] == BEFORE and "target" in row}
    return {stage: plain(quantities_of(row)) for stage, row in found.items()}


def circumstances_of(rows: Iterable[Row]) -> dict[str, list[str]]:
    made = [row for row in rows if "processor" in row]
    names = ("processor", "device", "precision", "threads", "torch", "commit")
    return {name: sorted({str(row[name]) for row in made}) for name in names}


def plain(values: Any) -> Any:
    """Numbers rounded for files, within dicts."""
    if isinstance(values, dict):
        return {name: plain(value) for name, value in values.items()}
    return rounded(values) if isinstance(values, float) else values
