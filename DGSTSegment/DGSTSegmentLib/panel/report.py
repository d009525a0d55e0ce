"""One page about a scan's findings or reviewed lymph nodes, with pictures, that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..atomic import write_text
from . import bridge, roles
from .export import reviewedNodes
from .findingstable import ENLARGED_SHORT_AXIS_MM, cellsOf, sizeOf
from .prediction import ACCEPTED, ReviewedFinding
from .review import Review, jumpTo
from .reviewed import BY_HAND, CORRECTED, LymphNode
from .sliceviews import bringIntoView

MOST_PICTURES = 12
PICTURE_WIDTH = 420
SOURCES = {ACCEPTED: _("accepted"), CORRECTED: _("corrected"), BY_HAND: _("by hand")}
_SLICES = ("Red", "Green", "Yellow")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; margin: 0 auto; max-width: 62rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 1.6rem 0 .4rem; }
.lead, figcaption { color: #57606a; }
.warning { border-left: .35rem solid #bf8700; background: #fff8e5; padding: .5rem 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #d0d7de; text-align: right; } thead th { background: #f6f8fa; }
.large td { font-weight: 600; } .pictures { display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem; }
figure { margin: 0 0 1rem; break-inside: avoid; } figure img { width: 100%; background: #000; }
"""


@dataclass(frozen=True)
class _Page:
    """What a page says; all texts are HTML.

    Args:
        title: of the page.
        lead: where all this comes from.
        warnings: what to bear in mind.
        headers: of the table.
        rows: cells of each row, as plain text, and whether it stands out.
        figures: pictures and caption of each.
        end: what the page does not tell of, as sentences.
    """

    title: str
    lead: str
    warnings: list[str]
    headers: Sequence[str]
    rows: list[tuple[list[str], bool]]
    figures: list[tuple[list[str], str]]
    end: str


def writeReport(
    review: Review,
    numbers: list[int],
    overlaps: dict[int, float],
    path: Path,
    leastShortAxis: float = 0.0,
    corrected: Mapping[int, LymphNode] | None = None,
) -> None:
    """Write the page on what a model found; the views go to each pictured finding and come back.

    Args:
        review: whose findings.
        numbers: of the findings to tell of.
        overlaps: share of each that the annotation covers, by number.
        path: the HTML file.
        leastShortAxis: mm; smaller findings were left out of ``numbers``, and the page says how many.
        corrected: what the user has made of findings, by number; their rows say so.

    Raises:
        InputError: a transform moves the scan or its findings, or the file could not be written.
    """
    review.refuseMoved()
    items = [item for item in review.prediction.findings() if item.number in numbers]
    items.sort(key=lambda item: -item.finding.short_axis_mm)
    with _sliceViewsShown(review.scan):
        figures = [(_pictures(review.prediction.centerOf(item)), _captionOf(item)) for item in items[:MOST_PICTURES]]
    if items:
        jumpTo(bridge.toRas(review.prediction.centerOf(items[0])))
    left = len(review.prediction.findings()) - len(items)
    rows = [(_cellsOfFinding(item, overlaps, corrected or {}), _isLarge(item)) for item in items]
    write_text(path, _html(_pageOfFindings(review, rows, figures, _leftOut(left, leastShortAxis, len(items)))))


def writeReviewedReport(scan, path: Path, undecided: int = 0) -> None:
    """Write the page on the lymph nodes of a scan's annotation; the views go to each pictured one and come back.

    Args:
        scan: whose annotation.
        path: the HTML file.
        undecided: how many findings have no decision; the page says so.

    Raises:
        InputError: nothing is marked, a transform moves the annotation, or the file could not be written.
    """
    nodes = sorted(reviewedNodes(scan), key=lambda node: -node.finding.short_axis_mm)
    with _sliceViewsShown(scan), _annotationAlone(scan):
        figures = [(_pictures(node.finding.centroid), _captionOf(node)) for node in nodes[:MOST_PICTURES]]
    jumpTo(bridge.toRas(nodes[0].finding.centroid))
    write_text(path, _html(_pageOfReviewed(scan, nodes, figures, undecided)))


def _leftOut(smaller: int, leastShortAxis: float, count: int) -> str:
    """Sentences on what the page does not tell of; empty where it tells of everything."""
    lines = []
    if smaller:
        lines.append(
            _("{count} findings with a short axis below {least:g} mm are left out.").format(
                count=smaller, least=leastShortAxis
            )
        )
    return " ".join([*lines, *_fewPictures(count)])


def _fewPictures(count: int) -> list[str]:
    return [_("Pictures show the {most} largest.").format(most=MOST_PICTURES)] if count > MOST_PICTURES else []


@contextmanager
def _sliceViewsShown(scan) -> Iterator[None]:
    """Views that are not on the screen draw nothing: show four of them meanwhile, with the scan in them."""
    manager = slicer.app.layoutManager()
    layout = manager.layout
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    bringIntoView(scan)
    slicer.app.processEvents()
    try:
        yield
    finally:
        manager.setLayout(layout)


