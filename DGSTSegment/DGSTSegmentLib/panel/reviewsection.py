"""Section 4: go through the findings one by one, decide, and hand the decisions to the case."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from . import roles
from .casestate import stateOf
from .findingstable import FindingsTable
from .keeping import howToSave, whatWasApplied
from .later import Later
from .prediction import ACCEPTED, ANNOTATED, REJECTED, REJECTED_BEFORE, UNDECIDED, ReviewedFinding
from .review import Review
from .reviewed import LymphNode
from .saving import SaveMenus
from .shownfindings import ShownFindings
from .sliceviews import otherThan
from .state import PanelState, allow, attempt, tell

_DECIDED = {
    ACCEPTED: _("Finding {number} is accepted; A again takes it back."),
    REJECTED: _("Finding {number} is rejected; X again takes it back."),
    UNDECIDED: _("The decision on finding {number} is taken back."),
}
_NONE_SHOWN = _("No finding is shown; the model found none, or smaller ones only.")
_STAYS = {
    ANNOTATED: _("This finding is part of the annotation; to change that, remove or edit its segment there."),
    ACCEPTED: _("You have corrected finding {number}, so its lymph node stays; remove its segment, then decide again."),
}


class ReviewSection:
    """The table of findings, what views show of them, the user's decisions, and the ways out.

    Args:
        ui: the panel's widgets.
        state: what the sections share.
        onEdit: called with the id of the annotation's segment that the user wants to correct.
        putBrushDown: called when the user goes on to another finding.
    """

    def __init__(self, ui, state: PanelState, onEdit, putBrushDown):
        self.ui, self.state, self.logic = ui, state, state.logic
        self._onEdit, self._putBrushDown = onEdit, putBrushDown
        self.review: Review | None = None
        self.overlaps: dict[int, float] = {}
        self.corrected: dict[int, LymphNode] = {}
        self.table = FindingsTable(ui.findingsTable, self.onChosen)
        self.shown = ShownFindings(ui, state, self.showScan)
        for button, handler in (
            (ui.acceptButton, self.onAccept),
            (ui.rejectButton, self.onReject),
            (ui.editButton, self.onEditFinding),
            (ui.nextButton, self.onNext),
            (ui.applyButton, self.onApply),
        ):
            button.connect("clicked()", handler)
        self._shownSettings: tuple | None = None
        self._comparedWith: tuple | None = None
        self._observed: list[tuple] = []
        self._movedShown: str | None = None
        self._lookLater = Later(0, self._look)  # a transform's sliders move the scan many times in a row
        self.saving = SaveMenus(ui, state, self)

    # ------------------------------------------------------------------------------------------------------ showing

    def showScan(self, keepViews: bool = False) -> None:
        """Review the chosen scan's prediction; ``keepViews`` leaves the views where they are."""
        scan, parameters = self.state.scan, self.state.parameters
        self.review = None
        if scan is not None and parameters is not None:
            before = parameters.shown == roles.BEFORE and self.logic.review(scan, roles.BEFORE)
            self.review = before or self.logic.review(scan)
        self._shownSettings = None
        self.table.choose(0)
        if self.review is not None:
            self.review.changed.connect(self.onReviewChanged)
        self._observe()
        self._measure()
        self._chooseAgain(keepViews)

    def _chooseAgain(self, keepViews: bool) -> None:
        """Choose what was chosen in this very prediction; the views go there too, unless they stay as they are."""
        parameters = self.state.parameters
        if self.review is None:
            return
        if parameters.selectedPrediction != self.review.prediction.token:
            parameters.selectedFinding, parameters.selectedPrediction = 0, self.review.prediction.token
        elif parameters.selectedFinding in self.table.numbers:
            self.table.choose(parameters.selectedFinding)
            if not keepViews:
                self.review.jump(parameters.selectedFinding)
            self.refresh()

    def showParameters(self) -> None:
        """Show what the scene holds of the section's settings; fields of their own follow by themselves."""
        self.shown.follow()
        shown, settings = self._shownSettings, self._settings()
        if shown is None or settings[0] != shown[0]:
            self._fill()
        elif settings != shown:
            self._showInViews()

    def _settings(self) -> tuple:
        """Which findings are shown, and how views draw them: the table is filled anew for the first only."""
        parameters = self.state.parameters
        return (parameters.leastShortAxis, parameters.shown), (parameters.outlineOnly, parameters.opacity)

    def reload(self) -> None:
        """Measure the overlap with the annotation anew, and show everything.

        Raises:
            InputError: a transform moves the scan or its findings, or the scan cannot be read.
        """
        self._forgetDeleted()
        self.overlaps, self.corrected, self._comparedWith = {}, {}, None
        try:
            if self.review is not None:
                self.review.refuseMoved()
                self.overlaps, self.corrected = self.review.settle(), self.review.corrected()
                self._comparedWith = stateOf(self.review.scan)
        finally:
            self._fill()

    def follow(self) -> None:
        """Something else was done, which may have brought the scan a prediction, or changed the annotation."""
        if self.review is None:
            self.showScan(keepViews=True)
        else:
            self._measure()

    def followMarks(self) -> None:
        """A node has left the scene, which may have been the annotation that the findings were compared with."""
        if self._isStale():
            self._measure()

    def _isStale(self) -> bool:
        """Whether scan or marks are others than the findings were compared with."""
        return self.review is not None and self._comparedWith != stateOf(self.review.scan)

    def _measure(self) -> None:
        """``reload``, where what cannot be measured is told, disturbing nobody."""
        with tell(_("The findings were not compared with the annotation.")):
            self.reload()

    def _observe(self) -> None:
        """Hear of transforms of what is reviewed."""
        self.release()
        moved = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        nodes = () if self.review is None else (self.review.scan, self.review.prediction.node)
        self._observed = [(node, node.AddObserver(moved, self._lookLater)) for node in nodes]

    def release(self) -> None:
        """Hear of no transform any more."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []

    def _look(self) -> None:
        """The sentence about a transform comes in the place of the findings, and they come back after it."""
        self._forgetDeleted()
        moved = self._moved()
        isOther = moved != self._movedShown or (moved is None and self._isStale())
        if self.state.parameters is not None and isOther:
            self.showScan(keepViews=True)
            self.state.findingChosen()
            self.state.stepChanged()

    def _moved(self) -> str | None:
        return self.review.moved if self.review is not None else None

    def _forgetDeleted(self) -> None:
        """Prediction or scan may have been deleted in another module."""
        if self.review is not None and not self.review.prediction.isThere:
            self.review = None

    def _fill(self) -> None:
        parameters = self.state.parameters
        self._movedShown = self._moved()
        items = [] if self.review is None or self._movedShown else self.review.prediction.findings()
        least = parameters.leastShortAxis if parameters is not None else 0.0
        self.table.fill(items, self.overlaps, least, self.corrected)
        self.ui.foundByLabel.setText(self._movedShown or self._foundBy())
        self._showCount(items)
        self._showInViews()
        self.refresh()

    def _showCount(self, items: list[ReviewedFinding]) -> None:
        """How many of the findings are shown, how many of these want a decision, and how many are too small."""
        numbers = set(self.table.numbers)
        shown = [item for item in items if item.number in numbers]
        undecided, hidden = sum(item.state == UNDECIDED for item in shown), len(items) - len(shown)
        text = _("{count} findings").format(count=len(shown))
        text += _(", {undecided} undecided").format(undecided=undecided) if shown else ""
        text += _(", {hidden} hidden").format(hidden=hidden) if hidden else ""
        self.ui.countLabel.setText("" if self._movedShown else text)

    def _foundBy(self) -> str:
        """Whose findings these are, and whether that is the model in use."""
        if self.review is None:
            return ""
        prediction, current = self.review.prediction, ""
        with tell(_("The list of models could not be read.")):
            current = self.logic.models.current.spec
        other = "" if prediction.model == current else " " + _("(not the model in use)")
        found = _("Found by {model}").format(model=prediction.modelTitle) + other
        return "\n".join([found, *prediction.notes])

    def _isSoughtAnew(self) -> bool:
        """Whether lymph nodes are being looked for that will take the place of these findings."""
        prediction = None if self.review is None else self.review.prediction
        return prediction is not None and self.state.sought == (prediction.scan.GetID(), prediction.role)

    def _showInViews(self) -> None:
        parameters, scan = self.state.parameters, self.state.scan
        if parameters is None:
            return
        self._shownSettings = self._settings()
        for role in roles.PREDICTIONS:
            prediction = self.logic.prediction(scan, role) if scan is not None else None
            if prediction is not None:
                alone = self.review is not None and prediction.node is self.review.prediction.node
                visible = parameters.shown == roles.BOTH or alone
                prediction.show(visible, parameters.leastShortAxis, parameters.outlineOnly, parameters.opacity)

    def refresh(self) -> None:
        """Show what can be done now."""
        self._forgetDeleted()
        ui, chosen = self.ui, self.table.chosen
        none = _("Find lymph nodes first.") if self.review is None else self.review.moved
        if self._isSoughtAnew():
            none = _("Lymph nodes are being looked for; these findings will be replaced.")
        unseen = none or (None if self.table.numbers else _NONE_SHOWN)
        unchosen = unseen or (None if chosen else _("Choose a finding in the table first."))
        allow(ui.acceptButton, unchosen, _("This is a lymph node (key A; again to take it back)."))
        allow(ui.rejectButton, unchosen, _("This is no lymph node (key X; again to take it back)."))
        allow(
            ui.editButton,
            unchosen,
            _(
                "Take it into the annotation and correct its outline with the brush (key E); what you erase of it is "
                "learned as no lymph node."
            ),
        )
        allow(ui.nextButton, unseen, _("Go to the next finding without a decision (key N)."))
        pending = len(self.review.pending()) if self.review is not None else 0
        waiting = None if pending else _("There is no new decision.")
        ui.applyButton.setText(
            _("Add decisions to the annotation ({count})").format(count=pending)
            if pending
            else _("Add decisions to the annotation")
        )
        allow(
            ui.applyButton,
            none or waiting,
            _(
                "Accepted findings become lymph nodes, rejected ones are kept as none; the next fine-tuning learns "
                "from both where the scan is in the training set."
            ),
        )
        self.saving.refresh(none)
        self.shown.refresh(self.review)

    # ---------------------------------------------------------------------------------------------------- decisions

    def onChosen(self, number: int) -> None:
        with attempt(_("The views could not show the finding.")):
            self.state.parameters.selectedFinding = number
            self.review.jump(number)
        self.refresh()
        self.state.findingChosen()

    def goTo(self, number: int) -> None:
        """Choose a finding, and center the views on it."""
        self.table.choose(number)
        if number:
            self.onChosen(number)

    def goToFirst(self) -> None:
        """Go to the first finding without a decision, or to the first of all."""
        numbers = self.table.numbers
        self.goTo(self.table.next(0, self._undecided()) or (numbers[0] if numbers else 0))

    def sayFirst(self) -> None:
        """The same where the user holds a brush, under which the views stay: he goes there himself."""
        if self.table.next(0, self._undecided()):
            slicer.util.showStatusMessage(_("Lymph nodes were found; the key N goes to the first of them."), 10000)

    def _undecided(self) -> set[int]:
        return {item.number for item in self.review.prediction.findings() if item.state == UNDECIDED}

    def onAccept(self) -> None:
        self._decide(ACCEPTED)

    def onReject(self) -> None:
        self._decide(REJECTED)

    def _decide(self, state: str) -> None:
        number = self.table.chosen
        if self.review is None or not number or self._isSoughtAnew():
            return
        with attempt(_("The decision was not kept.")):
            self.review.refuseMoved()
            if otherThan(self.review.scan) is not None:  # loaded meanwhile; nothing is decided on unseen
                self.review.jump(number)
                seen = _("The views showed another CT; look at finding {number}, then decide.")
                slicer.util.showStatusMessage(seen.format(number=number), 10000)
                return
            old = self.review.prediction.finding(number).state
            old = ANNOTATED if old == ACCEPTED and self.review.isMerged(number) else old
            if old == ANNOTATED or (old == ACCEPTED and self.review.isCorrected(number)):
                slicer.util.showStatusMessage(_STAYS[old].format(number=number), 5000)
                return
            if old == REJECTED_BEFORE and state == REJECTED:
                self.review.forgetRejection(number)
                self.reload()
                self.state.stepChanged()
                slicer.util.showStatusMessage(
                    _("The earlier rejection at finding {number} is taken back.").format(number=number), 5000
                )
                return
            if old == state:
                self.review.undecide(number)
                self.reload()
            elif state == ACCEPTED:
                self.review.accept(number)
            else:
                self.review.reject(number)
            new = self.review.prediction.finding(number).state
            slicer.util.showStatusMessage(_DECIDED.get(new, _DECIDED[UNDECIDED]).format(number=number), 5000)

    def onEditFinding(self) -> None:
        if self.review is None or not self.table.chosen or self._isSoughtAnew():
            return
        with attempt(_("The finding cannot be edited.")):
            segmentId = self.review.edit(self.table.chosen)
            self._onEdit(segmentId)
            self.reload()
            if self.review.prediction.finding(self.table.chosen).state == ANNOTATED:
                slicer.util.showStatusMessage(_("This finding is annotated already; its lymph node is edited."), 5000)

    def onNext(self) -> None:
        if self.review is None:
            return
        number = self.table.next(self.table.chosen, self._undecided())
        if number:
            self._putBrushDown()
            self.goTo(number)
        else:
            slicer.util.showStatusMessage(
                _("Every finding shown has a decision.") if self.table.numbers else _NONE_SHOWN, 5000
            )

    def onApply(self) -> None:
        message = ""
        with attempt(_("The decisions were not added.")):
            applied = self.review.apply()
            self.reload()
            message = whatWasApplied(applied)
        if message:
            message += self._updateCase()
        slicer.util.showStatusMessage(message, 5000)
        self.state.stepChanged()

    def _updateCase(self) -> str:
        """Bring the scan's case up to date; returns what to add to the message."""
        case = None
        with attempt(_("The training set was not updated.")):
            case = self.logic.trainingSet.caseOf(self.state.scan)
            if case is None:
                return " " + _("Add the scan to the training set, so that the next fine-tuning learns from it.")
        how = None if case is None else howToSave(self.logic.trainingSet, self.state.scan)
        if how is not None:
            with attempt(_("The training set was not updated.")):
                self.logic.trainingSet.save(self.state.scan, **how)
                return " " + _("The training set is up to date.")
        return ""

    def onReviewChanged(self) -> None:
        chosen = self.table.chosen
        if chosen:
            self.table.showState(self.review.prediction.finding(chosen), self.overlaps.get(chosen, 0.0))
            self._showCount(self.review.prediction.findings())
        self._showInViews()
        self.refresh()
        self.state.stepChanged()
