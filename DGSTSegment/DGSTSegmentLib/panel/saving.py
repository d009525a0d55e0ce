"""The ways out of the review, each with two choices: the reviewed result, or what the model found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from . import export, roles
from .casestate import marksBeside
from .keeping import mayGoOn, mayLieBeside
from .prediction import ACCEPTED, REJECTED, REJECTED_BEFORE, UNDECIDED
from .report import writeReport, writeReviewedReport
from .review import Review
from .state import PanelState, allow, attempt, offer

REVIEWED, FOUND = _("Reviewed result"), _("Model's findings")
SEGMENTATIONS = ((".seg.nrrd", "Slicer"), (".nii.gz", "NIfTI"), (".dcm", _("DICOM segmentation")))


class SaveMenus:
    """The menus of the three buttons. The reviewed result, the annotation as it stands, comes first: it is what the
    user has seen and corrected. An entry for each format, as a dialog with several filters mixes up their endings.

    Args:
        ui: the panel's widgets.
        state: what the sections share.
        section: ``ReviewSection``, which knows what is reviewed and shown.
    """

    def __init__(self, ui, state: PanelState, section):
        self.ui, self.state, self._section = ui, state, section
        self._entries: list[_Entry] = []
        csv, html = ((".csv", "CSV"),), ((".html", "HTML"),)
        for button, formats, saveReviewed, saveFound in (
            (ui.exportSegmentationButton, SEGMENTATIONS, self._saveSegmentation, self._saveFoundSegmentation),
            (ui.exportFindingsButton, csv, self._saveTable, self._saveFoundTable),
            (ui.exportReportButton, html, self._saveReport, self._saveFoundReport),
        ):
            menu = qt.QMenu(button)
            for what, save in ((REVIEWED, saveReviewed), (FOUND, saveFound)):
                self._entries += [_Entry(self, menu, what, kind, ending, save) for ending, kind in formats]
            button.setMenu(menu)

    def refresh(self, noFindings: str | None) -> None:
        """Show what can be saved now.

        Args:
            noFindings: why the model's findings cannot be saved; None where they can.
        """
        isMarked = self._isMarked()
        needed = None if export.canWriteDicom() else _("needs the extension QuantitativeReporting")
        for entry in self._entries:
            offer(entry.action, needed if entry.ending == ".dcm" else None, entry.title)
            if not (isMarked if entry.what == REVIEWED else not noFindings):
                entry.action.setEnabled(False)
        reason = None if isMarked or not noFindings else noFindings
        for button, toolTip in (
            (self.ui.exportSegmentationButton, _("Save a segmentation file.")),
            (self.ui.exportFindingsButton, _("Save the measurements as a table (CSV).")),
            (self.ui.exportReportButton, _("Save a page with pictures and measurements (HTML).")),
        ):
            choices = _(
                "Reviewed result: the annotation as it stands, each lymph node measured now. Model's findings: those "
                "shown, as the model made them."
            )
            allow(button, reason, f"{toolTip}\n\n{choices}")

    def _isMarked(self) -> bool:
        """Whether there is a lymph node in the annotation, or will be one once the decisions are added."""
        scan, review = self.state.scan, self._section.review
        annotation = None if scan is None else roles.nodeOf(scan, roles.ANNOTATION)
        if annotation is not None and annotation.GetSegmentation().GetNumberOfSegments():
            return True
        return review is not None and any(item.state == ACCEPTED for item in review.prediction.findings())

    def onEntry(self, entry: _Entry) -> None:
        """Ask what there is to ask, and save."""
        scan = self.state.scan
        if entry.what == REVIEWED and not (self._addDecisions() and mayLieBeside(scan, marksBeside(scan))):
            return
        path = self._askPath(entry)
        if path is not None:
            with attempt(_("The file was not saved.")):
                message = entry.save(path) or ""
                self.state.logic.settings.saveFolder = str(path.parent)
                slicer.util.showStatusMessage(_("Saved: {path}").format(path=path) + message, 5000)

    def _addDecisions(self) -> bool:
        """Whether to go on, after asking about decisions on the scan's findings that the annotation does not show."""
        reviews = [self.state.logic.review(self.state.scan, role) for role in roles.PREDICTIONS]
        question = _("Decisions that the annotation does not show yet: {count}. Add them first?")
        title, failure = _("Save your latest decisions too?"), _("The decisions were not added.")
        if not mayGoOn([review for review in reviews if review is not None], question, title, failure):
            return False
        with attempt(_("The file was not saved.")):
            self._section.reload()
            self.state.stepChanged()
            return True
        return False

    def _askPath(self, entry: _Entry) -> Path | None:
        """Where to save a file of one kind; None where the user does not want to."""
        logic, name = self.state.logic, export.proposedName(self.state.scan.GetName(), entry.name)
        folder = logic.settings.saveFolder or Path(logic.study.folder).parent
        proposed, pattern = Path(folder) / name, f"{entry.kind} (*{entry.ending})"
        chosen = qt.QFileDialog.getSaveFileName(self.ui.exportReportButton, entry.what, str(proposed), pattern)
        if not chosen:
            return None
        path = export.withEnding(Path(chosen), entry.ending)
        if path == Path(chosen) or not path.exists():
            return path
        question = _("{path} exists already. Replace it?").format(path=path)  # the dialog has asked of another name
        return path if slicer.util.confirmOkCancelDisplay(question, windowTitle=entry.what) else None

    # ----------------------------------------------------------------------------------------------- reviewed result

    def _saveSegmentation(self, path: Path) -> str:
        export.saveReviewedSegmentation(self.state.scan, path)
        return self._undecidedToo()

    def _saveTable(self, path: Path) -> str:
        export.saveReviewed(self.state.scan, path)
        return self._undecidedToo()

    def _saveReport(self, path: Path) -> None:
        writeReviewedReport(self.state.scan, path, self._undecided())
        self._jumpBack()

    def _undecided(self) -> int:
        """How many of the findings shown have no decision."""
        review, shown = self._section.review, set(self._section.table.numbers)
        items = [] if review is None else review.prediction.findings()
        return sum(item.state == UNDECIDED and item.number in shown for item in items)

    def _undecidedToo(self) -> str:
        count = self._undecided()
        return " " + _("Findings without a decision: {count}.").format(count=count) if count else ""

    # ------------------------------------------------------------------------------------------------ model's findings

    def _saveFoundSegmentation(self, path: Path) -> str:
        numbers, review = self._shown(), self._section.review
        rejected = {item.number for item in review.prediction.findings() if item.state in (REJECTED, REJECTED_BEFORE)}
        kept = [number for number in numbers if number not in rejected]
        if numbers and not kept:
            raise InputError(_("Every finding shown is rejected, so there is nothing to save."))
        export.saveSegmentation(review.prediction, kept, path)
        count = len(numbers) - len(kept)
        return " " + _("Rejected findings are left out: {count}.").format(count=count) if count else ""

    def _saveFoundTable(self, path: Path) -> None:
        numbers, section = self._shown(), self._section
        export.saveFindings(section.review.prediction, numbers, section.overlaps, section.corrected, path)

    def _saveFoundReport(self, path: Path) -> None:
        numbers, section = self._shown(), self._section
        least = self.state.parameters.leastShortAxis
        writeReport(section.review, numbers, section.overlaps, path, least, section.corrected)
        self._jumpBack()

    def _shown(self) -> list[int]:
        """The findings shown; what the annotation has of them is measured anew."""
        self._section.reload()
        return sorted(self._section.table.numbers)

    def _jumpBack(self) -> None:
        """The views went to each picture; the keys decide on the chosen finding."""
        review: Review | None = self._section.review
        if review is not None and self._section.table.chosen:
            review.jump(self._section.table.chosen)


@dataclass(eq=False)
class _Entry:
    """One entry of a menu.

    Args:
        menus: hears of it when the user chooses it.
        menu: takes it.
        what: ``REVIEWED`` or ``FOUND``.
        kind: how the format is called.
        ending: of the file.
        save: writes the file; returns what to add to the message.
    """

    menus: SaveMenus
    menu: qt.QMenu
    what: str
    kind: str
    ending: str
    save: Callable[[Path], str | None]

    def __post_init__(self):
        self.action = self.menu.addAction(self.title)
        self.action.connect("triggered()", self.onTriggered)

    @property
    def title(self) -> str:
        return f"{self.what}: {self.kind} ({self.ending})..."

    @property
    def name(self) -> str:
        """Of the file that is proposed."""
        stem = "lymph-nodes" if self.what == REVIEWED else "findings"
        return (stem if self.ending != ".html" else f"{stem}-report") + self.ending

    def onTriggered(self) -> None:
        self.menus.onEntry(self)
