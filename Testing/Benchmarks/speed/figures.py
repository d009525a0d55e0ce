"""The report's figures, as SVG that stands in the page."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from quality.pages import svg_of

from .scaling import AXES

OURS_COLOUR, OTHERS_COLOUR = "#c2410c", "#64748b"
_LINE_COLOURS = ("#c2410c", "#1d4ed8", "#0f766e", "#7c3aed", "#a16207")
_LOG_FROM = 30.0
"""Axes are logarithmic where the greatest is so many times the least."""

_TITLE_LETTERS = 44

Part = Mapping[str, Any]


def bars(part: Part) -> str | None:
    """Medians of what is not relative, with lines from least to greatest; one panel a setting and quantity."""
    panels = [
        (group, quantity, lines)
        for group in part["settings"]
        for quantity in ("seconds", "steps/s", "MB")
        if (lines := [line for line in group["lines"] if line["quantity"] == quantity and line["against"] is None])
    ]
    draws = [lambda axes, panel=panel: _draw_bars(axes, *panel) for panel in panels]
    return _figure(draws, [1.1 + 0.24 * len(lines) for _, _, lines in panels], width=6.4)


def _draw_bars(axes: Axes, group: Mapping[str, Any], quantity: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Bars from zero; points where the axis is logarithmic, which has no zero."""
    names = [line["subject"] for line in lines]
    medians, reach = _medians([line["estimate"] for line in lines])
    colours = [OURS_COLOUR if is_ours(name) else OTHERS_COLOUR for name in names]
    if _is_wide(medians):
        axes.set_xscale("log")
        axes.scatter(medians, range(len(names)), c=colours, s=26, zorder=3)
        _plain_numbers(axes.xaxis, medians)
    else:
        axes.barh(range(len(names)), medians, color=colours, height=0.65)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlim(0, 1.06 * max(line["estimate"]["high"] for line in lines))
    axes.errorbar(medians, range(len(names)), xerr=reach, fmt="none", ecolor="#111827", linewidth=0.9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    _finish(axes, group["title"], quantity, "")
    axes.grid(axis="y", visible=False)


def _medians(estimates: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[list[float]]]:
    """Medians, and how far the least and the greatest lie from them."""
    below = [estimate["median"] - estimate["low"] for estimate in estimates]
    above = [estimate["high"] - estimate["median"] for estimate in estimates]
    return [estimate["median"] for estimate in estimates], [below, above]


def _plain_numbers(axis: Axis, values: Sequence[float]) -> None:
    """Ticks of a logarithmic axis as people write them: at 1, 2 and 5, or at 1 alone where the values span much."""
    axis.set_major_locator(LogLocator(subs=(1,) if max(values) > 200 * min(values) else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def is_ours(subject: str) -> bool:
    """Whether a subject is this project's own; the others are what it is compared with."""
    return subject.startswith("DGST")


def distances(summary: Mapping[str, Any]) -> str | None:
    """How far every measured goal is from its limit, as a factor on a logarithmic axis; left of the line is met."""
    judged = [goal for part in summary["parts"] for goal in part["goals"] if goal["measured"] is not None]
    return _figure([lambda axes: _draw_distances(axes, judged)] if judged else [], [1.0 + 0.24 * len(judged)], 9.0)


def _draw_distances(axes: Axes, judged: Sequence[Mapping[str, Any]]) -> None:
    for place, goal in enumerate(judged):
        median, low, high = (_over_limit(goal, goal["measured"][name]) for name in ("median", "low", "high"))
        colour = OURS_COLOUR if median > 1 else _LINE_COLOURS[2]
        axes.plot([low, high], [place, place], color=colour, linewidth=1.2)
        axes.plot(median, place, "o" if median <= 1 else "X", color=colour, markersize=6)
    axes.axvline(1, color="#111827", linewidth=0.9)
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis, [0.25, 1, 4])
    axes.set_yticks(range(len(judged)), [goal["title"] for goal in judged], fontsize=7.5)
    axes.invert_yaxis()
    _finish(axes, "", "times the limit: up to 1 is met", "")
    axes.grid(axis="y", visible=False)


def _over_limit(goal: Mapping[str, Any], value: float) -> float:
    """1 at the limit, less where the goal is met with room."""
    return value / goal["limit"] if goal["at_most"] else goal["limit"] / value


def growth(part: Part) -> str | None:
    """Seconds over the size of volume, patch, network and study, both axes logarithmic."""
    found: dict[str, dict[str, list[tuple[float, Mapping[str, Any]]]]] = {}
    for group in part["settings"]:
        for line in group["lines"]:
            over = found.setdefault(line["setting"]["over"], {})
            over.setdefault(line["subject"], []).append((line["setting"]["size"], line["estimate"]))
    draws = [lambda axes, over=over: _draw_growth(axes, over, found[over]) for over in found]
    return _figure(draws, [3.1] * len(draws), width=4.4)


def _draw_growth(axes: Axes, over: str, lines: Mapping[str, Sequence[tuple[float, Mapping[str, Any]]]]) -> None:
    for place, (subject, points) in enumerate(lines.items()):
        points = sorted(points, key=lambda point: point[0])
        sizes = [size for size, _ in points]
        medians, reach = _medians([estimate for _, estimate in points])
        colour = _LINE_COLOURS[place % len(_LINE_COLOURS)]
        label = f"{subject}{power_text(sizes, medians)}"
        axes.errorbar(sizes, medians, yerr=reach, marker="o", markersize=4, linewidth=1.2, color=colour, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = sorted({size for points in lines.values() for size, _ in points})
    axes.set_xticks(sizes, [f"{size:.3g}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    _plain_numbers(axes.yaxis, [estimate["median"] for points in lines.values() for _, estimate in points])
    axes.legend(fontsize=7, frameon=False)
    _finish(axes, "", AXES[over], "seconds")


def power_text(sizes: Sequence[float], values: Sequence[float]) -> str:
    """``, power 0.97``: by which power of the size the values grow from the least size to the greatest."""
    if len(sizes) < 2 or sizes[0] == sizes[-1]:
        return ""
    return f", power {math.log(values[-1] / values[0]) / math.log(sizes[-1] / sizes[0]):.2f}"


def _figure(draws: Sequence[Callable[[Axes], None]], heights: Sequence[float], width: float) -> str | None:
    """Panels in two columns; None where there is nothing to draw."""
    if not draws:
        return None
    columns = min(2, len(draws))
    rows = [max(heights[n : n + columns]) for n in range(0, len(draws), columns)]
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "speed", "font.size": 9}):
        figure = Figure(figsize=(width * columns, sum(rows)), layout="constrained")
        grid = figure.add_gridspec(len(rows), columns, height_ratios=rows)
        for place, draw in enumerate(draws):
            draw(figure.add_subplot(grid[place // columns, place % columns]))
        return svg_of(figure)


def _is_wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) >= _LOG_FROM


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(textwrap.fill(title, _TITLE_LETTERS), fontsize=8.5)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
