"""The preview's main window."""

from __future__ import annotations

import qt

TITLE = "DGSTSegment preview, not 3D Slicer"
NAME = "qSlicerMainWindow"  # slicer.util.mainWindow() finds it by this
SIZE = (1600, 1000)
PANEL_PIXELS = 480


class PreviewWindow(qt.QMainWindow):
    """Module panel on the left, views on the right, status bar below."""

    def __init__(self):
        super().__init__()
        self.setObjectName(NAME)
        self.setWindowTitle(TITLE)
        self.resize(*SIZE)
        self._title = qt.QLabel()
        self._title.setStyleSheet("font-size: 17px; font-weight: bold; padding: 6px;")
        self._scroll = qt.QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(qt.QFrame.NoFrame)
        self.viewport = qt.QWidget()
        self._fill()
        self.statusBar()

    def _fill(self) -> None:
        left = qt.QWidget()
        column = qt.QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._title)
        column.addWidget(self._scroll, 1)
        splitter = qt.QSplitter()
        splitter.addWidget(left)
        splitter.addWidget(self.viewport)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([PANEL_PIXELS, SIZE[0] - PANEL_PIXELS])
        self.setCentralWidget(splitter)

    def show_panel(self, panel, title: str) -> None:
        """Put a module's panel in place of the last one."""
        self._title.setText(f"{title} <small>(preview, not 3D Slicer)</small>")
        self._scroll.setWidget(panel)
