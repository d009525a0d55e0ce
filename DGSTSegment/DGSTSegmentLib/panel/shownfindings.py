"""Whose findings the views show: those of the model before fine-tuning, after it, or both."""

from __future__ import annotations

from collections.abc import Callable

from slicer.i18n import tr as _

from . import roles
from .review import Review
from .state import PanelState, allow

SHOWN = ((roles.AFTER, _("After fine-tuning")), (roles.BEFORE, _("Before")), (roles.BOTH, _("Both")))


class ShownFindings:
    """The selector of what is shown. Where the scan has one prediction only, it names that one.

    Args:
        ui: the panel's widgets.
        state: what the sections share.
        onChosen: called after the user has chosen, or the scene's setting was changed.
    """

    def __init__(self, ui, state: PanelState, onChosen: Callable[[], None]):
        self._selector, self._state, self._onChosen = ui.shownSelector, state, onChosen
        for name, title in SHOWN:
            self._selector.addItem(title, name)
        self._selector.connect("currentIndexChanged(int)", self.onIndex)

    def follow(self) -> None:
        """The scene's setting may have been changed."""
        if self._canChoose():
            self._select(self._state.parameters.shown)

    def refresh(self, review: Review | None) -> None:
        """Show what is shown, and whether something else can be."""
        canChoose, parameters = self._canChoose(), self._state.parameters
        allow(
            self._selector,
            None if canChoose else _("Find lymph nodes with the model before and after fine-tuning to compare them."),
            _("Which model's findings the views show."),
        )
        if parameters is None:
            return
        self._selector.blockSignals(True)  # nobody has chosen
        self._select(parameters.shown if canChoose or review is None else review.prediction.role)
        self._selector.blockSignals(False)

    def onIndex(self, index: int) -> None:
        if self._state.parameters is not None:
            self._state.parameters.shown = self._selector.itemData(index)
            self._onChosen()

    def _canChoose(self) -> bool:
        scan, logic = self._state.scan, self._state.logic
        return scan is not None and all(logic.prediction(scan, role) is not None for role in roles.PREDICTIONS)

    def _select(self, name: str) -> None:
        index = self._selector.findData(name)
        if index >= 0 and self._selector.currentIndex != index:
            self._selector.setCurrentIndex(index)
