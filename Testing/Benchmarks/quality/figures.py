"""The report's figures, as SVG that stands in the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from DGSTSegmentLib.imaging.matching import SIZE_CLASSES

from .entrants import FOCUS, REFERENCE
from .pages import svg_of

COLOURS = {
    "dgst": "#c2410c",
    "dgst-rms": "#fb923c",
    "dgst-paper": "#f59e0b",
    "random": "#a3a3a3",
    "static": "#7c3aed",
    "full": "#1d4ed8",
    "full-early": "#60a5fa",
    "lora": "#0f766e",
    "bias": "#65a30d",
    "norm": "#84cc16",
    "head": "#be185d",
    "decoder": "#0891b2",
}
MARKERS = {"dgst": "o", "dgst-paper": "d", "full": "s", "full-early": "D", "static": "^", "lora": "v"}
BEFORE_COLOUR = "#111827"
_PANEL_INCHES, _LARGE_PANEL_INCHES = (4.2, 3.4), (7.5, 6.0)
_MANY_COLOURS = matplotlib.colormaps["tab20"].colors
_SHOWN = {True: {"markersize": 6, "alpha": 1.0}, False: {"markersize": 4, "alpha": 0.5}}
_MANY_MARKERS = "ov^<>Pp*XDdhH"

Setting = Mapping[str, Any]
Draw = Callable[[Axes, Setting], None]


def curves(summary: Mapping[str, Any]) -> str | None:
    """Target against source Dice on the validation scans, one line a strategy over what it was tried with.

    The point of the lowest learning rate is hollow. Points that are still to be tried on some draws are left out.
    """
    before = summary["before"].get("choose")

    def draw(axes: Axes, setting: Setting) -> None:
        most = max((p["draws"] for points in setting["curve"].values() for p in points), default=0)
        for name, points in setting["curve"].items():
            known = [p for p in points if p["draws"] == most and None not in (p["source_dice"], p["target_dice"])]
            places = [[p[key] for p in known] for key in ("source_dice", "target_dice")]
            line = {"linewidth": 1.2, "markersize": 5, **_style(name)}
            axes.plot(*places, label=name, **line)
            axes.plot(*(values[:1] for values in places), **line, markerfacecolor="white")
        _mark_before(axes, before)
        _label(axes, setting, "source Dice (validation)", "target Dice (validation)")

    drawn = _with_curves(summary)
    return _panels(drawn, draw) if drawn["settings"] and before and before["source_dice"] is not None else None


def tested(summary: Mapping[str, Any]) -> str | None:
    """Target against source Dice on the test scans: each draw faintly, means with 95 % intervals.

    Thin lines join what DGST and the reference made of the same draw.
    """
    before = summary["before"].get("test")

    def draw(axes: Axes, setting: Setting) -> None:
        _join_pairs(axes, {one["strategy"]: _places(one) for one in setting["strategies"]})
        for one in setting["strategies"]:
            axes.plot(
                *zip(*_places(one).values(), strict=True), linestyle="none", markersize=3, alpha=0.45,
                **_style(one["strategy"]),
            )  # fmt: skip
            source, target = (one["quantities"][name] for name in ("source_dice", "target_dice"))
            if source and target:
                reach = [[_reach(estimate)] for estimate in (source, target)]
                axes.errorbar(
                    source["mean"], target["mean"], xerr=reach[0], yerr=reach[1], label=one["strategy"],
                    linewidth=1, markersize=6, **_style(one["strategy"]),
                )  # fmt: skip
        _mark_before(axes, before)
        _label(axes, setting, "source Dice (test)", "target Dice (test)")
        _within_dice(axes)

    return _panels(_with_tests(summary), draw) if before and before["source_dice"] is not None else None


def differences(summary: Mapping[str, Any]) -> str | None:
    """Paired differences of target Dice to full fine-tuning with 95 % intervals."""

    def draw(axes: Axes, setting: Setting) -> None:
        compared = [one for one in setting["strategies"] if "target_dice" in one["compared"]]
        for place, one in enumerate(reversed(compared)):
            difference = one["compared"]["target_dice"]["difference"]
            axes.errorbar(
                difference["mean"], place, xerr=_reach(difference), linewidth=1.2, markersize=6,
                **_style(one["strategy"]),
            )  # fmt: skip
        axes.set_yticks(range(len(compared)), [one["strategy"] for one in reversed(compared)])
        axes.axvline(0, color="#6b7280", linewidth=0.8)
        _label(axes, setting, f"target Dice minus that of {REFERENCE} (test)", "")

    some = any(one["compared"] for setting in summary["settings"] for one in setting["strategies"])
    return _panels(_with_tests(summary), draw) if some else None


def ideas(summary: Mapping[str, Any]) -> str | None:
    """Target against source Dice on the validation scans, one point a configuration and variant of every idea.

    The line joins what full fine-tuning was tried with, in the order of its target Dice.
    """
    styles = {
        name: {"color": _MANY_COLOURS[place % len(_MANY_COLOURS)], "marker": _MANY_MARKERS[place % len(_MANY_MARKERS)]}
        for place, name in enumerate(one for one in summary["titles"] if one != REFERENCE)
    }
    styles[REFERENCE] = _style(REFERENCE)

    def draw(axes: Axes, setting: Setting) -> None:
        known = [p for p in setting["points"] if p["source_dice"] is not None and p["target_dice"] is not None]
        for point in known:
            place, looks = (point["source_dice"], point["target_dice"]), _SHOWN[point["trained"]]
            label = point["idea"] if point["trained"] else "_variant"
            axes.plot(*place, label=label, linestyle="none", **looks, **styles[point["idea"]])
        curve = sorted((p["target_dice"], p["source_dice"]) for p in known if p["idea"] == REFERENCE and p["trained"])
        axes.plot([source for _, source in curve], [target for target, _ in curve], color=COLOURS[REFERENCE])
        _mark_before(axes, summary["before"])
        _label(axes, setting, "source Dice (validation)", "target Dice (validation)")

    before = summary["before"]
    return _panels(summary, draw, _LARGE_PANEL_INCHES) if before and before["source_dice"] is not None else None


def recalls(summary: Mapping[str, Any]) -> str | None:
    """Recall by the nodes' short axis."""

    def draw(axes: Axes, setting: Setting) -> None:
        for one in setting["strategies"]:
            found = [one["quantities"][f"recall {size} mm"] for size in SIZE_CLASSES]
            known = [(place, estimate["mean"]) for place, estimate in enumerate(found) if estimate]
            axes.plot(*zip(*known, strict=True), label=one["strategy"], linewidth=1.2, **_style(one["strategy"]))
        axes.set_xticks(range(len(SIZE_CLASSES)), [f"{size} mm" for size in SIZE_CLASSES])
        axes.set_ylim(0, 1.02)
        _label(axes, setting, "short axis", "recall (test)")

    return _panels(_with_tests(summary), draw)


