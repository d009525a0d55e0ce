"""Section 3: adapt the model to the training set, watch it, and choose between old and new."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..dgst.registry import STRATEGIES
from ..engine.protocol import EngineError
from ..errors import InputError
from . import dependencies, roles
from .choices import DEVICES, IN_SHORT, LAYERS, UPDATES
from .comparison import choiceOf, comparison, recommended
from .earlierruns import EarlierRuns
from .endnow import EndNow
from .keeping import howToSave, mayGoOn, mayLeaveLost, yesNoOrCancel
from .plot import TrainingPlot, plotViewNode
from .state import PanelState, allow, attempt, clock, tell
from .task import Task, doing

_LEAST_MSEC_BETWEEN_UPDATES = 200


class FinetuneSection:
    """Start, watch and end a fine-tuning; nothing here waits for the engine.

    Args:
        ui: the panel's widgets.
        state: what the sections share.
    """

    def __init__(self, ui, state: PanelState):
        self.ui, self.state, self.logic = ui, state, state.logic
        self.task: Task | None = None
        self.finishedRun: Path | None = None
        self.improved: bool | None = None
        self._previous = ""
        self.earlier = EarlierRuns(ui.earlierButton, self.logic)
        self.plot: TrainingPlot | None = None
        self.endNow = EndNow(ui.cancelButton, self.logic.engine)
        self._last = qt.QElapsedTimer()
        self._last.start()
        ruled = (ui.gammaSpinBox, ui.layersSelector, ui.updateSelector)
        self._toolTips = [(widget, widget.toolTip) for widget in ruled]
        self._setUpSelectors()
        self.plotView = slicer.qMRMLPlotView()
        self.plotView.setMinimumHeight(190)
        self.plotView.setMRMLScene(slicer.mrmlScene)
        ui.plotFrame.layout().addWidget(self.plotView)
        for button, handler in (
            (ui.startButton, self.onStart),
            (ui.resumeButton, self.onResume),
            (ui.stopAndKeepButton, self.onStopAndKeep),
            (ui.cancelButton, self.onCancel),
            (ui.useModelButton, self.onUseModel),
            (ui.keepPreviousButton, self.onKeepPrevious),
        ):
            button.connect("clicked()", handler)
        for widget in (ui.plotFrame, ui.trainingWidget, ui.resultFrame):
            widget.hide()

    def _setUpSelectors(self) -> None:
        ui = self.ui
        for info in STRATEGIES.values():
            ui.strategySelector.addItem(info.title, info.name)
        for selector, choices in (
            (ui.updateSelector, UPDATES.items()),
            (ui.layersSelector, LAYERS.items()),
            (ui.deviceSelector, DEVICES),
        ):
            for name, title in choices:
                selector.addItem(title, name)
        ui.deviceSelector.setCurrentIndex(ui.deviceSelector.findData(self.logic.settings.device))
        ui.strategySelector.connect("currentIndexChanged(int)", self.onStrategyChosen)
        ui.updateSelector.connect("currentIndexChanged(int)", self.onUpdateChosen)
        ui.layersSelector.connect("currentIndexChanged(int)", self.onLayersChosen)
        ui.deviceSelector.connect("currentIndexChanged(int)", self.onDeviceChosen)

    # ------------------------------------------------------------------------------------------------------ showing

    def showParameters(self) -> None:
        """Show the strategy, rule and layers that the scene holds; the other fields follow by themselves."""
        parameters = self.state.parameters
        for selector, name in (
            (self.ui.strategySelector, parameters.strategy),
            (self.ui.updateSelector, parameters.update),
            (self.ui.layersSelector, parameters.layers),
        ):
            index = selector.findData(name)
            if index >= 0 and selector.currentIndex != index:
                selector.setCurrentIndex(index)
        self._showStrategy()

    def showPlotView(self) -> None:
        """Bind the plot to the scene, which may be a new one."""
        self.plotView.setMRMLScene(slicer.mrmlScene)
        viewNode = plotViewNode(self.state.parameters.parameterNode)
        self.plotView.setMRMLPlotViewNode(viewNode)
        if self.plot is not None:
            self.plot.attach()
            self.plot.show(viewNode)

    def refresh(self) -> None:
        """Show what can be done now."""
        ui, running = self.ui, self.task is not None
        cases, resumable = [], None
        with tell(_("The training folder could not be read.")):
            cases, resumable = self.logic.trainingSet.cases(), self.logic.resumableRun()
        busy = self.logic.engine.occupation
        empty = None if cases else _("Add a scan to the training set first.")
        allow(ui.startButton, busy or empty, _("Adapt the model to all scans of the training set."))
        ui.startButton.setVisible(not running)
        ui.resumeButton.setVisible(resumable is not None and not running)
        allow(ui.resumeButton, busy, _("Go on with the last fine-tuning where it was left."))
        ui.trainingWidget.setVisible(running)
        self.earlier.refresh()
        self._showStrategy()

    def _showStrategy(self) -> None:
        info = STRATEGIES[self.ui.strategySelector.itemData(self.ui.strategySelector.currentIndex)]
        self.ui.strategyLabel.setText(IN_SHORT.get(info.name, info.description))
        self.ui.strategyLabel.setToolTip(info.description)
        reason = None if info.uses_gamma else _("Only for methods that choose single weights, such as DGST.")
        for widget, toolTip in self._toolTips:
            allow(widget, reason, toolTip)
        parameters = self.state.parameters
        bySteps = parameters is not None and parameters.steps > 0
        reason = _("The number of steps under Advanced says how long; set it to 0 to choose a time.")
        allow(self.ui.minutesSpinBox, reason if bySteps else None, _("How long the whole fine-tuning may take."))

    def onStrategyChosen(self, index: int) -> None:
        self._choose("strategy", self.ui.strategySelector.itemData(index))
        self._showStrategy()

    def onUpdateChosen(self, index: int) -> None:
        self._choose("update", self.ui.updateSelector.itemData(index))

    def _choose(self, name: str, value: str) -> None:
        """Keep a choice of strategy or rule. A learning rate that was meant for another one is given up."""
        parameters = self.state.parameters
        if parameters is not None and getattr(parameters, name) != value:
            setattr(parameters, name, value)
            parameters.learningRate = 0.0

    def onLayersChosen(self, index: int) -> None:
        if self.state.parameters is not None:
            self.state.parameters.layers = self.ui.layersSelector.itemData(index)

    def onDeviceChosen(self, index: int) -> None:
        self.logic.settings.device = self.ui.deviceSelector.itemData(index)

    # ------------------------------------------------------------------------------------------------------- running

    def options(self) -> dict:
        """Fields of the request as the panel is set."""
        p = self.state.parameters
        length = {"steps": p.steps} if p.steps > 0 else {"minutes": p.minutes}
        selects = STRATEGIES[p.strategy].uses_gamma
        selection = {"gamma": p.gamma or None, "layers": p.layers or None, "update": p.update} if selects else {}
        return {
            "strategy": p.strategy,
            **selection,
            "lr": p.learningRate or None,
            "holdout": None if p.heldOut < 0 else p.heldOut,
            "seed": p.seed,
            **length,
        }

    def onStart(self) -> None:
        if not self._applyDecisions() or not mayLeaveLost() or not self._saveChanges() or not dependencies.ensure():
            return
        with attempt(_("The fine-tuning was not started.")):
            self._follow(self.logic.fineTune(**self.options()))

    def onResume(self) -> None:
        if not dependencies.ensure():
            return
        with attempt(_("The fine-tuning was not resumed.")):
            self._follow(self.logic.resume())

    def _applyDecisions(self) -> bool:
        """Whether to go on, after asking about decisions on findings that no case has yet."""
        scans = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        reviews = [self.logic.review(scan, role) for scan in scans for role in roles.PREDICTIONS]
        question = _(
            "Decisions on findings that are not part of an annotation yet: {count}. Add them first, to learn from them?"
        )
        return mayGoOn(
            [review for review in reviews if review is not None],
            question,
            _("Learn from your decisions?"),
            _("The decisions were not added."),
        )

    def _saveChanges(self) -> bool:
        """Whether to go on, after asking about marks that the training set does not have yet."""
        changed = []
        with tell(_("The training folder could not be read.")):
            changed = self.logic.trainingSet.changedScans() + self.logic.trainingSet.newScans()
        if not changed:
            return True
        question = _("The training set does not have the latest marks of {scans}. Keep them there first?")
        names = ", ".join(scan.GetName() for scan in changed)
        answer = yesNoOrCancel(question.format(scans=names), _("Learn from the latest marks?"))
        if answer == qt.QMessageBox.No:
            return True
        return answer == qt.QMessageBox.Yes and self._keepAll(changed)

    def _keepAll(self, scans: list) -> bool:
        """Keep the marks of each scan in the training set; whether to go on where some cannot be kept."""
        refusals = []
        for scan in scans:
            how = howToSave(self.logic.trainingSet, scan)
            if how is None:
                refusals.append(_("{scan}: its stored marks stay.").format(scan=scan.GetName()))
                continue
            try:
                self.logic.trainingSet.save(scan, **how)
            except InputError as error:
                refusals.append(str(error))
        question = _("Not kept in the training set:\n\n{reasons}\n\nLearn without them?")
        return not refusals or slicer.util.confirmOkCancelDisplay(
            question.format(reasons="\n".join(refusals)), windowTitle=_("Learn from the latest marks?")
        )

    def _follow(self, task: Task) -> None:
        self.task = task
        self.finishedRun, self._previous = None, self.logic.models.current.spec
        self.plot = TrainingPlot()
        self.showPlotView()
        self.ui.resultFrame.hide()
        self.ui.plotFrame.show()
        self.ui.trainingProgressBar.setRange(0, 0)
        self.ui.trainingLabel.setText(_("Preparing the scans ..."))
        self.ui.stopAndKeepButton.setEnabled(True)
        self.ui.cancelButton.setEnabled(True)
        task.progressed.connect(self._onProgress)
        task.noted.connect(slicer.util.showStatusMessage)
        task.finished.connect(self._onFinished)
        task.failed.connect(self._onFailed)
        self.refresh()
        self.state.stepChanged()

    def _onProgress(self, event: dict) -> None:
        """Keep the curve whole, but touch the widgets only some times a second."""
        isPoint = self.plot.add(event)
        if event.get("phase") != "train" and not isPoint:
            self._showPreparation(event)
        elif self._last.elapsed() > _LEAST_MSEC_BETWEEN_UPDATES:
            self._last.restart()
            self.plot.draw()
            if event.get("steps"):
                self._showStep(event)

    def _showPreparation(self, event: dict) -> None:
        steps = event.get("steps")
        self.ui.trainingProgressBar.setRange(0, steps or 0)
        if steps:
            self.ui.trainingProgressBar.setValue(event["step"])
        self.ui.trainingProgressBar.setFormat("%p %")
        self.ui.trainingLabel.setText(doing(event))

    def _showStep(self, event: dict) -> None:
        bar = self.ui.trainingProgressBar
        bar.setRange(0, event["steps"])
        bar.setValue(event["step"])
        bar.setFormat(_("%p %, {left} left").format(left=clock(event.get("seconds_left"))))
        self.ui.trainingLabel.setText(
            _("Step {step} of {steps}, loss {loss:.3f}, memory {memory:.1f} GB").format(
                step=event["step"],
                steps=event["steps"],
                loss=event.get("loss") or 0.0,
                memory=(event.get("memory_mb") or 0) / 1024,
            )
        )

    def onStopAndKeep(self) -> None:
        self.ui.stopAndKeepButton.setEnabled(False)
        self.endNow.wait(self.task)
        self.ui.trainingLabel.setText(_("Stopping, and keeping what was learned ..."))
        self.logic.stopAndKeep()

    def onCancel(self) -> None:
        if self.endNow.isOffered:
            self._onEndNow()
            return
        question = _("End this fine-tuning and drop what it has learned?")
        if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Cancel fine-tuning")):
            return
        if self.task is not None:
            self.ui.stopAndKeepButton.setEnabled(False)
            self.endNow.wait(self.task)
            self.ui.trainingLabel.setText(_("Cancelling ..."))
            self.logic.cancel(self.task)

    def _onEndNow(self) -> None:
        """The engine was asked to stop and has not; measuring what is kept may take long, so that is asked about."""
        question = _("The engine is not done yet. End it now, and keep only what the run had saved?")
        mayEnd = self.task.dropped or slicer.util.confirmYesNoDisplay(question, windowTitle=_("End now"))
        if mayEnd and self.task is not None:  # it may have ended meanwhile
            self.ui.trainingLabel.setText(_("Ending the engine ..."))
            self.endNow.end()

    # -------------------------------------------------------------------------------------------------------- ending

    def _onFinished(self, result: dict) -> None:
        task, self.task = self.task, None
        self.endNow.forget()
        self.plot.draw()
        if result.get("model") and not task.dropped:
            self._showResult(result, task.folder)
        else:
            self.ui.plotFrame.hide()
            if not task.dropped:
                self._tellNoModel(task)
        self.refresh()
        self.state.stepChanged()

    def _tellNoModel(self, task: Task) -> None:
        goesOn = _("Resume goes on.") if self._goesOn(task) else _("There is nothing to resume; start it anew.")
        slicer.util.infoDisplay(_("It was stopped before its first step; there is no model yet.") + " " + goesOn)

    def _goesOn(self, task: Task) -> bool:
        """Whether *Resume* goes on with this very run, and not with one before it."""
        run = None
        with tell(_("The training folder could not be read.")):
            run = self.logic.resumableRun()
        return run is not None and run.folder == task.folder

    def _showResult(self, result: dict, folder: Path) -> None:
        """Offer the choice between the models; where they cannot be shown there is none to wait for."""
        with attempt(_("The models could not be compared.")):
            entries, current = self.logic.models.entries(), self.logic.models.current
            new = next((entry for entry in entries if Path(entry.spec) == folder), None)
            if new is None:
                raise InputError(_("The new model in {folder} cannot be opened.").format(folder=folder))
            previous = next((entry for entry in entries if entry.spec == self._previous), current)
            self.ui.resultLabel.setText(comparison(previous, new, result, choiceOf(previous, current)))
            self.improved = recommended(previous, new, result)
            self.finishedRun = folder
            self.ui.resultFrame.show()
            slicer.util.showStatusMessage(_("DGSTSegment: the fine-tuning has ended; choose the model there."))

    def _onFailed(self, error: Exception) -> None:
        task, self.task = self.task, None
        wasEnded = self.endNow.forget()
        if self.logic.engine.closing or (task.dropped and not wasEnded):
            return  # as the user wished
        self.refresh()
        self.state.stepChanged()
        if task.dropped:
            ended = _("The engine was ended. What this fine-tuning had learned was dropped; all else is kept.")
            slicer.util.infoDisplay(ended)
            return
        resumable = isinstance(error, EngineError) and self._goesOn(task)
        hint = "\n\n" + _("Press Resume to go on where it was saved.") if resumable else ""
        if wasEnded:
            error = _("The engine was ended.") + ("" if resumable else " " + _("The run had not saved anything yet."))
        slicer.util.errorDisplay(f"{error}{hint}")

    def onUseModel(self) -> None:
        with attempt(_("The model was not changed.")):
            self.logic.models.use(str(self.finishedRun))
            self.settle()

    def onKeepPrevious(self) -> None:
        with attempt(_("The model was not changed.")):
            if self.logic.models.current.spec != self._previous:
                self.logic.models.use(self._previous)
            self.settle()

    def settle(self) -> None:
        """The user has chosen a model, here or in the list."""
        self.forgetRun()
        self.refresh()
        self.state.stepChanged()

    def forgetRun(self) -> None:
        """Offer no choice any more: it is made, or another study is open."""
        self.finishedRun = None
        self.ui.resultFrame.hide()
