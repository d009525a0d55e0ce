"""Stand-in for Slicer's table view."""

from __future__ import annotations

import qt

from .view_bar import ViewBar

BAR_COLOR = (0.88, 0.75, 0.98)


class qMRMLTableWidget(qt.QWidget):
    """The table that a table view node names, to read only."""

    def __init__(self, node, parent=None):
        super().__init__(parent)
        self._node = node
        self._cells = qt.QTableWidget()
        self._cells.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self._controller = ViewBar("T", BAR_COLOR)
        column.addWidget(self._controller, 0)
        column.addWidget(self._cells, 1)
        node.AddObserver("ModifiedEvent", lambda *_: self._show())

    def mrmlTableViewNode(self):
        """The view's node."""
        return self._node

    def tableController(self) -> ViewBar:
        """The bar."""
        return self._controller

    def tableView(self):
        """The cells."""
        return self._cells

    def _show(self) -> None:
        table = self._node.GetTableNode().GetTable() if self._node.GetTableNode() else None
        self._cells.setRowCount(table.GetNumberOfRows() if table else 0)
        self._cells.setColumnCount(table.GetNumberOfColumns() if table else 0)
        for column in range(self._cells.columnCount):
            self._cells.setHorizontalHeaderItem(column, qt.QTableWidgetItem(table.GetColumnName(column)))
            for row in range(self._cells.rowCount):
                self._cells.setItem(row, column, qt.QTableWidgetItem(table.GetValue(row, column).ToString()))
