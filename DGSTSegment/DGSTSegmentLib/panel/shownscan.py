"""Whether the slice views show the scan that the panel works on: another CT that is loaded meanwhile takes them all."""

from __future__ import annotations

import slicer
import vtk
from slicer.i18n import tr as _

from .brush import LymphNodeEditor
from .later import Later
from .sliceviews import bringIntoView, otherThan, sliceWidgets
from .state import PanelState

LETTERS_IN_LINE, LETTERS_ON_BUTTON = 40, 22


class ShownScan:
    """One line and two buttons while the views show another CT; the brush, which would paint on it, is put down.

    Args:
        ui: the panel's widgets.
        state: what the sections share.
        editor: whose brush it is.
    """

    def __init__(self, ui, state: PanelState, editor: LymphNodeEditor):
        self.ui, self.state, self._editor = ui, state, editor
        self._observed: list[tuple] = []
        self._lookLater = Later(0, self._look)  # all views change in a row when a CT is loaded
        ui.showScanButton.connect("clicked()", self.onShowScan)
        ui.workOnShownButton.connect("clicked()", self.onWorkOnShown)
        editor.effectChanged.connect(self.onEffect)
        ui.otherScanWidget.hide()

    def follow(self) -> None:
        """Hear of what the views of the layout show from now on."""
        self.letGo()
        nodes = [widget.mrmlSliceCompositeNode() for widget in sliceWidgets()]
        self._observed = [(node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._lookLater)) for node in nodes]
        self._lookLater()

    def letGo(self) -> None:
        """Hear of nothing any more: the module is left, or the scene goes."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []

    def onShowScan(self) -> None:
        if self.state.scan is not None:
            bringIntoView(self.state.scan)

    def onWorkOnShown(self) -> None:
        other = self._other()
        if other is not None:
            self.state.parameters.inputVolume = other

    def onEffect(self) -> None:
        """An effect of the segment editor was taken, by one of its own buttons perhaps."""
        if self.state.scan is not None and self._editor.isArmed:
            bringIntoView(self.state.scan)

    def refresh(self) -> None:
        """Say which CT the views show, where it is not the one at work on."""
        other = self._other()
        self.ui.otherScanWidget.setVisible(other is not None)
        if other is None:
            return
        shown, scan = other.GetName(), self.state.scan.GetName()
        text = _("The views show {shown}; the panel works on {scan}.").format(
            shown=_short(shown, LETTERS_IN_LINE), scan=_short(scan, LETTERS_IN_LINE)
        )
        self.ui.otherScanLabel.setText(text)
        self.ui.showScanButton.setText(_("Show {scan}").format(scan=_onButton(scan)))
        self.ui.workOnShownButton.setText(_("Work on {scan}").format(scan=_onButton(shown)))
        if self._editor.isArmed:
            self._editor.putDown()
            slicer.util.showStatusMessage(_("The brush is put down.") + " " + text, 10000)

    def _look(self) -> None:
        if self.state.parameters is not None:  # else the module was left meanwhile, or the panel has ended
            self.refresh()

    def _other(self):
        return otherThan(self.state.scan) if self.state.scan is not None else None


def _short(name: str, most: int) -> str:
    """A name that leaves room in a narrow panel, which a long one without spaces would widen."""
    return name if len(name) <= most else f"{name[: most - 8]}...{name[-5:]}"


def _onButton(name: str) -> str:
    return _short(name, LETTERS_ON_BUTTON).replace("&", "&&")  # a single one underlines the next letter
