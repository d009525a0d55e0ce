"""What was measured at the end of earlier fine-tunings, to be seen again."""

from __future__ import annotations

from dataclasses import dataclass

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from ..training.run_files import RESULT_FILE, read_record, read_result
from ..training.study import StudyRun
from .comparison import comparison, inUse
from .logic import DGSTSegmentCore
from .models import ModelEntry
from .state import attempt, tell


class EarlierRuns:
    """A button's menu with the fine-tunings of the study that came to an end, the latest first.

    Args:
        button: carries the menu, and is hidden where there are none.
        logic: knows the study and its models.
    """

    def __init__(self, button, logic: DGSTSegmentCore):
        self._button, self._logic = button, logic
        self._entries: list[_Entry] = []
        self.menu = qt.QMenu(button)
        self.menu.connect("aboutToShow()", self.fill)
        button.setMenu(self.menu)

    def refresh(self) -> None:
        """Show whether there are any."""
        self._button.setVisible(bool(self._runs()))

    def fill(self) -> None:
        """List those that there are now."""
        self.menu.clear()
        self._entries = [_Entry(self, self.menu.addAction(run.card.title), run) for run in self._runs()]

    def show(self, run: StudyRun) -> None:
        """Show what was measured of a run."""
        text = ""
        with attempt(_("The comparison cannot be shown.")):
            text = storedComparison(self._logic, run)
        if text:
            slicer.util.infoDisplay(text, windowTitle=run.card.title)

    def _runs(self) -> list[StudyRun]:
        runs: list[StudyRun] = []
        with tell(_("The training folder could not be read.")):
            runs = self._logic.study.runs()
        return [run for run in reversed(runs) if run.card and (run.folder / RESULT_FILE).exists()]


@dataclass(eq=False)
class _Entry:
    """A line of the menu, which hears of being chosen."""

    menu: EarlierRuns
    action: qt.QAction
    run: StudyRun

    def __post_init__(self):
        self.action.connect("triggered()", self.onTriggered)

    def onTriggered(self) -> None:
        self.menu.show(self.run)


def storedComparison(logic: DGSTSegmentCore, run: StudyRun) -> str:
    """What was measured of a run that has ended, beside the model that was in use when it began, as rich text.

    Raises:
        InputError: its result or the study folder cannot be read.
    """
    path, new = run.folder / RESULT_FILE, ModelEntry(str(run.folder), run.card, "study")
    before, result, now = _modelBefore(logic, run), read_result(run.folder), inUse(logic.models.current)
    try:
        return comparison(before, new, result.to_json(), now)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(_("{path} is damaged; nothing of it can be shown.").format(path=path)) from error


def _modelBefore(logic: DGSTSegmentCore, run: StudyRun) -> ModelEntry:
    """The model that was in use when a run began; its base where that one has left the list, or the study was moved."""
    entries, wanted = logic.models.entries(), read_record(run.folder).request.model
    base = (run.card.base or {}).get("fingerprint")
    found = [entry for entry in entries if entry.spec == wanted]
    found += [entry for entry in entries if base and entry.card.fingerprint == base]
    return found[0] if found else logic.models.current
