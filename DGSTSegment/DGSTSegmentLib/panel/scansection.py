"""Section 1: which scan, which model, and what it finds."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from ..engine.protocol import EngineError
from . import dependencies
from .endnow import EndNow
from .keeping import mayGoOn
from .models import ModelEntry
from .prediction import Prediction
from .sliceviews import bringIntoView
from .state import PanelState, allow, attempt, breakable, clock, tell
from .task import Task


class ScanSection:
    """Choose scan and model, find lymph nodes.

    Args:
        ui: the panel's widgets.
        state: what the sections share.
    """

    def __init__(self, ui, state: PanelState):
        self.ui, self.state, self.logic = ui, state, state.logic
        self.task: Task | None = None
        self._described = False
        self._shown = -1
        self.endNow = EndNow(ui.stopFindingButton, self.logic.engine)
        self._toolTips = [(widget, widget.toolTip) for widget in (ui.addModelButton, ui.modelSelector)]
        self._setUpModelMenu()
        ui.modelSelector.connect("activated(int)", self.onModelChosen)
        ui.removeModelButton.connect("clicked()", self.onRemoveModel)
        ui.findButton.connect("clicked()", self.onFind)
        ui.stopFindingButton.connect("clicked()", self.onStop)
        ui.findProgressWidget.hide()

    def _setUpModelMenu(self) -> None:
        self.menu = qt.QMenu(self.ui.addModelButton)
        folder = self.menu.addAction(_("From a folder (nnU-Net results or a DGSTSegment model)..."))
        folder.connect("triggered()", self.onAddFolder)
        archive = self.menu.addAction(_("From a zip file..."))
        archive.connect("triggered()", self.onAddZip)
        self.ui.addModelButton.setMenu(self.menu)

    def refresh(self) -> None:
        """Show what can be done now."""
        ui, scan, busy = self.ui, self.state.scan, self.logic.engine.busy
        reason = None
        if scan is None:
            reason = _("Choose a CT scan first.")
        elif busy:
            reason = self.logic.engine.occupation
        allow(ui.findButton, reason, _("Let the chosen model look for lymph nodes in the whole scan."))
        entry = self._chosen()
        fixed = _("This model comes with DGSTSegment.") if entry is None or not entry.removable else None
        allow(
            ui.removeModelButton,
            fixed or self.logic.engine.occupation,
            _("Take this model off the list; its files are kept."),
        )
        for widget, toolTip in self._toolTips:
            allow(widget, self.logic.engine.occupation, toolTip)

    def refreshModels(self) -> None:
        """Show the list of models, and the card of the current one."""
        selector = self.ui.modelSelector
        with attempt(_("The list of models could not be read.")):
            entries, current = self.logic.models.entries(), self.logic.models.current
            selector.clear()
            for entry in entries:
                selector.addItem(entry.title, entry.spec)
            selector.setCurrentIndex(selector.findData(current.spec))
            self.ui.cardLabel.setText(current.line())
            self.ui.cardLabel.setToolTip(current.card.description)
            if self.logic.models.missing:
                selector.setCurrentIndex(-1)
                gone = _("The model {name} is gone; choose one of the list.").format(name=self.logic.models.missing)
                self.ui.cardLabel.setText(breakable(gone))
            damaged = [breakable(sentence) for sentence in self.logic.models.damaged]
            self.ui.cardLabel.setText("\n".join([self.ui.cardLabel.text, *damaged]))
            self._shown = selector.currentIndex
        self.refresh()

    def describeMachineAgain(self) -> None:
        """The user chose another device, or the engine has worked meanwhile."""
        self._described = False
        self.describeMachine()

    def describeMachine(self) -> None:
        """Ask once what the engine can compute on, where everything it needs is installed."""
        if self.state.parameters is None or self._described or dependencies.missing():
            return
        self._described = True
        task = self.logic.describeMachine()
        task.finished.connect(self._showMachine)
        task.failed.connect(self._showNoMachine)

    def _showMachine(self, described: dict) -> None:
        wanted = self.logic.settings.device
        devices = described.get("devices") or []
        usable = [d for d in devices if wanted == "auto" or d["name"].startswith(wanted)]
        sentences = [_computesOn(usable[-1])] if usable else []
        reason = None if wanted == "cpu" else described.get("why_no_gpu")
        if reason:
            sentences.append(_("No GPU is used: {reason}.").format(reason=reason))
        if sentences:
            self.ui.deviceLabel.setText("\n".join(sentences))

    def _showNoMachine(self, error: Exception) -> None:
        self._described = False
        self.ui.deviceLabel.setText(str(error))

    def onModelChosen(self, index: int) -> None:
        spec, isRefused = str(self.ui.modelSelector.itemData(index)), False
        self.ui.modelSelector.setCurrentIndex(self._shown)  # until it is in use, and where the folder is gone
        with attempt(_("The model was not changed.")):
            self.logic.models.use(spec)
            self.state.modelChosen()
        with tell(_("The list of models could not be read.")):
            isRefused = self.logic.models.current.spec != spec
        if isRefused:
            self.refreshModels()  # the list shows what is in use

    def onAddFolder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self.ui.addModelButton, _("Folder of a model"), "")
        if folder:
            self.addModel(folder)

    def onAddZip(self) -> None:
        path = qt.QFileDialog.getOpenFileName(self.ui.addModelButton, _("Zip file of a model"), "", "*.zip")
        if path:
            self.addModel(path)

    def addModel(self, spec: str) -> None:
        if not dependencies.ensure():
            return
        with attempt(_("The model was not added.")):
            task = self.logic.addModel(spec)
            task.finished.connect(self._onModelAdded)
            task.failed.connect(self._onFailed)
            self._follow(task)

    def _onModelAdded(self, entry: ModelEntry) -> None:
        self._unfollow()
        with attempt(_("The model was not added.")):
            self.logic.models.use(entry.spec)

    def onRemoveModel(self) -> None:
        entry = self._chosen()
        question = _("Take {name} off the list? Its files are kept.").format(name=entry.title)
        if slicer.util.confirmYesNoDisplay(question, windowTitle=_("Remove model")):
            with attempt(_("The model was not removed.")):
                self.logic.models.remove(entry.spec)

    def onFind(self) -> None:
        scan = self.state.scan
        role = ""
        with attempt(_("Lymph nodes were not looked for.")):
            role = self.logic.models.current.role
        if not role or not self._maySeek(scan, role) or not dependencies.ensure():
            return
        with attempt(_("Lymph nodes were not looked for.")):
            bringIntoView(scan)
            task = self.logic.findLymphNodes(scan)
            task.finished.connect(self._onFound)
            task.failed.connect(self._onFailed)
            self._follow(task)
            self.state.sought = scan.GetID(), role
            self.state.reviewChanged()

    def _maySeek(self, scan, role: str) -> bool:
        """Whether a new prediction may take the old one's place, after asking what becomes of its decisions."""
        review = self.logic.review(scan, role)
        question = _(
            "Decisions on the previous findings that are not part of the annotation yet: {count}. "
            "Add them before looking again? No discards them."
        )
        reviews = [] if review is None else [review]
        return mayGoOn(reviews, question, _("Keep your decisions?"), _("The decisions were not added."))

    def onStop(self) -> None:
        if self.endNow.isOffered:
            self.ui.findProgressBar.setFormat(_("Ending the engine ..."))
            self.endNow.end()
            return
        self.ui.findProgressBar.setFormat(_("Stopping ..."))
        self.endNow.wait(self.task)
        self.logic.engine.stop()

    def _follow(self, task: Task) -> None:
        self.task = task
        self.ui.findProgressBar.setRange(0, 0)
        self.ui.findProgressBar.setFormat(task.title)
        self.ui.findProgressWidget.show()
        task.progressed.connect(self._onProgress)
        task.noted.connect(slicer.util.showStatusMessage)

    def _unfollow(self) -> bool:
        """The task is over; returns whether the user ended the engine."""
        self.task = None
        wasEnded = self.endNow.forget()
        self.ui.findProgressWidget.hide()
        self.state.sought = None
        self.state.reviewChanged()
        return wasEnded

    def _onProgress(self, event: dict) -> None:
        bar, steps = self.ui.findProgressBar, event.get("steps")
        if steps:
            bar.setRange(0, steps)
            bar.setValue(event["step"])
            bar.setFormat(_("%p %, {left} left").format(left=clock(event.get("seconds_left"))))
        else:
            bar.setRange(0, 0)

    def _onFound(self, prediction: Prediction | None) -> None:
        self._unfollow()
        if prediction is None:
            slicer.util.showStatusMessage(_("Stopped; nothing was changed."), 5000)
        elif not prediction.findings():
            nothing = _("{model} found no lymph node in {scan}.")
            text = nothing.format(model=prediction.modelTitle, scan=prediction.scan.GetName())
            slicer.util.showStatusMessage(text, 10000)
        elif prediction.scan is not self.state.scan:
            found = _("Lymph nodes were found in {scan}.").format(scan=prediction.scan.GetName())
            slicer.util.showStatusMessage(found, 10000)

    def _onFailed(self, error: Exception) -> None:
        wasEnded = self._unfollow()
        if self.logic.engine.closing:
            return
        if wasEnded:
            slicer.util.infoDisplay(
                _("The engine was ended; nothing was changed. It starts again with the next request.")
            )
            return
        hint = _(" It starts again with the next request.") if isinstance(error, EngineError) else ""
        slicer.util.errorDisplay(f"{error}{hint}")

    def _chosen(self) -> ModelEntry | None:
        spec = self.ui.modelSelector.itemData(self.ui.modelSelector.currentIndex)
        entries = []
        with tell(_("The list of models could not be read.")):
            entries = self.logic.models.entries()
        return next((entry for entry in entries if entry.spec == spec), None)


def _computesOn(device: dict) -> str:
    free, total = device["free_mb"] / 1024, device["memory_mb"] / 1024
    sentence = _("Computes on {device}, {free:.1f} of {total:.1f} GB free")
    return sentence.format(device=device["title"], free=free, total=total)
