"""Questions before something that the user made is replaced or passed over; asked alike wherever that can happen."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from .review import Review
from .state import attempt
from .trainingset import TrainingSet


def howToSave(trainingSet: TrainingSet, scan) -> dict[str, bool] | None:
    """Arguments of ``TrainingSet.save``, after asking where something of the stored case would be lost.

    None where the user does not want that, or where the study folder cannot be read.
    """
    isOlder, lost = False, None
    with attempt(_("The study folder could not be read.")):
        isOlder, lost = trainingSet.isOlder(scan), trainingSet.marksLost(scan)
    name, agreed = scan.GetName(), lost == 0 and not isOlder
    if isOlder:
        question = _("The training set has a newer state of {scan}, saved from another scene. Replace it by this?")
        agreed = _agreed(question.format(scan=name), _("Replace what is newer?"))
    elif lost:
        question = _("The training set has more marked lymph nodes of {scan} than there are now: {lost} would go.")
        agreed = _agreed(question.format(scan=name, lost=lost), _("Update with fewer marks?"))
    return {"replaceNewer": isOlder} if agreed else None


def mayGoOn(reviews: list[Review], question: str, title: str, failure: str) -> bool:
    """Whether to go on where decisions were not added to their cases yet, after asking what becomes of them.

    Args:
        question: with ``{count}``; yes adds them first, no leaves them.
        failure: what is said where they cannot be added; then nothing goes on.
    """
    waiting = [review for review in reviews if review.pending()]
    if not waiting:
        return True
    count = sum(len(review.pending()) for review in waiting)
    answer = yesNoOrCancel(question.format(count=count), title)
    added = False
    if answer == qt.QMessageBox.Yes:
        with attempt(failure):
            for review in waiting:
                review.apply()
            added = True
    return added or answer == qt.QMessageBox.No


def yesNoOrCancel(question: str, title: str):
    """The button that the user pressed, of ``qt.QMessageBox``."""
    buttons = qt.QMessageBox.Yes | qt.QMessageBox.No | qt.QMessageBox.Cancel
    return slicer.util.messageBox(question, windowTitle=title, standardButtons=buttons)


def _agreed(question: str, title: str) -> bool:
    return slicer.util.confirmOkCancelDisplay(question, windowTitle=title)
