"""The table of findings: what filling it anew takes, and when it is."""

from __future__ import annotations

from dataclasses import replace

import pytest


@pytest.fixture
def measured(ui):
    """Cells whose size the table has asked for, each time that it did."""
    import qt

    class Counting(qt.QStyledItemDelegate):
        def sizeHint(self, option, index):
            cells.append((index.row(), index.column()))
            return super().sizeHint(option, index)

    cells, own = [], ui.findingsTable.itemDelegate()
    counting = Counting()
    ui.findingsTable.setItemDelegate(counting)
    yield cells
    ui.findingsTable.setItemDelegate(own)


def many(review, count):
    """The first finding so many times, each by a number and with an axis of its own."""
    item = review.review.prediction.findings()[0]
    return [
        replace(item, finding=replace(item.finding, number=n, short_axis_mm=6 + n / 10)) for n in range(1, count + 1)
    ]


def test_filling_the_table_anew_measures_each_cell_a_few_times_however_many_there_are(host, review, ui, measured):
    each = {}
    for count in (20, 80):
        items = many(review, count)
        review.table.fill(items, {}, 0)
        review.table.choose(count // 2)
        host.process_events()
        scrolled = ui.findingsTable.verticalScrollBar().value
        measured.clear()
        review.table.fill(items, {}, 0)
        host.process_events()
        each[count] = len(measured) / count
        assert review.table.chosen == count // 2 and ui.findingsTable.verticalScrollBar().value == scrolled
    assert each[80] < 1.5 * each[20], each


def test_columns_are_as_wide_as_what_is_in_them(review, ui):
    narrow = ui.findingsTable.columnWidth(3)
    items = many(review, 3)
    items[0] = replace(items[0], finding=replace(items[0].finding, volume_ml=123456789012.0))
    review.table.fill(items, {}, 0)
    assert ui.findingsTable.columnWidth(3) > narrow + 20


def test_opacity_and_outline_are_shown_without_filling_the_table_anew(review, ui):
    cell = ui.findingsTable.item(0, 1)
    cell.setText("as it was")
    ui.opacitySlider.value = 0.2
    ui.outlineCheckBox.click()
    display = review.review.prediction.node.GetDisplayNode()
    assert display.GetOpacity2DFill() == pytest.approx(0.2) and not display.GetVisibility2DFill()
    assert ui.findingsTable.item(0, 1).text() == "as it was"
    ui.leastShortAxisSpinBox.value = 6
    assert ui.findingsTable.item(0, 1).text() != "as it was"
