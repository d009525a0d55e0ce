"""What a benchmark leaves: a page with tables and figures, the same numbers as CSV and JSON, a table for a README."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from quality.pages import templates

from DGSTSegmentLib.atomic import write_text

from . import figures
from .summary import SHARED, setting_text, summarise

REPORT_FILE, CSV_FILE, JSON_FILE = "report.html", "speed.csv", "speed.json"
GOALS_FILE, GROWTH_FILE = "goals.svg", "growth.svg"
CSV_COLUMNS = (
    "part", *SHARED, "setting", "subject", "against", "quantity", "median", "low", "high", "n", "lower_quartile",
    "upper_quartile",
)  # fmt: skip


def write_report(folder: Path, modules: Sequence[ModuleType]) -> dict[str, Any]:
    """Write page, CSV, JSON and the figures for a README from the rows in ``folder``; returns what the JSON holds.

    Raises:
        InputError: a file cannot be written.
    """
    summary = summarise(folder, modules)
    write_text(folder / JSON_FILE, json.dumps(summary, indent=1, allow_nan=False) + "\n")
    write_text(folder / CSV_FILE, csv_text(summary))
    write_text(folder / REPORT_FILE, page(summary))
    grown = next((part for part in summary["parts"] if part["name"] == "scaling"), None)
    drawn = {GOALS_FILE: figures.distances(summary), GROWTH_FILE: grown and figures.growth(grown)}
    for name, figure in drawn.items():
        if figure is not None:
            write_text(folder / name, figure + "\n")
    return summary


def page(summary: Mapping[str, Any]) -> str:
    """The report: one HTML page that needs nothing beside it."""
    filters = {"limit": limit_text, "spread": spread_text, "verdict": verdict_text, "middle": middle_text}
    drawn = [figures.growth(part) if part["name"] == "scaling" else figures.bars(part) for part in summary["parts"]]
    return (
        templates(filters, Path(__file__).parent / "templates")
        .get_template("report.html")
        .render(summary, figures=drawn)
    )


def csv_text(summary: Mapping[str, Any]) -> str:
    """One line a row, with its estimate."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for part in summary["parts"]:
        for group in part["settings"]:
            for line in group["lines"]:
                shared = [line["setting"].get(name) for name in SHARED]
                what = [setting_text(group["setting"]), line["subject"], line["against"], line["quantity"]]
                writer.writerow([part["name"], *shared, *what, *line["estimate"].values()])
    return text.getvalue()


def markdown_table(summary: Mapping[str, Any]) -> str:
    """The goals for a README, rounded; a test can derive it anew from committed rows."""
    lines = [["goal", "device", "limit", "measured: median (least to greatest)", "met"], ["---"] * 5]
    for part in summary["parts"]:
        for goal in part["goals"]:
            measured = spread_text(goal["measured"], goal["unit"])
            lines.append([goal["title"], part["device"], limit_text(goal), measured, verdict_text(goal)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def limit_text(goal: Mapping[str, Any]) -> str:
    """``at most 0.01 x``."""
    return f"at {'most' if goal['at_most'] else 'least'} {goal['limit']:g} {goal['unit']}".strip()


def verdict_text(goal: Mapping[str, Any]) -> str:
    """``yes``, ``no, by a factor of 1.34``, ``no, by less than 1 %`` or ``not measured``."""
    if goal["met"] is None:
        return "not measured"
    if goal["met"]:
        return "yes"
    if goal["distance"] is None:
        return "no"
    return "no, by less than 1 %" if goal["distance"] < 1.01 else f"no, by a factor of {goal['distance']:.3g}"


def spread_text(estimate: Mapping[str, Any] | None, unit: str = "") -> str:
    """``0.85 x (0.83 to 0.9)``; a dash where nothing was measured."""
    if estimate is None:
        return "–"
    median, low, high = (number_text(estimate[name], unit) for name in ("median", "low", "high"))
    return f"{median} ({low} to {high})" if estimate["n"] > 1 else median


def middle_text(estimate: Mapping[str, Any], unit: str = "") -> str:
    """The quartiles."""
    return " to ".join(number_text(estimate[name], unit) for name in ("lower_quartile", "upper_quartile"))


def number_text(value: float, unit: str = "") -> str:
    """Three digits and the unit that suits the size: seconds below one as milliseconds."""
    if unit in ("s", "seconds"):
        return f"{_three_digits(1000 * value)} ms" if value < 1 else f"{_three_digits(value)} s"
    return f"{_three_digits(value)} {'' if unit in ('ratio', 'Dice', 'x') else unit}".strip()


def _three_digits(value: float) -> str:
    """Never in powers of ten."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-4 else f"{value:.1e}"
