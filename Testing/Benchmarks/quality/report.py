"""What a benchmark leaves: a page with tables and figures, the same numbers as CSV and JSON, a table for a README."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

from DGSTSegmentLib.atomic import write_text

from . import figures, pages
from .entrants import REFERENCE
from .measures import QUANTITIES, Quantity
from .protocol import TOLERANCE
from .rows import Rows
from .settings import read_identity
from .statistics import CONFIDENCE, TIE
from .summary import summarise

REPORT_FILE, CSV_FILE, JSON_FILE, FIGURE_FILE = "report.html", "summary.csv", "summary.json", "tested.svg"
README_QUANTITIES = ("target_dice", "source_dice", "recall", "false_positives", "weights_changed", "seconds")
MAIN_QUANTITIES = ("target_dice", "surface_dice", "source_dice", "recall", "false_positives", "weights_changed")
COST_QUANTITIES = ("seconds", "peak_memory_mb")
CSV_COLUMNS = (
    "completeness", "shots", "strategy", "quantity", "mean", "low", "high", "draws", "difference", "difference_low",
    "difference_high", "pairs", "p", "p_holm", "least_p", "wins", "ties", "losses",
)  # fmt: skip


def write_report(folder: Path, missing: int = 0) -> dict[str, Any]:
    """Write page, CSV, JSON and the figure for a README from the rows in ``folder``; returns what the JSON holds.

    Args:
        folder: of the benchmark.
        missing: pieces of work that are still to be done.

    Raises:
        InputError: no benchmark lies there, or a file cannot be written.
    """
    summary = {**summarise(read_identity(folder), Rows(folder).read()), "missing": missing}
    write_text(folder / JSON_FILE, json.dumps(summary, indent=1, allow_nan=False) + "\n")
    write_text(folder / CSV_FILE, csv_text(summary))
    write_text(folder / REPORT_FILE, page(summary))
    figure = figures.tested(summary)
    if figure is not None:
        write_text(folder / FIGURE_FILE, figure + "\n")
    return summary


def page(summary: Mapping[str, Any]) -> str:
    """The report: one HTML page that needs nothing beside it."""
    named = {quantity.name: quantity for quantity in QUANTITIES}
    return (
        templates()
        .get_template("report.html")
        .render(
            summary,
            main=[named[name] for name in MAIN_QUANTITIES],
            sizes=[quantity for quantity in QUANTITIES if quantity.name.endswith(" mm")],
            cost=[named[name] for name in COST_QUANTITIES],
            compared=[quantity for quantity in QUANTITIES if quantity.compared],
            reference=REFERENCE,
            tie=TIE,
            confidence=round(100 * CONFIDENCE),
            tolerance=TOLERANCE,
            figures={
                draw.__name__: draw(summary)
                for draw in (figures.curves, figures.tested, figures.differences, figures.recalls)
            },
        )
    )


def templates() -> Environment:
    """The pages' templates with the filters that write numbers."""
    filters = {"interval": interval_text, "p": p_text, "configuration": configuration_text, "number": number_text}
    return pages.templates(filters)


def csv_text(summary: Mapping[str, Any]) -> str:
    """One line a setting, strategy and quantity."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for setting in summary["settings"]:
        for one in setting["strategies"]:
            for quantity, found in one["quantities"].items():
                if found is not None:
                    place = [setting["completeness"], setting["shots"], one["strategy"], quantity]
                    writer.writerow([*place, *found.values(), *_compared_cells(one["compared"].get(quantity))])
    return text.getvalue()


def _compared_cells(compared: Mapping[str, Any] | None) -> list[Any]:
    if compared is None:
        return []
    return [
        *compared["difference"].values(),
        *(compared[name] for name in ("p", "p_holm", "least_p", "wins", "ties", "losses")),
    ]


def markdown_table(summary: Mapping[str, Any], completeness: str, shots: int) -> str:
    """The table of one setting for a README, rounded; a test can derive it anew from committed rows."""
    setting = next(s for s in summary["settings"] if (s["completeness"], s["shots"]) == (completeness, shots))
    named = {quantity.name: quantity for quantity in QUANTITIES}
    columns = [named[name] for name in README_QUANTITIES]
    compared = ("target_dice", "source_dice")
    titles = ["strategy", "draws", *(quantity.title for quantity in columns)]
    titles += [f"{named[name].title} minus {REFERENCE}'s, p" for name in compared]
    lines = [_markdown_line(titles), _markdown_line(["---"] * len(titles))]
    for one in setting["strategies"]:
        means = [_mean_text(one["quantities"][quantity.name], quantity) for quantity in columns]
        differences = [_difference_text(one["compared"].get(name)) for name in compared]
        lines.append(_markdown_line([one["strategy"], str(one["draws"]), *means, *differences]))
    return "\n".join(lines) + "\n"


def _mean_text(found: Mapping[str, Any] | None, quantity: Quantity) -> str:
    return "–" if found is None else f"{found['mean']:.{quantity.digits}f}"


def _difference_text(compared: Mapping[str, Any] | None) -> str:
    """``+0.120 (0.080 to 0.160), p .004``, corrected where that was possible."""
    if compared is None:
        return ""
    p = compared["p"] if compared["p_holm"] is None else compared["p_holm"]
    sign = "+" if compared["difference"]["mean"] > 0 else ""
    return f"{sign}{interval_text(compared['difference'], 3)}, p {p_text(p)}"


def _markdown_line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def interval_text(found: Mapping[str, Any] | None, digits: int | Quantity = 3) -> str:
    """``0.612 (0.590 to 0.634)``; a dash where nothing was measured."""
    digits = digits.digits if isinstance(digits, Quantity) else digits
    if found is None:
        return "–"
    if found["low"] is None:
        return f"{found['mean']:.{digits}f}"
    return f"{found['mean']:.{digits}f} ({found['low']:.{digits}f} to {found['high']:.{digits}f})"


def number_text(value: float | None) -> str:
    """Three digits; a dash where nothing was measured."""
    return "–" if value is None else f"{value:.3f}"


def p_text(p: float | None) -> str:
    if p is None:
        return "–"
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def configuration_text(configuration: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in configuration.items())  # fmt: skip