def _with_curves(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary without settings in which a single configuration a strategy was tried so far: no curve."""
    of_several = [one for one in summary["settings"] if any(len(points) > 1 for points in one["curve"].values())]
    return {**summary, "settings": of_several}


def _with_tests(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary without settings of which nothing is measured on the test scans yet."""
    return {**summary, "settings": [setting for setting in summary["settings"] if setting["strategies"]]}


def _panels(summary: Mapping[str, Any], draw: Draw, size: tuple[float, float] = _PANEL_INCHES) -> str | None:
    settings = summary["settings"]
    if not settings:
        return None
    columns = min(2, len(settings))
    rows = -(-len(settings) // columns)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "quality", "font.size": 9}):
        figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
        for place, setting in enumerate(settings):
            draw(figure.add_subplot(rows, columns, place + 1), setting)
        _explain(figure)
        return svg_of(figure)


def _places(one: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
    """Source and target Dice of a strategy by draw, where both are known."""
    known = [point for point in one["points"] if None not in (point["source_dice"], point["target_dice"])]
    return {point["draw"]: (point["source_dice"], point["target_dice"]) for point in known}


def _join_pairs(axes: Axes, places: Mapping[str, Mapping[int, tuple[float, float]]]) -> None:
    ours, reference = (places.get(name, {}) for name in (FOCUS, REFERENCE))
    for draw in ours.keys() & reference.keys():
        axes.plot(*zip(ours[draw], reference[draw], strict=True), color="#9ca3af", linewidth=0.5, zorder=0)


def _style(name: str) -> dict[str, Any]:
    return {"color": COLOURS.get(name, "#374151"), "marker": MARKERS.get(name, ".")}


def _reach(estimate: Mapping[str, Any]) -> float:
    return 0.0 if estimate["high"] is None else estimate["high"] - estimate["mean"]


def _mark_before(axes: Axes, before: Mapping[str, Any] | None) -> None:
    if before is not None:
        place = (before["source_dice"], before["target_dice"])
        axes.plot(*place, "*", color=BEFORE_COLOUR, markersize=11, label="before", linestyle="none")


def _within_dice(axes: Axes) -> None:
    """Show nothing below 0 and above 1, where intervals of few draws may reach."""
    for limits, set_limits in ((axes.get_xlim(), axes.set_xlim), (axes.get_ylim(), axes.set_ylim)):
        set_limits(max(0.0, limits[0]), min(1.0, limits[1]))


def _explain(figure: Figure) -> None:
    """One legend for all panels, beside them."""
    shown: dict[str, Any] = {}
    for axes in figure.axes:
        lines, labels = axes.get_legend_handles_labels()
        shown |= dict(zip(labels, lines, strict=True))
    if shown:
        figure.legend(shown.values(), shown.keys(), loc="outside right upper", fontsize=8, frameon=False)


def _label(axes: Axes, setting: Setting, x: str, y: str) -> None:
    axes.set_title(setting["title"], fontsize=9)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
