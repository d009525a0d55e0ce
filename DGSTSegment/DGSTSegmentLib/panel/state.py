"""What the sections of the panel share: the settings of the scene, and the scan at work on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import slicer
from slicer.i18n import tr as _

from ..engine.protocol import EngineError
from ..errors import InputError
from .logic import DGSTSegmentCore
from .signal import Signal


class PanelState:
    """The panel's settings and who has to hear of changes.

    Args:
        logic: what the sections let the user do.

    Attributes:
        parameters: the scene's ``DGSTSegmentParameters``; None while there is no scene to work on.
        sought: id of the scan and role of the prediction that lymph nodes are being looked for in, which will be
            replaced; None where they are not.
        annotationChanged: signal after something was painted, added or taken back.
        reviewChanged: signal after a decision, or after the reviewed prediction changed.
        findingChosen: signal after another finding was chosen, or none.
        modelChosen: signal after the user chose a model in the list.
        stepChanged: signal after anything that may change what to do next.
    """

    def __init__(self, logic: DGSTSegmentCore):
        self.logic = logic
        self.parameters = None
        self.sought: tuple[str, str] | None = None
        self.annotationChanged, self.reviewChanged, self.stepChanged = Signal(), Signal(), Signal()
        self.findingChosen, self.modelChosen = Signal(), Signal()

    @property
    def scan(self):
        """CT volume node at work on; None where none is chosen."""
        return self.parameters.inputVolume if self.parameters is not None else None


@contextmanager
def attempt(what: str) -> Iterator[None]:
    """Context of everything that a click does.

    What the user can mend is shown in one sentence; a fault of the program is shown with its trace, and raised again.

    Args:
        what: what was not done, should it fail.
    """
    problem = None
    with slicer.util.tryWithErrorDisplay(what, waitCursor=True):
        try:
            yield
        except (InputError, EngineError) as error:
            problem = error
    if problem is not None:
        slicer.util.errorDisplay(f"{what}\n\n{problem}")


@contextmanager
def tell(what: str) -> Iterator[None]:
    """Context of what the panel shows of itself: what cannot be read is said in the status bar, disturbing nobody.

    Args:
        what: what could not be shown, should it fail.
    """
    try:
        yield
    except InputError as error:
        slicer.util.showStatusMessage(f"{what} {error}", 10000)


def allow(button, reason: str | None, toolTip: str) -> None:
    """Enable a button, or disable it and let its tooltip say why."""
    button.setEnabled(not reason)
    told = f"{toolTip}\n\n{reason}" if reason else toolTip
    if button.toolTip != told:  # Qt tells all who watch a button of each one that is set, the same or not
        button.setToolTip(told)


def offer(action, reason: str | None, title: str) -> None:
    """Enable a menu's entry, or disable it and let its text say why: menus show no tooltips."""
    action.setEnabled(not reason)
    action.setText(f"{title.rstrip('.')}: {reason}" if reason else title)


def breakable(text: str) -> str:
    """``text`` with places where the lines of a narrow panel may break in the paths that it names."""
    return text.replace(os.sep, f"{os.sep}\u200b")


def clock(seconds: float | None) -> str:
    """``2:05`` of seconds; words where it is not known yet."""
    if seconds is None:
        return _("measuring the time left")
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
