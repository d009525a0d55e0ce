"""The findings as a table: a row each, in the order of their size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import qt
from slicer.i18n import tr as _

from . import lymphnode
from .prediction import ACCEPTED, ANNOTATED, REJECTED, REJECTED_BEFORE, UNDECIDED, ReviewedFinding
from .reviewed import LymphNode

ENLARGED_SHORT_AXIS_MM = 10.0
ROW_PIXELS = 24
HEADERS = (
    _("No."),
    _("Short\nmm"),
    _("Long\nmm"),
    _("Volume\nmL"),
    _("Mean\nHU"),
    _("Confi-\ndence"),
    _("Anno-\ntated"),
    _("Decision"),
)
STATES = {
    UNDECIDED: "",
    ANNOTATED: _("annotated"),
    REJECTED_BEFORE: _("rejected before"),
    ACCEPTED: _("accepted"),
    REJECTED: _("rejected"),
}
_DECISION = len(HEADERS) - 1


class FindingsTable:
    """Shows findings and says which one was chosen.

    Args:
        table: ``QTableWidget``.
        onChosen: called with the number of the finding that the user clicked or went to by arrow key.
    """

    def __init__(self, table, onChosen: Callable[[int], None]):
        self.table, self._onChosen = table, onChosen
        self.numbers: list[int] = []
        self._corrected: dict[int, LymphNode] = {}
        self._filling = False
        table.setColumnCount(len(HEADERS))
        table.setHorizontalHeaderLabels(list(HEADERS))
        self._fitColumns(qt.QHeaderView.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(_DECISION, qt.QHeaderView.Stretch)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_PIXELS)
        table.connect("itemSelectionChanged()", self._onSelection)
        table.connect("cellClicked(int,int)", self._onClick)

    def fill(
        self,
        items: list[ReviewedFinding],
        overlaps: dict[int, float],
        least: float,
        corrected: Mapping[int, LymphNode] | None = None,
    ) -> None:
        """Show the findings of at least ``least`` mm short axis, largest first; the chosen one stays chosen.

        Those that the user has ``corrected`` are shown as they are now; their rows stay in the place where the model's
        finding has put them, and do not jump while the user draws.
        """
        chosen, self._corrected = self.chosen, dict(corrected or {})
        large = [item for item in items if item.finding.short_axis_mm >= least]
        large.sort(key=lambda item: -item.finding.short_axis_mm)
        self._filling = True
        self._fitColumns(qt.QHeaderView.Interactive)  # else each cell that is set has all rows measured
        self.numbers = [item.number for item in large]
        self.table.setRowCount(len(large))
        for row, item in enumerate(large):
            node = self._corrected.get(item.number)
            shown = item if node is None else asCorrected(item, node)
            for column, text in enumerate(cellsOf(shown, overlaps.get(item.number, 0.0))):
                self.table.setItem(row, column, _cell(text, shown, item if node is not None else None))
            self._decorate(row, item)
        self._fitColumns(qt.QHeaderView.ResizeToContents)
        self._filling = False
        self.choose(chosen)

    def showState(self, item: ReviewedFinding, overlap: float) -> None:
        """Bring one row up to date."""
        if item.number in self.numbers:
            row = self.numbers.index(item.number)
            self.table.item(row, _DECISION - 1).setText(f"{100 * overlap:.0f} %")
            self._decorate(row, item)

    @property
    def chosen(self) -> int:
        """Number of the chosen finding; 0 where none is."""
        row = self.table.currentRow()
        return self.numbers[row] if 0 <= row < len(self.numbers) else 0

    def choose(self, number: int) -> None:
        """Choose a finding without telling ``onChosen``."""
        self._filling = True
        if number in self.numbers:
            self.table.setCurrentCell(self.numbers.index(number), 0)
        else:
            self.table.setCurrentCell(-1, -1)
        self._filling = False

    def next(self, number: int, undecided: set[int]) -> int:
        """The next undecided finding below ``number``, from the top again after the last; 0 where all are decided."""
        start = self.numbers.index(number) + 1 if number in self.numbers else 0
        order = self.numbers[start:] + self.numbers[:start]
        return next((candidate for candidate in order if candidate in undecided), 0)

    def _fitColumns(self, mode) -> None:
        for column in range(_DECISION):
            self.table.horizontalHeader().setSectionResizeMode(column, mode)

    def _decorate(self, row: int, item: ReviewedFinding) -> None:
        cell = self.table.item(row, _DECISION)
        isCorrected = item.state == ACCEPTED and item.number in self._corrected
        cell.setText(_("corrected") if isCorrected else STATES[item.state])
        known = item.state != UNDECIDED
        color = [int(160 * part) for part in lymphnode.COLORS[item.state]] if known else [0, 0, 0]
        cell.setForeground(qt.QBrush(qt.QColor(*color)))

    def _onClick(self, _row: int, _column: int) -> None:
        """A click on the chosen finding brings the views back to it."""
        self._onSelection()

    def _onSelection(self) -> None:
        if not self._filling and self.chosen:
            self._onChosen(self.chosen)


def cellsOf(item: ReviewedFinding, overlap: float) -> list[str]:
    """Number, measurements, share in the annotation and decision of a finding, as people read them."""
    finding = item.finding
    return [
        str(finding.number),
        f"{finding.short_axis_mm:.1f}",
        f"{finding.long_axis_mm:.1f}",
        f"{finding.volume_ml:.2f}",
        "" if finding.mean_hu is None else f"{finding.mean_hu:.0f}",
        "" if finding.confidence is None else f"{finding.confidence:.2f}",
        f"{100 * overlap:.0f} %",
        STATES[item.state],
    ]


def asCorrected(item: ReviewedFinding, node: LymphNode) -> ReviewedFinding:
    """A finding with the measurements of the lymph node that the user has made of it; the confidence stays its own."""
    own = item.finding
    finding = replace(node.finding, number=own.number, label=own.label, confidence=own.confidence)
    return replace(item, finding=finding, isCut=node.isCut)


def sizeOf(item: ReviewedFinding | LymphNode) -> str:
    """Axes and volume, as people read them."""
    finding = item.finding
    size = _("{short:.1f} x {long:.1f} mm, {volume:.2f} mL").format(
        short=finding.short_axis_mm, long=finding.long_axis_mm, volume=finding.volume_ml
    )
    return _("{size}, cut off by the end of the scan").format(size=size) if item.isCut else size


def _cell(text: str, item: ReviewedFinding, found: ReviewedFinding | None):
    """A cell of a row; ``found`` is what the model had found where the row shows what the user has made of it."""
    cell, hints = qt.QTableWidgetItem(text), []
    cell.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    if found is not None:
        hints.append(_("Measured as you have corrected it; the model found {size}.").format(size=sizeOf(found)))
    if item.finding.short_axis_mm >= ENLARGED_SHORT_AXIS_MM:
        font = qt.QFont(cell.font())
        font.setBold(True)
        cell.setFont(font)
        hints.append(_("Short axis of 10 mm or more"))
    if item.isCut:
        hints.append(_("Cut off by the end of the scan: it may be larger than it measures"))
    cell.setToolTip("\n".join(hints))
    return cell
