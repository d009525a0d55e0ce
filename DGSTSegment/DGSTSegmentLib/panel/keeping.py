"""Questions before something that the user made is replaced or passed over; asked alike wherever that can happen."""

from __future__ import annotations

from dataclasses import asdict

import qt
import slicer
from slicer.i18n import tr as _

from . import roles
from .casestate import marksBeside
from .lostmarks import lostMarksIn
from .review import Applied, Review
from .samescan import joinAndTell
from .state import attempt, tell
from .trainingset import TrainingSet


def howToSave(trainingSet: TrainingSet, scan) -> dict[str, bool] | None:
    """Arguments of ``TrainingSet.save``, after asking where something of the stored case would be lost.

    None where the user does not want that, or where the study folder cannot be read.
    """
    if not _mayJoin(trainingSet, scan):
        return None
    isOlder, lost, isOther, beside = False, None, False, []
    with attempt(_("The training folder could not be read.")):
        isOlder, isOther = trainingSet.isOlder(scan), trainingSet.isOtherImage(scan)
        beside, lost = marksBeside(scan), trainingSet.marksLost(scan)
    if lost is None:
        return None
    name, questions = scan.GetName(), []
    if isOlder:
        question = _("The training set has a newer state of {scan}, saved from another scene. Replace it by this?")
        questions.append((question.format(scan=name), _("Replace what is newer?")))
    elif lost:
        question = _("The training set has more marked lymph nodes of {scan} than there are now: {lost} would go.")
        questions.append((question.format(scan=name, lost=lost), _("Update with fewer marks?")))
    if isOther:
        question = _("The voxels of {scan} are others than in the training set. Replace the stored scan by this one?")
        questions.append((question.format(scan=name), _("Replace the scan?")))
    if not all(_agreed(*question) for question in questions) or not mayLieBeside(scan, beside):
        return None
    return {"replaceNewer": isOlder, "asTheyLie": bool(beside)}


def mayLeaveOut(scan, review: Review | None, leastShortAxis: float) -> bool:
    """Whether to go on, after asking where findings that nobody rejected would be learned as no lymph nodes.

    Args:
        review: of the scan's findings; None without any.
        leastShortAxis: of the findings that count, mm.
    """
    count = 0
    if review is not None and roles.completenessOf(roles.nodeOf(scan, roles.ANNOTATION)) == "all":
        with tell(_("The findings were not compared with the annotation.")):
            count = len(review.leftOut(leastShortAxis))
    question = _(
        "You say that every lymph node of {scan} is marked, but findings that are neither marked nor rejected are "
        "left: {count}. The model would learn that these are none. Keep it so?"
    )
    asked = question.format(scan=scan.GetName(), count=count)
    return not count or _agreed(asked, _("Is every lymph node marked?"))


def mayLieBeside(scan, beside: list[str]) -> bool:
    """Whether to go on, after asking about marks that do not lie on the scan's voxels.

    Args:
        beside: their names, as of ``marksBeside``.
    """
    question = _(
        "{marks}: does not lie on the voxels of {scan}, as after a transform was hardened on one of them only. Press "
        "Cancel and harden it on both (module Data), or go on with the marks where they lie now?"
    )
    asked = question.format(marks=", ".join(beside), scan=scan.GetName())
    return not beside or _agreed(asked, _("Do the marks lie where they should?"))


def _mayJoin(trainingSet: TrainingSet, scan) -> bool:
    """Whether to go on, after asking where the training set holds the very same scan: then its marks come beside."""
    isRead, twin = False, None
    with attempt(_("The training folder could not be read.")):
        twin, isRead = trainingSet.twinOf(scan), True
    question = _(
        "{scan} is in the training set already, as {name}. Put your marks together with those that are stored there? "
        "Lymph nodes at the same place become one."
    )
    if twin is None:
        return isRead
    asked = question.format(scan=scan.GetName(), name=twin.name)
    return _agreed(asked, _("Put the marks together?")) and joinAndTell(trainingSet, scan)


def mayGoOn(reviews: list[Review], question: str, title: str, failure: str) -> bool:
    """Whether to go on where decisions were not added to their cases yet, after asking what becomes of them.

    Args:
        question: with ``{count}``; yes adds them first, no leaves them.
        failure: what is said where they cannot be added; then nothing goes on.
    """
    waiting = [review for review in reviews if review.pending()]
    if not waiting:
        return True
    count, removed = sum(len(review.pending()) for review in waiting), 0
    with tell(failure):
        removed = sum(review.removals() for review in waiting)
    back = sum(len(review.comingBack()) for review in waiting)
    more = "\n\n" + _("Lymph nodes that this takes out of the annotation: {removed}.") if removed else ""
    more += "\n\n" + _("Lymph nodes that this brings back, though they were removed: {back}.") if back else ""
    answer = yesNoOrCancel((question + more).format(count=count, removed=removed, back=back), title)
    added = False
    if answer == qt.QMessageBox.Yes:
        with attempt(failure):
            for review in waiting:
                review.apply()
            added = True
    return added or answer == qt.QMessageBox.No


def mayLeaveLost() -> bool:
    """Whether to go on, after asking about marks that lost their scan and fit one of the scene: no case has them."""
    scans = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    found = [(lost.name, scan.GetName()) for scan in scans if (lost := lostMarksIn(scan)) is not None]
    if not found:
        return True
    question = _(
        "{marks}: nothing is learned from them, since their scan was deleted. To change that, choose {scans} as the CT "
        "scan and go on with them. Learn without them?"
    )
    marks, names = (", ".join(dict.fromkeys(each)) for each in zip(*found, strict=True))
    return _agreed(question.format(marks=marks, scans=names), _("Learn without these marks?"))


def whatWasApplied(applied: Applied) -> str:
    """What became of the decisions, as a message."""
    message = _("Added to the annotation: {annotated} as lymph nodes, {rejected} as no lymph nodes.")
    if applied.merged:
        message += " " + _("Of these, put together with a lymph node at the same place: {merged}.")
    if applied.removed:
        message += " " + _("Taken out of the annotation: {removed}.")
    if applied.kept:
        message += " " + _("Kept in the annotation, as you have corrected them: {kept}.")
    return message.format(**asdict(applied))


def yesNoOrCancel(question: str, title: str):
    """The button that the user pressed, of ``qt.QMessageBox``."""
    buttons = qt.QMessageBox.Yes | qt.QMessageBox.No | qt.QMessageBox.Cancel
    return slicer.util.messageBox(question, windowTitle=title, standardButtons=buttons)


def _agreed(question: str, title: str) -> bool:
    return slicer.util.confirmOkCancelDisplay(question, windowTitle=title)
