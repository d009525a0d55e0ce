"""What to do next: one sentence and one button that stands out; the rest is there but quiet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from slicer.i18n import tr as _

from . import roles
from .joining import holdsNothing
from .lostmarks import lostMarksIn
from .prediction import UNDECIDED
from .sections import Sections
from .state import PanelState, tell

_PRIMARY = (
    "QPushButton { background-color: #2f6fbf; color: white; font-weight: bold; border: 1px solid #24578f; "
    "border-radius: 3px; padding: 5px 10px; } QPushButton:hover { background-color: #3a7fd4; } "
    "QPushButton:disabled { background-color: palette(button); color: palette(mid); border: 1px solid palette(mid); }"
)


@dataclass(frozen=True)
class Step:
    """A sentence, the section where it is done, and the button that does it (empty for none)."""

    sentence: str
    section: str
    button: str = ""


class NextStep:
    """Works out the next step from what there is, and makes it stand out.

    Args:
        ui: the panel's widgets.
        state: what the sections share.
        finetune: ``FinetuneSection``, which knows whether it runs or waits for a choice.
        review: ``ReviewSection``, which knows what is decided.
        isPainting: whether the user has a brush in his hand.
    """

    def __init__(self, ui, state: PanelState, finetune, review, isPainting: Callable[[], bool]):
        self.ui, self.state, self._finetune, self._review = ui, state, finetune, review
        self._isPainting = isPainting
        self.sections = Sections(ui, state, self._isInUse)
        self._buttons = (
            "findButton",
            "goOnButton",
            "newNodeButton",
            "addCaseButton",
            "startButton",
            "useModelButton",
            "keepPreviousButton",
            "nextButton",
            "applyButton",
        )
        self._shown: Step | None = None

    def refresh(self) -> None:
        """Show the next step; what cannot be read stands in the status bar, and the last step stays."""
        step = self._shown
        with tell(_("The training folder could not be read.")):
            step = self.step()
        if step == self._shown:
            return
        movedOn = self._shown is None or step.section != self._shown.section
        self._shown = step
        self.ui.nextStepLabel.setText(step.sentence)
        for name in self._buttons:
            getattr(self.ui, name).setStyleSheet(_PRIMARY if name == step.button else "")
        if movedOn:
            self.sections.goTo(step.section, step.button)
        if self._finetune.task is not None:
            self.sections.leaveOpen("finetuneSection")  # where a run that stops is resumed, and its result is seen

    def _isInUse(self, section: str) -> bool:
        """Whether the user is painting, or has findings to decide on: a step may come of what the engine has done."""
        if section == "annotateSection":
            return self._isPainting()
        return section == "reviewSection" and self._reviewStep() is not None

    def step(self) -> Step:
        """The step that is due now."""
        scan, logic = self.state.scan, self.state.logic
        if self._finetune.finishedRun is not None:
            button = {True: "useModelButton", False: "keepPreviousButton", None: ""}[self._finetune.improved]
            return Step(_("Compare the two models, and choose one."), "finetuneSection", button)
        if self._finetune.task is not None:
            return Step(_("The model is learning; you can go on working meanwhile."), "finetuneSection")
        if scan is None:
            return Step(_("Choose the CT scan to work on."), "scanSection")
        return (
            self._sameScanStep(scan, logic)
            or self._reviewStep()
            or self._caseStep(scan, logic)
            or self._learningStep(logic)
        )

    def _sameScanStep(self, scan, logic) -> Step | None:
        if lostMarksIn(scan) is not None and holdsNothing(scan):
            return Step(_("Go on with the marks that lost their scan."), "annotateSection", "goOnButton")
        trainingSet = logic.trainingSet
        if not trainingSet.digests.isKnown(scan) or trainingSet.twinOf(scan) is None:
            return None
        return Step(_("Go on with what was marked in this scan before."), "annotateSection", "goOnButton")

    def _reviewStep(self) -> Step | None:
        review = self._review.review
        if review is None:
            return None
        if review.moved:
            return Step(review.moved, "reviewSection")
        shown = set(self._review.table.numbers)
        items = [item for item in review.prediction.findings() if item.number in shown]
        if any(item.state == UNDECIDED for item in items):
            return Step(_("Go through the findings: accept (A) or reject (X) each one."), "reviewSection", "nextButton")
        pending = len(review.pending())
        if pending and pending == len(review.comingBack()):
            removed = _("Accepted lymph nodes were removed: take the decision back too (A), or add them again.")
            return Step(removed, "reviewSection")
        return Step(_("Add your decisions to the annotation."), "reviewSection", "applyButton") if pending else None

    def _caseStep(self, scan, logic) -> Step | None:
        nodes = roles.markNodesOf(scan)
        if not any(node is not None and node.GetSegmentation().GetNumberOfSegments() for node in nodes):
            if logic.trainingSet.cases() or self._review.review is not None:
                return None
            return Step(_("Let the model find lymph nodes, or mark one yourself."), "scanSection", "findButton")
        if logic.trainingSet.caseOf(scan) is None:
            return Step(
                _("Add this scan to the training set when its nodes are marked."), "annotateSection", "addCaseButton"
            )
        if logic.trainingSet.isOlder(scan):
            return Step(
                _("The training set has a newer state of this scan; open that from the table."), "annotateSection"
            )
        if logic.trainingSet.hasChanges(scan):
            return Step(_("Keep your changes in the training set."), "annotateSection", "addCaseButton")
        return None

    def _learningStep(self, logic) -> Step:
        cases, runs = logic.trainingSet.cases(), logic.study.runs()
        if not cases:
            return Step(_("Mark a lymph node."), "annotateSection", "newNodeButton")
        learned = max((run.begun for run in runs if run.card), default=0.0)
        if max(case.changed_at for case in cases) > learned:
            return Step(_("Let the model learn from the training set."), "finetuneSection", "startButton")
        return Step(_("Find lymph nodes with the model, or mark another scan."), "scanSection", "findButton")
