"""The list of segments: visibility, color, name."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
from vtkmodules.vtkCommonCore import vtkStringArray

from .observing import observe

EYE, COLOR, NAME = range(3)
SMALL_PIXELS, SWATCH_PIXELS = 26, 16
SEGMENT_EVENTS = ("SegmentAdded", "SegmentRemoved", "SegmentModified", "SegmentsOrderModified")


class SegmentTable(qt.QTableWidget):
    """Rows for the segments of a segmentation node; a check mark shows and hides, a double click renames.

    Args:
        selected: called with a segment's id when the user chooses its row.
    """

    def __init__(self, selected: Callable[[str], None], parent=None):
        super().__init__(parent)
        self._selected = selected
        self._node = None
        self._observed: list[tuple] = []
        self._ids: list[str] = []
        self._filling = False
        self.setColumnCount(3)
        self.setHorizontalHeaderLabels(["", "", "Name"])
        self.verticalHeader().hide()
        self.horizontalHeader().setStretchLastSection(True)
        for column in (EYE, COLOR):
            self.setColumnWidth(column, SMALL_PIXELS)
        self.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        self.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        self.connect("itemChanged(QTableWidgetItem*)", self._edited)
        self.connect("itemSelectionChanged()", self._chosen)

    def follow(self, node) -> None:
        """Show the segments of another node, or of none."""
        if node is self._node:
            return
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._node = node
        self._observed = []
        if node is not None:
            segmentation = node.GetSegmentation()
            events = [getattr(slicer.vtkSegmentation, name) for name in SEGMENT_EVENTS]
            self._observed = [(segmentation, observe(self, segmentation, event, self.fill)) for event in events]
            display_modified = slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent
            self._observed.append((node, observe(self, node, display_modified, self.fill)))
        self.fill()

    def select(self, segment_id: str) -> None:
        """Mark a segment's row, or none."""
        blocked = self.blockSignals(True)
        if segment_id in self._ids:
            self.selectRow(self._ids.index(segment_id))
        else:
            self.clearSelection()
        self.blockSignals(blocked)

    def fill(self) -> None:
        """Take the segments from the node."""
        chosen = self._chosen_id()
        segmentation = self._node.GetSegmentation() if self._node else None
        self._ids = list(segmentation.GetSegmentIDs()) if segmentation else []
        visible = self._visible_ids()
        self._filling = True
        self.setRowCount(len(self._ids))
        for row, segment_id in enumerate(self._ids):
            self._fill_row(row, segmentation.GetSegment(segment_id), segment_id in visible)
        self._filling = False
        self.select(chosen)

    def _visible_ids(self) -> set[str]:
        display = self._node.GetDisplayNode() if self._node else None
        if display is None:
            return set()
        ids = vtkStringArray()
        display.GetVisibleSegmentIDs(ids)
        return {ids.GetValue(n) for n in range(ids.GetNumberOfValues())}

    def _fill_row(self, row: int, segment, visible: bool) -> None:
        eye, color, name = qt.QTableWidgetItem(), qt.QTableWidgetItem(), qt.QTableWidgetItem(segment.GetName())
        eye.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsSelectable)
        eye.setCheckState(qt.Qt.Checked if visible else qt.Qt.Unchecked)
        color.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
        color.setIcon(_swatch(segment.GetColor()))
        for column, item in ((EYE, eye), (COLOR, color), (NAME, name)):
            self.setItem(row, column, item)

    def _edited(self, item) -> None:
        if self._filling:
            return
        segment_id = self._ids[item.row()]
        if item.column() == NAME:
            self._node.GetSegmentation().GetSegment(segment_id).SetName(item.text())
        elif item.column() == EYE:
            self._node.GetDisplayNode().SetSegmentVisibility(segment_id, item.checkState() == qt.Qt.Checked)

    def _chosen_id(self) -> str:
        row = self.currentRow()
        return self._ids[row] if self.selectedItems() and 0 <= row < len(self._ids) else ""

    def _chosen(self) -> None:
        if not self._filling and self._chosen_id():
            self._selected(self._chosen_id())


def _swatch(color):
    pixmap = qt.QPixmap(SWATCH_PIXELS, SWATCH_PIXELS)
    pixmap.fill(qt.QColor(*(round(255 * part) for part in color)))
    icon = qt.QIcon()
    for mode in (qt.QIcon.Normal, qt.QIcon.Selected):
        icon.addPixmap(pixmap, mode)
    return icon
