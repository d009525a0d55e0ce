"""The training set as a table."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from ..training.study import ANNOTATION_FILE, IMAGE_FILE, REJECTED_FILE, StudyCase
from .state import PanelState, allow, attempt, breakable

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
        self._renamed: tuple[str, str] | None = None
        self._filling = False
        action = qt.QAction(_("Rename"), table)
        action.connect("triggered()", self.onRename)
        table.addAction(action)
        table.setContextMenuPolicy(qt.Qt.ActionsContextMenu)
        table.connect("itemChanged(QTableWidgetItem*)", self._onItemChanged)
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
        self._filling = True
        self.ui.caseTable.setRowCount(len(self.cases))
        for row, case in enumerate(self.cases):
            self._showCase(row, case)
        self._filling = False
        self.ui.studyFolderLabel.setText(_("Training folder: {folder}").format(folder=_shown(self.logic.study.folder)))
        self.ui.studyFolderLabel.setToolTip(str(self.logic.study.folder))
        self.refresh()

    def _showCase(self, row: int, case: StudyCase) -> None:
        changed = datetime.fromisoformat(case.changed).strftime("%Y-%m-%d %H:%M") if case.changed else ""
        texts = [case.name, str(case.marked), UNMARKED_MEANS.get(case.completeness, ""), changed]
        files = [IMAGE_FILE, ANNOTATION_FILE, *([REJECTED_FILE] if case.has_background else [])]
        toolTip = _(
            "{name}\nMarked lymph nodes: {marked}, rejected findings: {rejected}\nIn the folder {folder}: {files}\n\n"
            "Double-click to open it, F2 to rename it."
        ).format(
            name=case.name,
            marked=case.marked,
            rejected=case.rejected,
            folder=self.logic.study.case_folder(case.id),
            files=", ".join(files),
        )
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(toolTip)
            if column:
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            self.ui.caseTable.setItem(row, column, item)

    def refresh(self) -> None:
        reason = None if self._selected() is not None else _("Choose a scan in the table first.")
        allow(self.ui.openCaseButton, reason, _("Show this scan and go on marking it."))
        allow(self.ui.removeCaseButton, reason, _("Take this scan out of the training set; its files are kept."))
        allow(self.ui.studyFolderButton, self.logic.engine.occupation, _("Keep cases and models in another folder."))

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

    def onRename(self) -> None:
        """Let the user type another name in the table, as F2 does."""
        row = self.ui.caseTable.currentRow()
        if row >= 0:
            self.ui.caseTable.editItem(self.ui.caseTable.item(row, 0))

    def _onItemChanged(self, item) -> None:
        """A name was typed. The table is filled anew by what comes of it, so that waits until the editor has closed."""
        if not self._filling and item.column() == 0:
            self._renamed = self.cases[item.row()].id, item.text()
            qt.QTimer.singleShot(0, self._rename)

    def _rename(self) -> None:
        id_, name = self._renamed
        with attempt(_("The scan was not renamed.")):
            self.logic.trainingSet.rename(id_, name)
            return
        self.reload()

    def onRemove(self) -> None:
        case = self._selected()
        question = _("Take {name} out of the training set? Its files stay in the training folder, under 'removed'.")
        if slicer.util.confirmYesNoDisplay(question.format(name=case.name), windowTitle=_("Remove scan")):
            with attempt(_("The scan was not removed.")):
                self.logic.trainingSet.remove(case.id)

    def onChooseFolder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            self.ui.studyFolderButton, _("Training folder"), str(self.logic.study.folder)
        )
        if folder:
            with attempt(_("The training folder was not changed.")):
                self.logic.setStudyFolder(folder)

    def _selected(self) -> StudyCase | None:
        row = self.ui.caseTable.currentRow()
        return self.cases[row] if 0 <= row < len(self.cases) else None


def _shown(folder: Path) -> str:
    """A path for people, from the home folder on."""
    home = Path(qt.QStandardPaths.writableLocation(qt.QStandardPaths.HomeLocation))
    return breakable(f"~{os.sep}{folder.relative_to(home)}" if home in folder.parents else str(folder))
