"""Rows of ideas into a table: each configuration beside the best of full fine-tuning and beside full's curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .entrants import REFERENCE, as_text
from .measures import mean_of
from .protocol import refused_cells
from .rows import Row
from .statistics import Estimate, estimate, on_curve
from .summary import ANNOTATION, Setting, circumstances_of, plain

AS_TRAINED = "as trained"

ByDraw = dict[int, dict[str, float | None]]
Points = dict[tuple[str, str, str], ByDraw]
"""What was measured, by idea, configuration (as text) and variant."""


def summarise_ideas(identity: Mapping[str, Any], rows: Mapping[str, Row], titles: Mapping[str, str]) -> dict[str, Any]:
    """Everything that the report of ideas tells, as plain values.

    Args:
        identity: what the search was begun with.
        rows: all of it.
        titles: of ideas, by name.
    """
    settings = sorted({(row["completeness"], row["shots"]) for row in rows.values() if row.get("shots")})
    before = next((row for row in rows.values() if row.get("shots") is None and "target" in row), None)
    return {
        "identity": dict(identity),
        "titles": {name: titles.get(name, name) for name in identity["entrants"]},
        "before": None if before is None else _numbers(before, before),
        "settings": [_setting_summary(setting, list(identity["entrants"]), rows) for setting in settings],
        "circumstances": circumstances_of(rows.values()),
        "rows": len(rows),
    }


def _setting_summary(setting: Setting, order: Sequence[str], rows: Mapping[str, Row]) -> dict[str, Any]:
    completeness, shots = setting
    here = {key: row for key, row in rows.items() if (row.get("completeness"), row.get("shots")) == setting}
    refused = {cell.split("/")[0]: reason for cell, reason in refused_cells(here).items()}
    points = _points([row for row in here.values() if row["strategy"] not in refused])
    full = {
        text: draws for (idea, text, variant), draws in points.items() if (idea, variant) == (REFERENCE, AS_TRAINED)
    }
    best = best_of(full)
    configurations = {as_text(row["configuration"]): row["configuration"] for row in here.values() if "target" in row}
    listed = sorted(points, key=lambda point: order.index(point[0]))
    return {
        "title": f"{shots} case{'s' if shots != 1 else ''}, {ANNOTATION.get(completeness, completeness)}",
        "completeness": completeness,
        "shots": shots,
        "refused": refused,
        "reference": None if best is None else configurations[best],
        "points": [
            {
                "idea": idea,
                "configuration": configurations[text],
                "variant": variant,
                "trained": variant == AS_TRAINED,
                "is_reference": (idea, text, variant) == (REFERENCE, best, AS_TRAINED),
                **_compared(points[idea, text, variant], full, best),
            }
            for idea, text, variant in listed
        ],
    }


def _points(rows: Sequence[Row]) -> Points:
    points: Points = {}
    for row in rows:
        measured = {AS_TRAINED: row, **row.get("variants", {})}
        for variant, found in measured.items():
            point = points.setdefault((row["strategy"], as_text(row["configuration"]), variant), {})
            point[row["draw"]] = _numbers(row, found)
    return points


def _numbers(row: Row, found: Mapping[str, Any]) -> dict[str, float | None]:
    return {
        "target_dice": mean_of(found["target"]["dice"]),
        "source_dice": mean_of(found["source"]["dice"]) if found["source"] else None,
        "weights_changed": 100 * row["weights_changed"],
        "seconds": row["seconds"]["train"],
    }


def best_of(full: Mapping[str, ByDraw]) -> str | None:
    """The configuration with the highest mean target Dice among those with the most draws; None of none."""
    most = max((len(draws) for draws in full.values()), default=0)
    complete = {text: _mean(draws, "target_dice") for text, draws in full.items() if len(draws) == most}
    known = {text: dice for text, dice in complete.items() if dice is not None}
    return max(known, key=known.get) if known else None


def _compared(draws: ByDraw, full: Mapping[str, ByDraw], best: str | None) -> dict[str, Any]:
    reference = {} if best is None else full[best]
    return {
        "draws": len(draws),
        **{name: plain(_mean(draws, name)) for name in next(iter(draws.values()))},
        "target_minus_best": _difference(draws, reference, "target_dice"),
        "source_minus_best": _difference(draws, reference, "source_dice"),
        "source_minus_curve": _minus_curve(draws, full, "target_dice", "source_dice"),
        "target_minus_curve": _minus_curve(draws, full, "source_dice", "target_dice"),
    }


def _difference(draws: ByDraw, reference: ByDraw, name: str) -> dict[str, Any] | None:
    """Mean paired difference with its interval, over the draws that both have."""
    return _estimated([_minus(draws[draw][name], reference[draw][name]) for draw in draws.keys() & reference.keys()])


def _minus_curve(draws: ByDraw, full: Mapping[str, ByDraw], along: str, height: str) -> dict[str, Any] | None:
    """Mean over draws of the height above full's curve of the same draw, where the curve reaches so far."""
    heights = []
    for draw, numbers in draws.items():
        curve = [found[draw] for found in full.values() if draw in found]
        places = [(point[along], point[height]) for point in curve]
        heights.append(_minus(numbers[height], on_curve(places, numbers[along])))
    return _estimated(heights)


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _mean(draws: ByDraw, name: str) -> float | None:
    return mean_of(numbers[name] for numbers in draws.values())


def _estimated(values: Sequence[float | None]) -> dict[str, Any] | None:
    found: Estimate | None = estimate([value for value in values if value is not None])
    return None if found is None else plain(asdict(found))
