"""A scan that is loaded once more is known again, and the user goes on with its case, or with what was marked in it
before it was deleted."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

from ..training.study import StudyCase
from .later import Later
from .lostmarks import LostMarks, goOnWith, lostMarksIn
from .state import PanelState, attempt, tell
from .trainingset import TrainingSet


class SameScan:
    """One line and a button where the scan at work on is one of the training set's, loaded once more, or where marks
    that lost their scan lie on its grid.

    Its voxels are compared in pieces while Slicer has time: nobody waits for that.

    Args:
        ui: the panel's widgets.
        state: what the sections share.
        onJoined: called after the scan became the case's, or has the marks.
    """

    def __init__(self, ui, state: PanelState, onJoined: Callable[[], None]):
        self.ui, self.state, self._trainingSet, self._onJoined = ui, state, state.logic.trainingSet, onJoined
        self.case: StudyCase | None = None
        self.lost: LostMarks | None = None
        self._lookLater = Later(0, self._look)
        ui.sameScanWidget.hide()
        ui.goOnButton.connect("clicked()", self.onGoOn)

    def refresh(self) -> None:
        """Show the line where the scan is known again; look for it later where that is not known yet."""
        scan, self.case = self.state.scan, None
        self.lost = lostMarksIn(scan)
        if self.lost is not None:
            self._offerLost()
        elif scan is not None and self._trainingSet.digests.isKnown(scan):
            with tell(_("The training folder could not be read.")):
                self.case = self._trainingSet.twinOf(scan)
        elif scan is not None:
            self._lookLater()
        if self.case is not None:
            self._offerCase()
        self.ui.sameScanWidget.setVisible(self.case is not None or self.lost is not None)

    def _offerCase(self) -> None:
        text = _("Already in the training set, as {name} (lymph nodes: {count}).")
        self.ui.sameScanLabel.setText(text.format(name=self.case.name, count=self.case.marked))
        self.ui.goOnButton.setText(_("Go on with that case"))
        self.ui.goOnButton.setToolTip(_("Load the stored lymph nodes beside what is marked here, and go on marking."))

    def _offerLost(self) -> None:
        text = _("{name} lost its scan and fits this one (lymph nodes: {count}).")
        self.ui.sameScanLabel.setText(text.format(name=self.lost.name, count=self.lost.count))
        self.ui.goOnButton.setText(_("Go on with these marks"))
        toolTip = _("If this is the same CT, loaded again: make them the annotation of this scan.")
        self.ui.goOnButton.setToolTip(toolTip)

    def _look(self) -> None:
        scan, alike = self.state.scan, []
        if scan is None or self._trainingSet.digests.isKnown(scan):
            return
        with tell(_("The training folder could not be read.")):
            alike = self._trainingSet.alike(scan)
        if not alike:
            return
        if not self._trainingSet.digests.advance(scan):
            self._lookLater()
            return
        self.refresh()
        self.state.stepChanged()

    def onGoOn(self) -> None:
        if self.lost is not None:
            self._goOnWithLost(self.lost)
        elif joinAndTell(self._trainingSet, self.state.scan):
            self._onJoined()

    def _goOnWithLost(self, lost: LostMarks) -> None:
        with attempt(_("The marks were not taken over.")):
            text = _("{name} belongs to {scan} now.").format(name=lost.name, scan=self.state.scan.GetName())
            goOnWith(lost, self.state.scan, self.state.logic.aboutToChangeAnnotation)
            self._onJoined()
            slicer.util.showStatusMessage(text, 10000)


def joinAndTell(trainingSet: TrainingSet, scan) -> bool:
    """Go on with the case of the very same scan, and say what came of it; whether that could be done."""
    joined = None
    with attempt(_("The marks were not put together.")):
        joined = trainingSet.join(scan)
    if joined is None:
        return False
    text = _("Stored lymph nodes that were added: {added}.").format(added=joined.added)
    if joined.merged:
        text += " " + _("Stored ones put together with yours at the same place: {count}.").format(count=joined.merged)
        slicer.util.infoDisplay(text)
    else:
        slicer.util.showStatusMessage(text, 10000)
    return True
