"""The module ``ctk``: stand-ins for the few CTK widgets that the module uses."""

from __future__ import annotations

import sys
import types


def install() -> types.ModuleType:
    """Put ``ctk`` into ``sys.modules``; ``qt`` must be there."""
    import qt

    from .ctk_collapsible import ctkCollapsibleButton, ctkCollapsibleGroupBox
    from .ctk_slider import ctkSliderWidget

    class ctkMessageBox(qt.QMessageBox):
        """A message box; the check mark "Don't show again" is left out."""

    module = types.ModuleType("ctk", __doc__)
    for cls in (ctkCollapsibleButton, ctkCollapsibleGroupBox, ctkMessageBox, ctkSliderWidget):
        setattr(module, cls.__name__, cls)
    sys.modules["ctk"] = module
    return module
