"""The panel: sections bound together, to the scene, and to Slicer's coming and going."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from . import roles
from .annotatesection import AnnotateSection
from .finetunesection import FinetuneSection
from .later import Later
from .logic import DGSTSegmentCore
from .lostmarks import showOnly
from .nextstep import NextStep
from .parameters import DGSTSegmentParameters
from .reviewsection import ReviewSection
from .scansection import ScanSection
from .shortcuts import Shortcuts
from .shownscan import ShownScan
from .sliceviews import isEverywhere, sliceWidgets
from .state import PanelState, attempt

OVERLAP_MSEC = 700
_PARAMETER = "SlicerParameterName"
ICONS = Path(__file__).resolve().parents[2] / "Resources" / "Icons"


class Panel:
    """What ``DGSTSegmentWidget`` delegates to.

    Args:
        uiWidget: the loaded ``DGSTSegment.ui``.
        logic: what the panel lets the user do; it has ``getParameterNode`` of a scripted module's logic.
    """

    def __init__(self, uiWidget, logic: DGSTSegmentCore):
        self.uiWidget, self.logic = uiWidget, logic
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        self.state = PanelState(logic)
        self._guiTag = self._observer = None
        self._scanId = self._scanBefore = ""
        self._lookLater, self._measureLater = Later(0, self._lookAgain), Later(OVERLAP_MSEC, self._measureOverlap)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.scan = ScanSection(self.ui, self.state)
        self.annotate = AnnotateSection(self.ui, self.state)
        self.finetune = FinetuneSection(self.ui, self.state)
        self.review = ReviewSection(self.ui, self.state, self.annotate.startPainting, self.annotate.editor.putDown)
        self.shown = ShownScan(self.ui, self.state, self.annotate.editor)
        self.annotate.chosenFinding = lambda: self.review.table.chosen
        self.ui.fromFindingButton.connect("clicked()", self.review.onEditFinding)
        self.nextStep = NextStep(self.ui, self.state, self.finetune, self.review, lambda: self.annotate.editor.isArmed)
        self.shortcuts = Shortcuts(
            {
                "A": self.review.onAccept,
                "X": self.review.onReject,
                "E": self.review.onEditFinding,
                "N": self.review.onNext,
            }
        )
        self._setIcons()
        self._connect()
        self.ui.deviceSelector.connect("currentIndexChanged(int)", self._onDeviceChosen)
        if slicer.app.layoutManager() is not None:
            slicer.app.layoutManager().connect("layoutChanged(int)", self.onLayoutChanged)
        self._onStudyChanged()

    def _setIcons(self) -> None:
        for button, name in (
            (self.ui.findButton, "FindLymphNodes"),
            (self.ui.newNodeButton, "NewLymphNode"),
            (self.ui.fromFindingButton, "FromFinding"),
            (self.ui.acceptButton, "Accept"),
            (self.ui.rejectButton, "Reject"),
            (self.ui.editButton, "Edit"),
            (self.ui.nextButton, "Next"),
        ):
            button.setIcon(qt.QIcon(str(ICONS / f"{name}.png")))

    def _connect(self) -> None:
        logic, state = self.logic, self.state
        logic.engine.changed.connect(self.refresh)
        logic.models.changed.connect(self._onModelsChanged)
        logic.trainingSet.changed.connect(self._onTrainingSetChanged)
        logic.studyChanged.connect(self._onStudyChanged)
        logic.predicted.connect(self._onPredicted)
        self.annotate.editor.effectChanged.connect(self._shareKeys)
        self.ui.reviewSection.connect("contentsCollapsed(bool)", self._onReviewCollapsed)
        state.annotationChanged.connect(self._onAnnotationChanged)
        state.reviewChanged.connect(self.review.follow)
        state.findingChosen.connect(self.annotate.offerFinding)
        state.modelChosen.connect(self.finetune.settle)
        state.stepChanged.connect(self.annotate.refreshAddButton)  # before the step that may name the button
        state.stepChanged.connect(self.nextStep.refresh)

    # ------------------------------------------------------------------------------------------- Slicer's life cycle

    def enter(self) -> None:
        """The module is shown."""
        self.bind()
        self.annotate.editor.takeUp()
        self.annotate.showScan()
        self.shortcuts.enable()
        self._shareKeys()

    def exit(self) -> None:
        """Another module is shown; what the engine does goes on."""
        self.shortcuts.disable()
        self.annotate.editor.letGo()
        self.unbind()

    def bind(self, isLoaded: bool = False) -> None:
        """Follow the scene's parameters; views that show the scan already stay as they were left.

        Args:
            isLoaded: a scene was loaded, with its views.
        """
        if self.state.parameters is not None:
            return
        parameters = DGSTSegmentParameters(self.logic.getParameterNode())
        if parameters.inputVolume is None:
            parameters.inputVolume = _firstScan()
        self.state.parameters = parameters
        self._guiTag = parameters.connectParametersToGui(self._boundWidgets())
        node = parameters.parameterNode
        self._observer = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onParameters)
        self.finetune.showPlotView()
        scan = self.state.scan
        isBack = scan is not None and (isLoaded or scan.GetID() == self._scanId) and _isInViews(scan)
        self._scanId = scan.GetID() if scan is not None else ""
        self.finetune.showParameters()
        self._showScan(keepViews=isBack)
        self.review.showParameters()
        self.shown.follow()

    def _boundWidgets(self) -> dict:
        """The widgets that the form binds to a parameter. ``connectGui`` would find them too, but in Slicer 5.8 it
        returns no tag, so that nothing could let them go again."""
        named = vars(self.ui).values()
        return {widget.property(_PARAMETER): widget for widget in named if widget.property(_PARAMETER)}

    def unbind(self) -> None:
        """Follow no parameters: the scene goes, or the module is not shown."""
        self.shown.letGo()
        parameters, self.state.parameters = self.state.parameters, None
        if parameters is not None:
            parameters.disconnectGui(self._guiTag)
            parameters.parameterNode.RemoveObserver(self._observer)

    def onSceneStartClose(self) -> None:
        self.logic.trainingSet.forgetScene()
        self.annotate.release()
        self.unbind()
        self.review.showScan()

    def onSceneEndClose(self, shown: bool) -> None:
        """A new scene; ``shown`` says whether the module is the one on the screen."""
        self._scanId = self._scanBefore = ""
        if shown:
            self.annotate.editor.takeUp()
            self.bind()
        self.refresh()

    def onSceneStartImport(self) -> None:
        """While nodes come, selectors list none of them, and parameters may be half read."""
        scan = self.state.scan
        self._scanBefore = scan.GetID() if scan is not None else ""
        self.unbind()

    def onLayoutChanged(self, _layout: int) -> None:
        """Views that a new layout brings are empty, and the segment editor does not fill them here."""
        scan = self.state.scan
        for widget in sliceWidgets() if scan is not None else []:
            if not widget.mrmlSliceCompositeNode().GetBackgroundVolumeID():
                widget.mrmlSliceCompositeNode().SetBackgroundVolumeID(scan.GetID())
                widget.sliceLogic().FitSliceToAll()
        if self.state.parameters is not None:
            self.shown.follow()

    def onSceneEndImport(self, shown: bool) -> None:
        """A saved scene was loaded: show what it holds."""
        if shown:
            self.unbind()  # the module may have been entered while nodes came
            self._keepScan()
            self.bind(isLoaded=True)
            if self.state.scan is not None:  # a scene may have been added to another one, with its overlays
                showOnly(self.state.scan)
                self.annotate.showBox()
            # The editor's selectors follow the scene only after this event, and then may choose by themselves.
            qt.QTimer.singleShot(0, self._editAgain)
        self.refresh()

    def _keepScan(self) -> None:
        """A scene that was added to another one, and in which no CT was chosen, takes no choice away."""
        parameters = DGSTSegmentParameters(self.logic.getParameterNode())
        before = slicer.mrmlScene.GetNodeByID(self._scanBefore)
        if parameters.inputVolume is None and before is not None:
            parameters.inputVolume = before

    def _editAgain(self) -> None:
        if self.state.parameters is not None:
            self.annotate.showScan()

    def onNodeRemoved(self) -> None:
        """The user may delete any node in other modules: look again."""
        scene = slicer.mrmlScene
        if self.state.parameters is not None and not scene.IsClosing() and not scene.IsImporting():
            self._lookLater()

    def _lookAgain(self) -> None:
        if self.state.parameters is None:
            return
        if self.review.review is not None and not self.review.review.prediction.isThere:
            self.review.showScan()
        self.review.followMarks()
        self.annotate.showScan()
        self.refresh()

    def cleanup(self) -> None:
        """The panel ends: the module is reloaded, or Slicer quits. A run in its middle can be resumed."""
        if slicer.app.layoutManager() is not None:  # it goes first when Slicer quits
            slicer.app.layoutManager().disconnect("layoutChanged(int)", self.onLayoutChanged)
        self.shortcuts.disable()
        self.annotate.release()
        self.review.release()
        self.unbind()
        self.finetune.plotView.setMRMLScene(None)
        self.ui.segmentEditor.setMRMLSegmentEditorNode(None)
        self.uiWidget.setMRMLScene(None)
        self.logic.close()

    # -------------------------------------------------------------------------------------------------------- changes

    def _onDeviceChosen(self, _index: int) -> None:
        self.scan.describeMachineAgain()

    def _onReviewCollapsed(self, isCollapsed: bool) -> None:
        """While the section is closed nothing is measured, whatever is painted meanwhile."""
        self._shareKeys()
        if not isCollapsed:
            qt.QTimer.singleShot(0, self._measureOverlap)

    def _shareKeys(self, *_event) -> None:
        """The keys decide only while their section is open, and nothing is drawn: A ends an outline of Draw."""
        if self.ui.reviewSection.collapsed:
            self.shortcuts.leaveToOthers("AXEN")
        else:
            self.shortcuts.leaveToOthers("AXE" if self.annotate.editor.isArmed else "")

    def refresh(self) -> None:
        """Show in every section what can be done now."""
        self.scan.refresh()
        self.annotate.refresh()
        self.finetune.refresh()
        self.review.refresh()
        self.shown.refresh()
        self.nextStep.refresh()

    def _onParameters(self, *_event) -> None:
        scan = self.state.scan
        id_ = scan.GetID() if scan is not None else ""
        self.finetune.showParameters()
        if id_ != self._scanId:
            self._scanId = id_
            self._showScan()
        self.annotate.showParameters()
        self.review.showParameters()

    def _showScan(self, keepViews: bool = False) -> None:
        with attempt(_("The scan could not be shown.")):
            if self.state.scan is not None and not keepViews:
                showOnly(self.state.scan)
                if not isEverywhere(self.state.scan):
                    slicer.util.setSliceViewerLayers(background=self.state.scan, fit=True)
                self.annotate.showBox()
            self.annotate.showScan()
            self.review.showScan(keepViews)
        self.refresh()
        if self.state.scan is not None:
            qt.QTimer.singleShot(0, self.scan.describeMachine)

    def _onPredicted(self, prediction) -> None:
        parameters = self.state.parameters or DGSTSegmentParameters(self.logic.getParameterNode())
        if prediction.scan is not parameters.inputVolume:
            prediction.node.GetDisplayNode().SetVisibility(False)
            return
        if parameters.shown != roles.BOTH:
            parameters.shown = prediction.role
        if self.state.parameters is None:
            return  # another module is on the screen; this is shown when the user comes back
        self.nextStep.sections.open("reviewSection")
        self.review.showScan()
        if self.annotate.editor.isArmed:
            self.review.sayFirst()
        else:
            self.review.goToFirst()
        self.refresh()

    def _onAnnotationChanged(self) -> None:
        self.review.refresh()
        self.nextStep.refresh()
        self._measureLater()

    def _measureOverlap(self) -> None:
        """Some time after a stroke: measuring takes longer than one on a large scan."""
        if self.state.parameters is not None and self.review.review is not None and not self.ui.reviewSection.collapsed:
            self.review.follow()

    def _onModelsChanged(self) -> None:
        if self.finetune.finishedRun is not None and not self.finetune.finishedRun.exists():
            self.finetune.forgetRun()
        self.scan.refreshModels()
        self.review.follow()
        self.nextStep.refresh()

    def _onTrainingSetChanged(self) -> None:
        self.annotate.table.reload()
        self.annotate.refresh()
        self.finetune.refresh()
        self.nextStep.refresh()

    def _onStudyChanged(self) -> None:
        self.finetune.forgetRun()
        self.scan.refreshModels()
        self._onTrainingSetChanged()
        self.refresh()


def _isInViews(scan) -> bool:
    """Whether a slice view of the layout shows it; what the others show, the user may have put there."""
    composites = [widget.mrmlSliceCompositeNode() for widget in sliceWidgets()]
    return any(
        scan.GetID() in (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID())
        for composite in composites
    )


def _firstScan():
    """What the red view shows, else the first scalar volume of the scene, which may be a scout or a PET."""
    manager = slicer.app.layoutManager()  # None where Slicer runs without a window
    red = manager.sliceWidget("Red") if manager is not None else None
    shown = red.mrmlSliceCompositeNode().GetBackgroundVolumeID() if red is not None else None
    volumes = [slicer.mrmlScene.GetNodeByID(shown or ""), *slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
    # Labelmaps are scalar volumes too, but no scans.
    return next((node for node in volumes if node and node.GetClassName() == "vtkMRMLScalarVolumeNode"), None)
