"""What the benchmarks' pages are made with: templates, one style, figures as SVG that stands in the page."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

_TEMPLATES = Path(__file__).parent / "templates"


def templates(filters: Mapping[str, Callable[..., str]], folder: Path = _TEMPLATES) -> Environment:
    """The templates in ``folder``, with ``style.html`` of all pages beside them.

    Args:
        filters: that write numbers, by name.
        folder: of a benchmark's own templates.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment


def svg_of(figure: Figure) -> str:
    """The figure as an ``svg`` element, the same for the same figure."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    drawing = text.getvalue()
    return drawing[drawing.index("<svg") :]
