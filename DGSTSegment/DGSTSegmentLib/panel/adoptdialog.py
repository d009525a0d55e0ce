"""Which segments of which segmentation become lymph nodes: asked in one window, and what became of them is told."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from .adoption import Adopted, Adoption, Candidate, candidatesIn, sourcesFor
from .keeping import yesNoOrCancel
from .signal import Signal
from .state import attempt

_TITLE = _("Lymph nodes from a segmentation")
_NOT_TAKEN = _("No lymph node was added.")


class SegmentDialog:
    """A list of segmentations, and the segments of the chosen one with a check mark each.

    Args:
        nodes: segmentation nodes to choose from.
    """

    def __init__(self, nodes: list):
        self._nodes, self._candidates = nodes, []
        self.dialog = qt.QDialog(slicer.util.mainWindow())
        self.dialog.setWindowTitle(_TITLE)
        self._selector, self._list = qt.QComboBox(), qt.QListWidget()
        self._selector.setObjectName("segmentationSelector")
        self._list.setObjectName("segmentList")
        self._addButton, cancelButton = qt.QPushButton(_("Add")), qt.QPushButton(_("Cancel"))
        allButton, noneButton = qt.QPushButton(_("All")), qt.QPushButton(_("None"))
        for button, name in ((self._addButton, "addButton"), (allButton, "allButton"), (noneButton, "noneButton")):
            button.setObjectName(name)
        column, row = qt.QVBoxLayout(self.dialog), qt.QHBoxLayout()
        for widget in (self._selector, qt.QLabel(_("Each checked segment becomes a lymph node:")), self._list):
            column.addWidget(widget)
        row.addWidget(allButton)
        row.addWidget(noneButton)
        row.addStretch(1)
        row.addWidget(self._addButton)
        row.addWidget(cancelButton)
        column.addLayout(row)
        for node in nodes:
            self._selector.addItem(node.GetName())
        self._selector.connect("currentIndexChanged(int)", self._show)
        self._list.connect("itemChanged(QListWidgetItem*)", self._allowAdding)
        allButton.connect("clicked()", self._checkAll)
        noneButton.connect("clicked()", self._checkNone)
        self._addButton.connect("clicked()", self.dialog.accept)
        cancelButton.connect("clicked()", self.dialog.reject)
        self._show()

    def ask(self) -> tuple | None:
        """The segmentation node and the ids of its checked segments; None where the user wants none."""
        accepted = self.dialog.exec() == qt.QDialog.Accepted
        chosen = self._node, self._checked()
        self.dialog.deleteLater()
        return chosen if accepted and chosen[1] else None

    @property
    def _node(self):
        return self._nodes[self._selector.currentIndex]

    def _show(self, *_index) -> None:
        """The lymph nodes are taken by default, or all segments where none is called so; what is empty is named, and
        cannot be."""
        self._candidates = []
        self._list.clear()
        candidates = candidatesIn(self._node)
        for candidate in candidates:
            self._list.addItem(_itemOf(candidate))
        self._candidates = candidates
        self._check([one for one in candidates if one.isLymphNode and not one.isEmpty] or candidates)

    def _checkAll(self) -> None:
        self._check(self._candidates)

    def _checkNone(self) -> None:
        self._check([])

    def _check(self, wanted: list[Candidate]) -> None:
        """Check the wanted segments, and no other; an empty one never."""
        self._list.blockSignals(True)  # heard of once, below
        for row, candidate in enumerate(self._candidates):
            isChecked = candidate in wanted and not candidate.isEmpty
            self._list.item(row).setCheckState(qt.Qt.Checked if isChecked else qt.Qt.Unchecked)
        self._list.blockSignals(False)
        self._allowAdding()

    def _checked(self) -> list[str]:
        rows = enumerate(self._candidates)
        return [candidate.id for row, candidate in rows if self._list.item(row).checkState() == qt.Qt.Checked]

    def _allowAdding(self, *_item) -> None:
        self._addButton.setEnabled(bool(self._checked()))


def _itemOf(candidate: Candidate):
    name = _("{name} (empty)").format(name=candidate.name) if candidate.isEmpty else candidate.name
    item = qt.QListWidgetItem(name)
    item.setFlags(qt.Qt.NoItemFlags if candidate.isEmpty else qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
    return item


def askAndTake(scan, aboutToChange: Signal) -> bool:
    """Ask which segments become lymph nodes of the scan, and add them; whether any was."""
    dialog = adoption = adopted = None
    with attempt(_NOT_TAKEN):
        nodes = sourcesFor(scan)
        if not nodes:
            raise InputError(_("There is no other segmentation in the scene; load or draw one first."))
        dialog = SegmentDialog(nodes)
    chosen = dialog.ask() if dialog is not None else None
    if chosen is None:
        return False
    node, ids = chosen
    with attempt(_NOT_TAKEN):
        adoption = Adoption(scan, node, ids)
    if adoption is None:
        return False
    answer = _askAboutOverlapping(adoption.overlapping)
    if answer == qt.QMessageBox.Cancel:
        return False
    with attempt(_NOT_TAKEN):
        adopted = adoption.carryOut(answer == qt.QMessageBox.Yes, aboutToChange)
    if adopted is None:
        return False
    _tell(adopted, node.GetName())
    return bool(adopted.added)


def _askAboutOverlapping(names: list[str]):
    """The button that the user pressed; No where nothing overlaps."""
    if not names:
        return qt.QMessageBox.No
    question = _("These overlap lymph nodes that are marked already: {names}. Add them too? No adds only the others.")
    return yesNoOrCancel(question.format(names=", ".join(names)), _TITLE)


def _tell(adopted: Adopted, source: str) -> None:
    """In the status bar where all was taken as it is, else so that it is not overlooked."""
    sentences = [_("Lymph nodes added from {source}: {count}.").format(source=source, count=len(adopted.added))]
    for names, sentence in (
        (adopted.cut, _("Cut off at the end of the scan: {names}.")),
        (adopted.outside, _("Not added, outside the scan: {names}.")),
        (adopted.overlapping, _("Not added, overlapping marked nodes: {names}.")),
    ):
        sentences += [sentence.format(names=", ".join(names))] if names else []
    if adopted.isWhole:
        slicer.util.showStatusMessage(sentences[0], 5000)
    else:
        slicer.util.infoDisplay("\n".join(sentences), windowTitle=_TITLE)