@contextmanager
def _annotationAlone(scan) -> Iterator[None]:
    """Show of a scan's segmentations only the annotation meanwhile."""
    nodes = [roles.nodeOf(scan, role) for role in (roles.ANNOTATION, *roles.PREDICTIONS)]
    displays = [(node.GetDisplayNode(), roles.roleOf(node) == roles.ANNOTATION) for node in nodes if node is not None]
    before = [display.GetVisibility() for display, _isWanted in displays]
    for display, isWanted in displays:
        display.SetVisibility(isWanted)
    try:
        yield
    finally:
        for (display, _isWanted), visible in zip(displays, before, strict=True):
            display.SetVisibility(visible)


def _pictures(center: Sequence[float]) -> list[str]:
    """The three slice views at a point (LPS mm), as data for an ``img``."""
    jumpTo(bridge.toRas(center))
    manager = slicer.app.layoutManager()
    views = [manager.sliceWidget(name).sliceView() for name in _SLICES if name in manager.sliceViewNames()]
    for view in views:
        view.forceRender()
    return [_png(view.grab()) for view in views]


def _png(pixmap) -> str:
    small = pixmap.scaledToWidth(PICTURE_WIDTH, qt.Qt.SmoothTransformation)
    data = qt.QByteArray()
    buffer = qt.QBuffer(data)
    buffer.open(qt.QIODevice.WriteOnly)
    small.save(buffer, "PNG")
    buffer.close()
    return "data:image/png;base64," + base64.b64encode(data.data()).decode("ascii")


def _pageOfFindings(review: Review, rows: list, figures: list, leftOut: str) -> _Page:
    prediction = review.prediction
    lead = _("Found by {model}, {date}").format(model=escape(prediction.modelTitle), date=_now())
    warning = _(
        "<b>Research software, not a medical device.</b> Candidates for a reader to accept or reject, not diagnoses. "
        "Axes are measured in the axial plane; confidence is the model's mean probability and is not calibrated."
    )
    title = _("Lymph node candidates in {scan}").format(scan=escape(prediction.scan.GetName()))
    empty = "" if rows else f"<p>{_('The model found nothing of this size.')}</p>"
    warnings = [warning, *(escape(note) for note in prediction.notes)]
    headers = (*_measures(), _("confidence"), _("annotated"), _("decision"))
    return _Page(title, lead, warnings, headers, rows, figures, f"{empty}<p>{leftOut}</p>")


def _pageOfReviewed(scan, nodes: list[LymphNode], figures: list, undecided: int) -> _Page:
    warning = _(
        "<b>Research software, not a medical device.</b> Marked or confirmed by a reader, not diagnosed. Each lymph "
        "node is measured as it is marked now, its axes in the axial plane. Accepted: as a model found it; corrected: "
        "found by a model and changed by the reader; by hand: drawn by the reader."
    )
    lines = _fewPictures(len(nodes))
    if undecided:
        lines.append(_("{count} findings have no decision yet, and are no part of this.").format(count=undecided))
    title = _("Lymph nodes in {scan}").format(scan=escape(scan.GetName()))
    headers = (*_measures(), _("source"), _("name"))
    rows = [(_cellsOfNode(node), _isLarge(node)) for node in nodes]
    lead = _("Reviewed result, {date}").format(date=_now())
    return _Page(title, lead, [warning], headers, rows, figures, f"<p>{' '.join(lines)}</p>")


def _measures() -> tuple[str, ...]:
    return _("no."), _("short axis, mm"), _("long axis, mm"), _("volume, mL"), _("mean HU")


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M")


def _html(page: _Page) -> str:
    head = "".join(f"<th>{header}</th>" for header in page.headers)
    rows = "".join(_row(cells, isLarge) for cells, isLarge in page.rows)
    warnings = "".join(f"<p class='warning'>{warning}</p>" for warning in page.warnings)
    figures = "".join(_figure(pictures, caption) for pictures, caption in page.figures)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{page.title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{page.title}</h1><p class='lead'>{page.lead}</p>{warnings}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{page.end}"
        f"<h2>{_('Pictures')}</h2>{figures}</body></html>\n"
    )


def _isLarge(item: ReviewedFinding | LymphNode) -> bool:
    return item.finding.short_axis_mm >= ENLARGED_SHORT_AXIS_MM


def _cellsOfFinding(item: ReviewedFinding, overlaps: dict[int, float], corrected: Mapping[int, LymphNode]) -> list[str]:
    cells = cellsOf(item, overlaps.get(item.number, 0.0))
    if item.number in corrected:
        cells[-1] = _("corrected to {size}").format(size=sizeOf(corrected[item.number]))
    return cells


def _cellsOfNode(node: LymphNode) -> list[str]:
    finding = node.finding
    axes = [f"{finding.short_axis_mm:.1f}", f"{finding.long_axis_mm:.1f}", f"{finding.volume_ml:.2f}"]
    return [str(node.number), *axes, f"{finding.mean_hu:.0f}", SOURCES[node.source], node.name]


def _row(cells: list[str], isLarge: bool) -> str:
    large = " class='large'" if isLarge else ""
    return f"<tr{large}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _captionOf(item: ReviewedFinding | LymphNode) -> str:
    named = _("Finding {number}: {size}") if isinstance(item, ReviewedFinding) else _("Lymph node {number}: {size}")
    return named.format(number=item.number, size=sizeOf(item))


def _figure(pictures: list[str], caption: str) -> str:
    images = "".join(f'<img src="{picture}" alt="">' for picture in pictures)
    return f"<figure><div class='pictures'>{images}</div><figcaption>{caption}</figcaption></figure>"
