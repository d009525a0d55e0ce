"""The demonstration's report: one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic import write_text
from ..imaging.finding import Finding
from .demo_measure import ScanScores
from .demo_study import Study
from .progress import clock

TEMPLATE = "report.html"


@dataclass(frozen=True)
class Report:
    """What the page tells.

    Args:
        study: what was learned from and what is shown.
        summary: what ``summary.json`` holds.
        scores: what was measured; empty where nothing could be.
        findings: of the adapted model in the first shown scan.
        pictures: of that scan, ``before`` and ``after``.
        notes: what the engine had to say.
    """

    study: Study
    summary: dict[str, Any]
    scores: list[ScanScores]
    findings: list[Finding]
    pictures: dict[str, Path]
    notes: list[str]


def write_report(report: Report, path: str | os.PathLike) -> None:
    """Write the page.

    Raises:
        InputError: the file cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": clock, "picture": _embedded}
    page = environment.get_template(TEMPLATE).render(vars(report), scan=report.study.shown[0].name)
    write_text(path, page)


def _embedded(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(Path(path).read_bytes()).decode('ascii')}"
