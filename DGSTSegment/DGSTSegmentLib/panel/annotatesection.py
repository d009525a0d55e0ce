"""Section 2: mark lymph nodes, say what unmarked means, and keep the scan in the training set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from . import bridge, lymphnode, roles
from .adoptdialog import askAndTake
from .brush import LymphNodeEditor
from .casetable import CaseTable
from .keeping import howToSave, mayLeaveOut
from .later import Later
from .overlay import drawInSlices
from .region import makeRegion
from .samescan import SameScan
from .sliceviews import bringIntoView
from .state import PanelState, allow, attempt, tell

BOX_MARGIN_MM = 15.0


class AnnotateSection:
    """Slicer's segment editor on the case's annotation, its completeness, and the training set.

    Args:
        ui: the panel's widgets.
        state: what the sections share.
    """

    def __init__(self, ui, state: PanelState):
        self.ui, self.state, self.logic = ui, state, state.logic
        self.editor = LymphNodeEditor(ui.segmentEditor)
        self.table = CaseTable(ui, state, self.onCaseOpened)
        self.sameScan = SameScan(ui, state, self.onJoined)
        self._observed: list[tuple] = []
        self._answerPainting = Later(100, self._afterPainting)  # many events come in a row while the brush moves
        self.chosenFinding: Callable[[], int] = lambda: 0
        self._radios = {"marked": ui.markedRadio, "region": ui.regionRadio, "all": ui.allRadio}
        self._toolTips = [(widget, widget.toolTip) for widget in (*self._radios.values(), ui.placeBoxButton)]
        ui.markedRadio.connect("toggled(bool)", self.onMarkedToggled)
        ui.regionRadio.connect("toggled(bool)", self.onRegionToggled)
        ui.allRadio.connect("toggled(bool)", self.onAllToggled)
        ui.newNodeButton.connect("clicked()", self.onNewNode)
        ui.fromSegmentationButton.connect("clicked()", self.onFromSegmentation)
        ui.placeBoxButton.connect("clicked()", self.onPlaceBox)
        ui.addCaseButton.connect("clicked()", self.onAddCase)
        self.logic.aboutToChangeAnnotation.connect(self.onAboutToChange)

    # ------------------------------------------------------------------------------------------------------ showing

    def showScan(self) -> None:
        """Put the chosen scan's annotation into the editor."""
        scan = self.state.scan
        annotation = self._annotation()
        self._observe(annotation)
        self.editor.edit(annotation, scan)
        self.showParameters()
        radio = self._radios[roles.completenessOf(annotation)]
        if not radio.checked:
            radio.setChecked(True)
        self.refresh()

    def showParameters(self) -> None:
        """Draw the annotation as the findings that it is compared with."""
        annotation, parameters = self._annotation(), self.state.parameters
        if annotation is not None and annotation.GetDisplayNode() is not None and parameters is not None:
            drawInSlices(annotation.GetDisplayNode(), parameters.outlineOnly, parameters.opacity)

    def refresh(self) -> None:
        """Show what can be done now."""
        ui, noScan = self.ui, self._noScan()
        allow(
            ui.newNodeButton,
            noScan,
            _("Add a lymph node and take the brush: paint it with a ball that sticks to soft tissue."),
        )
        toolTip = _(
            "Take what is segmented already, as in the Segment Editor, a DICOM SEG or an RTSTRUCT, as lymph nodes."
        )
        allow(ui.fromSegmentationButton, noScan, toolTip)
        self.offerFinding()
        ui.segmentEditor.setEnabled(self._annotation() is not None)
        ui.editorHintLabel.setVisible(self._annotation() is None)
        ui.editorHintLabel.setText(noScan or _('Press "New lymph node" to begin painting.'))
        for widget, toolTip in self._toolTips:
            allow(widget, noScan, toolTip)
        ui.placeBoxButton.setVisible(ui.regionRadio.checked)
        self.refreshAddButton()
        self.sameScan.refresh()
        self.table.refresh()

    def offerFinding(self) -> None:
        """The chosen finding can be taken into the annotation."""
        noFinding = self._noScan() or (
            None if self.chosenFinding() else _("Choose a finding in the table of findings first.")
        )
        toolTip = _("Take the chosen finding into the annotation, and correct it there.")
        allow(self.ui.fromFindingButton, noFinding, toolTip)

    def showBox(self) -> None:
        """Another scan was hidden or shown: its box is seen where it says what unmarked means."""
        annotation = self._annotation()
        if annotation is not None and roles.regionOf(annotation) is not None:
            self._showBox(annotation, roles.completenessOf(annotation) == "region")

    def refreshAddButton(self) -> None:
        """Show whether the training set has the scan as it is now."""
        button, scan, reason = self.ui.addCaseButton, self.state.scan, self._noScan()
        toolTip = _("Keep this scan with its marks in the training set; the next fine-tuning learns from it.")
        case, hasChanges = None, False
        with tell(_("The training folder could not be read.")):
            case = self.logic.trainingSet.caseOf(scan) if scan is not None else None
            hasChanges = case is not None and self.logic.trainingSet.hasChanges(scan)
        if case is None:
            button.setText(_("Add to training set"))
        elif hasChanges:
            button.setText(_("Update in training set"))
        else:
            button.setText(_("In the training set"))
            reason = reason or _("Nothing was changed since it was saved.")
        allow(button, reason, toolTip)

    # ------------------------------------------------------------------------------------------------------ marking

    def onNewNode(self) -> None:
        with attempt(_("No lymph node was added.")):
            annotation = self.logic.annotation(self.state.scan)
            self.showScan()
            self.onAboutToChange(annotation)
            self.startPainting(lymphnode.addLymphNode(annotation))

    def onFromSegmentation(self) -> None:
        if askAndTake(self.state.scan, self.logic.aboutToChangeAnnotation):
            self.showScan()
            self.state.annotationChanged()
            self.state.stepChanged()

    def startPainting(self, segmentId: str) -> None:
        """Show the annotation and take the brush for one of its segments."""
        self.showScan()
        self.ui.annotateSection.collapsed = False
        bringIntoView(self.state.scan)
        self.editor.arm(segmentId)
        self.state.annotationChanged()

    def onAboutToChange(self, annotation) -> None:
        if roles.scanOf(annotation) is self.state.scan:
            self.editor.edit(annotation, self.state.scan)
        self.editor.saveState(annotation)

    # ------------------------------------------------------------------------------------------------- completeness

    def onMarkedToggled(self, checked: bool) -> None:
        self._chooseCompleteness("marked", checked)

    def onRegionToggled(self, checked: bool) -> None:
        self._chooseCompleteness("region", checked)

    def onAllToggled(self, checked: bool) -> None:
        self._chooseCompleteness("all", checked)

    def _chooseCompleteness(self, name: str, checked: bool) -> None:
        if not checked or self.state.scan is None:
            return
        with attempt(_("The choice was not kept.")):
            annotation = self._annotation()
            if annotation is None and name != "marked":
                annotation = self.logic.annotation(self.state.scan)
                self.showScan()
            if annotation is not None and roles.completenessOf(annotation) != name:
                roles.setCompleteness(annotation, name)
            if annotation is not None:
                self._showBox(annotation, name == "region")
            self.refresh()
            self.state.stepChanged()

    def onPlaceBox(self) -> None:
        annotation = self._annotation()
        old = roles.regionOf(annotation) if annotation is not None else None
        question = _("Replace the box by a new one around what is marked now?")
        if old is not None and not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("Place box")):
            return
        with attempt(_("The box was not placed.")):
            annotation = self.logic.annotation(self.state.scan)
            box = self._boxAroundMarks(annotation)  # where there can be none, the old one stays
            if old is not None:
                slicer.mrmlScene.RemoveNode(old)
            roles.setRegion(annotation, makeRegion(self.state.scan.GetName(), box))
            self._observe(annotation)
            self.refresh()
            self.state.stepChanged()

    def _boxAroundMarks(self, annotation) -> list[float]:
        """Around what is marked, with a margin; else in the middle of the scan; corners LPS mm."""
        scan = self.state.scan
        marked, geometry = bridge.unionMask(annotation, scan), bridge.geometryOf(scan)
        if marked.any():
            points = geometry.to_world(np.argwhere(marked))
            return [*(points.min(axis=0) - BOX_MARGIN_MM), *(points.max(axis=0) + BOX_MARGIN_MM)]
        low, high = geometry.corners().min(axis=0), geometry.corners().max(axis=0)
        quarter = (high - low) / 4
        return [*(low + quarter), *(high - quarter)]

    def _showBox(self, annotation, visible: bool) -> None:
        roi = roles.regionOf(annotation)
        if roi is not None:
            roi.GetDisplayNode().SetVisibility(visible)
        elif visible:
            self.onPlaceBox()

    # ------------------------------------------------------------------------------------------------- training set

    def onAddCase(self) -> None:
        scan = self.state.scan
        if not mayLeaveOut(scan, self.logic.review(scan), self.state.parameters.leastShortAxis):
            return
        how = howToSave(self.logic.trainingSet, scan)
        if how is None:
            return
        with attempt(_("The scan was not added to the training set.")):
            case = self.logic.trainingSet.save(scan, **how)
            self.editor.putDown()
            slicer.util.showStatusMessage(
                _("{name} is in the training set, with {count} marked lymph nodes.").format(
                    name=case.name, count=case.marked
                ),
                5000,
            )
        self.onJoined()

    def onJoined(self) -> None:
        """The scan became a case, or has what is stored of it now."""
        self.showScan()
        self.state.annotationChanged()
        self.state.reviewChanged()
        self.state.stepChanged()

    def onCaseOpened(self, scan) -> None:
        self.state.parameters.inputVolume = scan
        self.showScan()
        self.state.reviewChanged()  # the marks may have been replaced
        bringIntoView(scan)  # it may be the one at work on, with another in the views

    # ---------------------------------------------------------------------------------------------------- internals

    def _noScan(self) -> str | None:
        """Why nothing can be marked; None where a scan is chosen."""
        return _("Choose a CT scan first.") if self.state.scan is None else None

    def _annotation(self):
        scan = self.state.scan
        return roles.nodeOf(scan, roles.ANNOTATION) if scan is not None else None

    def _observe(self, annotation) -> None:
        """Hear of painting and undo in the annotation, and of changes of its box."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []
        if annotation is None:
            return
        segmentation = annotation.GetSegmentation()
        events = (
            slicer.vtkSegmentation.SourceRepresentationModified,
            slicer.vtkSegmentation.SegmentAdded,
            slicer.vtkSegmentation.SegmentRemoved,
        )
        self._observed = [(segmentation, segmentation.AddObserver(event, self._answerPainting)) for event in events]
        roi = roles.regionOf(annotation)
        if roi is not None:
            self._observed.append((roi, roi.AddObserver(vtk.vtkCommand.ModifiedEvent, self._answerPainting)))

    def _afterPainting(self) -> None:
        if self.state.parameters is not None:
            self.refreshAddButton()
            self.state.annotationChanged()

    def release(self) -> None:
        """Before the scene goes or the panel ends."""
        self._observe(None)
        self.editor.edit(None, None)
        self.editor.letGo()
