"""What ``slicer.util`` of slicer-core needs to work with the host's ``qt`` and ``ctk``; all else in it is the real one.

``WIDGET_CLASSES`` are the stand-ins that a ``.ui`` file may name.
"""

from __future__ import annotations

import contextlib
import functools

from . import answers

WIDGET_CLASSES: dict[str, type] = {}


def install(slicer, qt, ctk) -> None:
    """Make ``loadUI`` know the stand-ins and messages go to ``answers``."""
    import slicer.util as util

    from .ui_loader import HostUiLoader

    slicer.util = util
    qt.QUiLoader = HostUiLoader
    WIDGET_CLASSES.update({name: cls for name, cls in vars(ctk).items() if isinstance(cls, type)})
    for name in ("infoDisplay", "warningDisplay", "errorDisplay"):
        setattr(util, name, _recorded(getattr(util, name)))
    if hasattr(util, "_temporaryNormalCursor"):  # of July 2026: older ones ask under the hourglass that a module set
        util._temporaryNormalCursor = contextlib.nullcontext
    util.pip_install = util.pip_uninstall = _install_nothing


def _recorded(display):
    """Slicer shows no pop-up while it has no main window; what it would have said is kept all the same."""
    if hasattr(display, "__wrapped__"):
        return display

    @functools.wraps(display)
    def recording(text, *args, **kwargs):
        before = len(answers.shown)
        result = display(text, *args, **kwargs)
        if len(answers.shown) == before:
            answers.tell(text)
        return result

    return recording


def _install_nothing(requirements) -> None:
    raise RuntimeError(f"the preview host installs nothing: {requirements}")
