"""The training set as a table."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..training.study import StudyCase
from .state import PanelState, allow, attempt

UNMARKED_MEANS = {"marked": _("unknown"), "region": _("healthy in box"), "all": _("healthy")}


class CaseTable:
    """Scan, marked nodes, what unmarked means, last change; open and remove.

    Args:
        ui: the panel's widgets.
        state: what the sections share.
        onOpened: called with the volume node of a case that was opened.
    """

    def __init__(self, ui, state: PanelState, onOpened: Callable):
        self.ui, self.state, self.logic, self._onOpened = ui, state, state.logic, onOpened
        self.cases: list[StudyCase] = []
        table = ui.caseTable
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Scan"), _("Marked"), _("Unmarked is"), _("Last change")])
        table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for column in (1, 2, 3):
            table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.verticalHeader().setVisible(False)
        table.connect("itemSelectionChanged()", self.refresh)
        table.connect("cellDoubleClicked(int,int)", self.onDoubleClick)
        ui.openCaseButton.connect("clicked()", self.onOpen)
        ui.removeCaseButton.connect("clicked()", self.onRemove)
        ui.studyFolderButton.connect("clicked()", self.onChooseFolder)

    def reload(self) -> None:
        """Read the training set from the study folder."""
        self.cases = []
        with attempt(_("The training set could not be read.")):
            self.cases = self.logic.trainingSet.cases()
        table = self.ui.caseTable
        table.setRowCount(len(self.cases))
        for row, case in enumerate(self.cases):
            changed = datetime.fromisoformat(case.changed).strftime("%Y-%m-%d %H:%M") if case.changed else ""
            texts = [case.name, str(case.marked), UNMARKED_MEANS.get(case.completeness, ""), changed]
            for column, text in enumerate(texts):
                table.setItem(row, column, qt.QTableWidgetItem(text))
        self.ui.studyFolderLabel.setText(_("Study folder: {folder}").format(folder=_shown(self.logic.study.folder)))
        self.ui.studyFolderLabel.setToolTip(str(self.logic.study.folder))
        self.refresh()

    def refresh(self) -> None:
        reason = None if self._selected() is not None else _("Choose a scan in the table first.")
        allow(self.ui.openCaseButton, reason, _("Show this scan and go on marking it."))
        allow(self.ui.removeCaseButton, reason, _("Take this scan out of the training set; its files are kept."))
        busy = _("The engine is at work; wait until it is done.") if self.logic.engine.busy else None
        allow(self.ui.studyFolderButton, busy, _("Keep cases and models in another folder."))

    def onDoubleClick(self, _row: int, _column: int) -> None:
        self.onOpen()

    def onOpen(self) -> None:
        case = self._selected()
        question = _(
            "{name} is open as it was before the training set was changed from another scene. Replace the open marks "
            "by the newer ones?"
        )
        isOlder = None
        with attempt(_("The scan was not opened.")):
            isOlder = self.logic.trainingSet.isOpenAndOlder(case.id)
        if isOlder is None or (
            isOlder
            and not slicer.util.confirmOkCancelDisplay(
                question.format(name=case.name), windowTitle=_("Open the newer state?")
            )
        ):
            return
        with attempt(_("The scan was not opened.")):
            self._onOpened(self.logic.trainingSet.open(case.id, replaceOlder=isOlder))

    def onRemove(self) -> None:
        case = self._selected()
        question = _("Take {name} out of the training set? Its files are moved to the study's folder 'removed'.")
        if slicer.util.confirmYesNoDisplay(question.format(name=case.name), windowTitle=_("Remove scan")):
            with attempt(_("The scan was not removed.")):
                self.logic.trainingSet.remove(case.id)

    def onChooseFolder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            self.ui.studyFolderButton, _("Folder of the study"), str(self.logic.study.folder)
        )
        if folder:
            with attempt(_("The study folder was not changed.")):
                self.logic.setStudyFolder(folder)

    def _selected(self) -> StudyCase | None:
        row = self.ui.caseTable.currentRow()
        return self.cases[row] if 0 <= row < len(self.cases) else None


def _shown(folder: Path) -> str:
    """A path for people: from the home folder on, and with places where a long one may be broken into lines."""
    home = Path(qt.QStandardPaths.writableLocation(qt.QStandardPaths.HomeLocation))
    path = f"~{os.sep}{folder.relative_to(home)}" if home in folder.parents else str(folder)
    return path.replace(os.sep, f"{os.sep}\u200b")
