"""What a benchmark leaves: a page with tables and figures, the same numbers as CSV and JSON, a table for a README."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment

from DGSTSegmentLib.atomic import write_text

from . import figures, pages
from .entrants import FOCUS, REFERENCE
from .measures import QUANTITIES, Quantity
from .protocol import TOLERANCE
from .rows import Rows
from .settings import read_identity
from .statistics import CONFIDENCE, TIE
from .summary import summarise
from .versions import mixed_code, mixed_processors

REPORT_FILE, CSV_FILE, JSON_FILE, FIGURE_FILE = "report.html", "summary.csv", "summary.json", "tested.svg"
REMARKS_FILE = "remarks.txt"
"""What who ran it has to say of it, paragraphs with empty lines between them; the report shows it."""
MAIN_QUANTITIES = ("target_dice", "surface_dice", "source_dice", "recall", "false_positives", "weights_changed")
README_QUANTITIES = (*MAIN_QUANTITIES, "seconds")
COST_QUANTITIES = ("seconds", "peak_memory_mb")
EDGE = "\\*"
"""Markdown of a star, behind a learning rate at the edge of those that were tried."""
FIGURES = (figures.curves, figures.tested, figures.differences, figures.recalls)
CSV_COLUMNS = (
    "completeness", "shots", "strategy", "quantity", "mean", "low", "high", "draws", "compared_with", "difference",
    "difference_low", "difference_high", "pairs", "p", "p_holm", "least_p", "wins", "ties", "losses",
)  # fmt: skip


def write_report(folder: Path, missing: int = 0, missing_of_full: int | None = None) -> dict[str, Any]:
    """Write page, CSV, JSON and the figure for a README from the rows in ``folder``; returns what the JSON holds.

    Args:
        folder: of the benchmark.
        missing: pieces of work of the last command that are still to be done.
        missing_of_full: the same of all that --full does; None where it was not asked for.

    Raises:
        InputError: no benchmark lies there, or a file cannot be written.
    """
    rows = Rows(folder).read()
    summary = {**summarise(read_identity(folder), rows), "missing": missing}
    if missing_of_full is not None:
        summary["missing_of_full"] = missing_of_full
    write_text(folder / JSON_FILE, json.dumps(summary, indent=1, allow_nan=False) + "\n")
    write_text(folder / CSV_FILE, csv_text(summary))
    remarks = folder / REMARKS_FILE
    told = remarks.read_text(encoding="utf-8").strip().split("\n\n") if remarks.exists() else []
    drawn = {draw.__name__: draw(summary) for draw in FIGURES}
    write_text(folder / REPORT_FILE, page(summary, drawn, told, mixed_code(rows), mixed_processors(rows)))
    if drawn["tested"] is not None:
        write_text(folder / FIGURE_FILE, drawn["tested"] + "\n")
    return summary


def page(
    summary: Mapping[str, Any],
    drawn: Mapping[str, str | None],
    remarks: Sequence[str] = (),
    code: Sequence[str] = (),
    processors: Sequence[str] = (),
) -> str:
    """The report: one HTML page that needs nothing beside it.

    Args:
        summary: of ``summarise``.
        drawn: SVG of each of ``FIGURES`` by its name; None where there is nothing to draw.
        remarks: paragraphs of who ran the benchmark.
        code: of ``mixed_code``.
        processors: of ``mixed_processors``.
    """
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
            focus=FOCUS,
            tie=TIE,
            confidence=round(100 * CONFIDENCE),
            tolerance=TOLERANCE,
            goal=goal_text,
            figures=drawn,
            remarks=remarks,
            mixed_code=code,
            mixed_processors=processors,
        )
    )


def templates() -> Environment:
    """The pages' templates with the filters that write numbers."""
    filters = {"interval": interval_text, "p": p_text, "configuration": configuration_text, "number": number_text}
    return pages.templates(filters)


def csv_text(summary: Mapping[str, Any]) -> str:
    """One line a setting, strategy and quantity; of DGST one more for every further strategy it is compared with."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for setting in summary["settings"]:
        for one in setting["strategies"]:
            for quantity, found in one["quantities"].items():
                if found is not None:
                    place = [setting["completeness"], setting["shots"], one["strategy"], quantity, *found.values()]
                    writer.writerows([*place, *cells] for cells in _compared_cells(setting, one, quantity))
    return text.getvalue()


def _compared_cells(setting: Mapping[str, Any], one: Mapping[str, Any], quantity: str) -> list[list[Any]]:
    """Cells of all comparisons of a strategy in one quantity; a line without any where there is none."""
    compared = {REFERENCE: one["compared"]} if one["compared"] else {}
    if one["strategy"] == FOCUS:
        compared |= setting["focus"]
    names = ("p", "p_holm", "least_p", "wins", "ties", "losses")
    cells = [
        [other, *found[quantity]["difference"].values(), *(found[quantity][name] for name in names)]
        for other, found in compared.items()
        if quantity in found
    ]
    return cells or [[]]


def goal_text(setting: Mapping[str, Any]) -> str:
    """``not met: target Dice -0.015 (-0.040 to 0.010), p .320 (not corrected); ...``, for page and README alike."""
    goal = setting["goal"]
    parts = {"target Dice": goal["target_difference"], "source Dice": goal["source_difference"]}
    told = [
        f"{title} {_signed(found['difference'])}, p {p_text(found['p'])} (not corrected)"
        for title, found in parts.items()
    ]
    pairs = goal["source_difference"]["difference"]["n"]
    return f"{'met' if goal['met'] else 'not met'}: {'; '.join(told)}; {pairs} pair{'s' if pairs != 1 else ''}"


def _signed(difference: Mapping[str, Any]) -> str:
    return ("+" if difference["mean"] > 0 else "") + interval_text(difference)


def markdown_table(summary: Mapping[str, Any], completeness: str, shots: int) -> str:
    """The table of one setting for a README, rounded; a test can derive it anew from committed rows.

    A learning rate with a star is the smallest or largest of those tried: the best may lie beyond.
    """
    setting = next(s for s in summary["settings"] if (s["completeness"], s["shots"]) == (completeness, shots))
    named = {quantity.name: quantity for quantity in QUANTITIES}
    columns = [named[name] for name in README_QUANTITIES]
    compared = ("target_dice", "source_dice")
    titles = ["strategy", "learning rate", "draws", *(quantity.title for quantity in columns)]
    titles += [f"{named[name].title} minus {REFERENCE}'s, p (Holm)" for name in compared]
    lines = [_markdown_line(titles), _markdown_line(["---"] * len(titles))]
    for one in setting["strategies"]:
        means = [_mean_text(one["quantities"][quantity.name], quantity) for quantity in columns]
        differences = [_difference_text(one["compared"].get(name)) for name in compared]
        cells = [one["strategy"], _rate_text(one), str(one["draws"]), *means, *differences]
        lines.append(_markdown_line(cells))
    return "\n".join(lines) + "\n"


def _rate_text(one: Mapping[str, Any]) -> str:
    return f"{one['configuration']['lr']:g}{EDGE if one['at_edge'] else ''}"


def _mean_text(found: Mapping[str, Any] | None, quantity: Quantity) -> str:
    return "–" if found is None else f"{found['mean']:.{quantity.digits}f}"


def _difference_text(compared: Mapping[str, Any] | None) -> str:
    """``+0.120 (0.080 to 0.160), p .004``; a dash for p where so few draws cannot tell."""
    return "" if compared is None else f"{_signed(compared['difference'])}, p {p_text(compared['p_holm'])}"


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
