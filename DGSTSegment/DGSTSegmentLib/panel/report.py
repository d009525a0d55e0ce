"""One page about a scan's findings, with pictures, that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from html import escape
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..atomic import write_text
from . import bridge
from .findingstable import ENLARGED_SHORT_AXIS_MM, cellsOf
from .prediction import ReviewedFinding
from .review import Review, jumpTo

MOST_PICTURES = 12
PICTURE_WIDTH = 420
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


def writeReport(
    review: Review, numbers: list[int], overlaps: dict[int, float], path: Path, leastShortAxis: float = 0.0
) -> None:
    """Write the page; the views go to each pictured finding and come back.

    Args:
        review: whose findings.
        numbers: of the findings to tell of.
        overlaps: share of each that the annotation covers, by number.
        path: the HTML file.
        leastShortAxis: mm; smaller findings were left out of ``numbers``, and the page says how many.

    Raises:
        InputError: the file could not be written.
    """
    items = [item for item in review.prediction.findings() if item.number in numbers]
    items.sort(key=lambda item: -item.finding.short_axis_mm)
    with _sliceViewsShown():
        pictures = {item.number: _pictures(item) for item in items[:MOST_PICTURES]}
    if items:
        jumpTo(bridge.toRas(items[0].finding.centroid))
    left = len(review.prediction.findings()) - len(items)
    write_text(path, _page(review, items, overlaps, pictures, _leftOut(left, leastShortAxis, len(items))))


def _leftOut(smaller: int, leastShortAxis: float, count: int) -> str:
    """Sentences on what the page does not tell of; empty where it tells of everything."""
    lines = []
    if smaller:
        lines.append(
            _("{count} findings with a short axis below {least:g} mm are left out.").format(
                count=smaller, least=leastShortAxis
            )
        )
    if count > MOST_PICTURES:
        lines.append(_("Pictures show the {most} largest.").format(most=MOST_PICTURES))
    return " ".join(lines)


@contextmanager
def _sliceViewsShown() -> Iterator[None]:
    """Views that are not on the screen draw nothing: show four of them meanwhile."""
    manager = slicer.app.layoutManager()
    layout = manager.layout
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    slicer.app.processEvents()
    try:
        yield
    finally:
        manager.setLayout(layout)


def _pictures(item: ReviewedFinding) -> list[str]:
    """The three slice views at the finding, as data for an ``img``."""
    jumpTo(bridge.toRas(item.finding.centroid))
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


def _page(
    review: Review, items: list[ReviewedFinding], overlaps: dict[int, float], pictures: dict, leftOut: str
) -> str:
    prediction = review.prediction
    title = _("Lymph node candidates in {scan}").format(scan=escape(prediction.scan.GetName()))
    lead = _("Found by {model}, {date}").format(
        model=escape(prediction.modelTitle), date=datetime.now().strftime("%Y-%m-%d %H:%M")
    )
    warning = _(
        "<b>Research software, not a medical device.</b> Candidates for a reader to accept or reject, not diagnoses. "
        "Axes are measured in the axial plane; confidence is the model's mean probability and is not calibrated."
    )
    notes = "".join(f"<p class='warning'>{escape(note)}</p>" for note in prediction.notes)
    headers = (_("no."), _("short axis, mm"), _("long axis, mm"), _("volume, mL"), _("mean HU"), _("confidence"))
    headers += (_("annotated"), _("decision"))
    head = "".join(f"<th>{header}</th>" for header in headers)
    rows = "".join(_row(item, overlaps.get(item.number, 0.0)) for item in items)
    figures = "".join(_figure(item, pictures[item.number]) for item in items if item.number in pictures)
    empty = "" if items else f"<p>{_('The model found nothing of this size.')}</p>"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p class='lead'>{lead}</p>"
        f"<p class='warning'>{warning}</p>{notes}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{empty}"
        f"<p>{leftOut}</p>"
        f"<h2>{_('Pictures')}</h2>{figures}</body></html>\n"
    )


def _row(item: ReviewedFinding, overlap: float) -> str:
    large = " class='large'" if item.finding.short_axis_mm >= ENLARGED_SHORT_AXIS_MM else ""
    return f"<tr{large}>" + "".join(f"<td>{cell}</td>" for cell in cellsOf(item, overlap)) + "</tr>"


def _figure(item: ReviewedFinding, pictures: list[str]) -> str:
    images = "".join(f'<img src="{picture}" alt="">' for picture in pictures)
    caption = _("Finding {number}: {short:.1f} x {long:.1f} mm, {volume:.2f} mL").format(
        number=item.number,
        short=item.finding.short_axis_mm,
        long=item.finding.long_axis_mm,
        volume=item.finding.volume_ml,
    )
    return f"<figure><div class='pictures'>{images}</div><figcaption>{caption}</figcaption></figure>"
