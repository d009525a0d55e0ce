"""What a search among ideas leaves: a page with a figure and a table, and the same numbers as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from DGSTSegmentLib.atomic import write_text

from . import figures
from .entrants import REFERENCE
from .report import CSV_FILE, JSON_FILE, REPORT_FILE, configuration_text, templates
from .rows import Rows
from .search import summarise_ideas
from .settings import read_identity
from .statistics import CONFIDENCE

DIFFERENCES = {
    "target_minus_best": "target minus full's best",
    "source_minus_best": "source minus full's best",
    "source_minus_curve": "source minus full's curve at the same target",
    "target_minus_curve": "target minus full's curve at the same source",
}
_PLAIN = ("draws", "target_dice", "source_dice", "weights_changed", "seconds")


def write_ideas_report(folder: Path, titles: Mapping[str, str], missing: int = 0) -> dict[str, Any]:
    """Write page, CSV and JSON from the rows in ``folder``; returns what the JSON holds.

    Args:
        folder: of the search.
        titles: of ideas, by name.
        missing: pieces of work that are still to be done.

    Raises:
        InputError: no search lies there, or a file cannot be written.
    """
    summary = {**summarise_ideas(read_identity(folder), Rows(folder).read(), titles), "missing": missing}
    write_text(folder / JSON_FILE, json.dumps(summary, indent=1, allow_nan=False) + "\n")
    write_text(folder / CSV_FILE, ideas_csv(summary))
    write_text(folder / REPORT_FILE, ideas_page(summary))
    return summary


def ideas_page(summary: Mapping[str, Any]) -> str:
    """The report: one HTML page that needs nothing beside it."""
    template = templates().get_template("ideas.html")
    return template.render(
        summary,
        differences=DIFFERENCES,
        reference=REFERENCE,
        confidence=round(100 * CONFIDENCE),
        figure=figures.ideas(summary),
    )


def ideas_csv(summary: Mapping[str, Any]) -> str:
    """One line a setting, idea, configuration and variant."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    reach = [f"{name}{end}" for name in DIFFERENCES for end in ("", "_low", "_high", "_n")]
    writer.writerow(["completeness", "shots", "idea", "configuration", "variant", *_PLAIN, *reach])
    for setting in summary["settings"]:
        for point in setting["points"]:
            found = [point[name] or dict.fromkeys(("mean", "low", "high", "n")) for name in DIFFERENCES]
            place = [setting["completeness"], setting["shots"], point["idea"]]
            place += [configuration_text(point["configuration"]), point["variant"]]
            numbers = [one[part] for one in found for part in ("mean", "low", "high", "n")]
            writer.writerow([*place, *(point[name] for name in _PLAIN), *numbers])
    return text.getvalue()
