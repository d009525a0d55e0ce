"""Stand-ins for CTK's collapsible widgets."""

from __future__ import annotations

import qt
from PySide6 import QtWidgets

from .collapsing import Contents
from .pythonqt_signals import HostSignal

HEADER_HEIGHT = 24
INDICATOR, GAP = 10, 6
MOST = 16777215


class ctkCollapsibleButton(qt.QAbstractButton):
    """A bar with a title that hides and shows what is laid out below it; unchecked is collapsed."""

    contentsCollapsed = HostSignal("contentsCollapsed(bool)")

    def __init__(self, *args):
        text, parent = (args[0], *args[1:], None)[:2] if args and isinstance(args[0], str) else ("", *args, None)[:2]
        super().__init__(parent)
        self._contents = Contents(self)
        self.setText(text)
        self.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.Preferred)
        self.setContentsMargins(0, HEADER_HEIGHT, 0, 0)
        self.setCheckable(True)
        self.setChecked(True)
        self.connect("toggled(bool)", self._toggled)

    collapsed = property(lambda self: not self.checked, lambda self, value: self.setChecked(not value))
    collapsedHeight = property(lambda self: 0)

    def _toggled(self, expanded: bool) -> None:
        self._contents.show(expanded)
        self.setMaximumHeight(MOST if expanded else HEADER_HEIGHT)
        self.updateGeometry()
        self.contentsCollapsed.emit(not expanded)

    def sizeHint(self):
        """Title bar, and the contents when they are shown."""
        layout = self.layout()
        if self.collapsed or layout is None:
            return qt.QSize(self._title_width(), HEADER_HEIGHT)
        return layout.totalSizeHint().expandedTo(qt.QSize(self._title_width(), HEADER_HEIGHT))

    def minimumSizeHint(self):
        """As low as the title bar when collapsed."""
        layout = self.layout()
        if self.collapsed or layout is None:
            return qt.QSize(self._title_width(), HEADER_HEIGHT)
        return layout.totalMinimumSize().expandedTo(qt.QSize(self._title_width(), HEADER_HEIGHT))

    def hitButton(self, position) -> bool:
        """Only the bar is pressed, not the contents."""
        return position.y() < HEADER_HEIGHT

    def paintEvent(self, event) -> None:
        """Draw the bar as a button of the style, its arrow and its title."""
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = qt.QRect(0, 0, self.width, HEADER_HEIGHT)
        option.state |= QtWidgets.QStyle.State_Sunken if self.down else QtWidgets.QStyle.State_Raised
        painter.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option)
        option.rect = qt.QRect(GAP, (HEADER_HEIGHT - INDICATOR) // 2, INDICATOR, INDICATOR)
        arrow = QtWidgets.QStyle.PE_IndicatorArrowDown
        painter.drawPrimitive(QtWidgets.QStyle.PE_IndicatorArrowRight if self.collapsed else arrow, option)
        place = qt.QRect(2 * GAP + INDICATOR, 0, self.width, HEADER_HEIGHT)
        flags = qt.Qt.AlignLeft | qt.Qt.AlignVCenter
        painter.drawItemText(place, flags, self.palette, self.enabled, self.text, qt.QPalette.ButtonText)
        painter.end()

    def _title_width(self) -> int:
        return 3 * GAP + INDICATOR + qt.QFontMetrics(self.font).horizontalAdvance(self.text)


class ctkCollapsibleGroupBox(qt.QGroupBox):
    """A group box whose check mark hides and shows what it holds."""

    def __init__(self, *args):
        super().__init__(*args)
        self._contents = Contents(self)
        self.setCheckable(True)
        self.connect("toggled(bool)", self._contents.show)

    collapsed = property(lambda self: not self.checked, lambda self, value: self.setChecked(not value))
