"""The colored bar above a view."""

from __future__ import annotations

import qt

BAR_PIXELS = 22
STYLE = """
ViewBar, QLabel {{ background: {color}; color: black; font-size: 11px; }}
QSlider::groove:horizontal {{ height: 4px; background: rgba(255, 255, 255, 140); border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: #4a86c8; border-radius: 2px; }}
QSlider::handle:horizontal {{ width: 9px; margin: -4px 0; background: white; }}
QSlider::handle:horizontal {{ border: 1px solid #555; border-radius: 2px; }}
"""


class ViewBar(qt.QWidget):
    """A view's letter on its color; derived classes add to the right of it.

    Args:
        color: three fractions.
    """

    def __init__(self, label: str, color, parent=None):
        super().__init__(parent)
        name = "#" + "".join(f"{round(255 * part):02x}" for part in color)
        self.setAttribute(qt.Qt.WA_StyledBackground, True)
        self.setObjectName(type(self).__name__)
        self.setStyleSheet(STYLE.format(color=name).replace("ViewBar", f"#{type(self).__name__}"))
        self.setFixedHeight(BAR_PIXELS)
        self._row = qt.QHBoxLayout(self)
        self._row.setContentsMargins(8, 0, 8, 0)
        self._row.setSpacing(8)
        self._add(qt.QLabel(label), 0)

    def _add(self, widget, stretch: int) -> None:
        self._row.addWidget(widget, stretch)
