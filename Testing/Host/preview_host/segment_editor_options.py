"""What of the segment editor's widget can be shown, hidden or limited."""

from __future__ import annotations

from .widget_base import qMRMLWidget


class SegmentEditorOptions(qMRMLWidget):
    """Options of ``qMRMLSegmentEditorWidget``, which derives from this and makes ``_form`` and ``_logic``."""

    def setSegmentationNodeSelectorVisible(self, visible: bool) -> None:
        """Show the selector of the segmentation."""
        self._form.segmentation_row.setVisible(visible)

    def setSourceVolumeNodeSelectorVisible(self, visible: bool) -> None:
        """Show the selector of the source volume."""
        self._form.source_row.setVisible(visible)

    def setSwitchToSegmentationsButtonVisible(self, visible: bool) -> None:
        """Show the button that opens the module Segmentations."""
        self._form.switch.setVisible(visible)

    def setAddRemoveSegmentButtonsVisible(self, visible: bool) -> None:
        """Show the buttons that add and remove segments."""
        self._form.add.setVisible(visible)
        self._form.remove.setVisible(visible)

    def setShow3DButtonVisible(self, visible: bool) -> None:
        """Show the button for surfaces."""
        self._form.show_3d.setVisible(visible)

    def setMaskingSectionVisible(self, visible: bool) -> None:
        """Show what limits the effects."""
        self._form.masking.setVisible(visible)

    def setMaximumNumberOfUndoStates(self, count: int) -> None:
        """How far ``undo`` can go."""
        self._logic.SetMaximumNumberOfUndoStates(count)

    def setReadOnly(self, readOnly: bool) -> None:
        """Take the effects away."""
        self._read_only = readOnly
        if readOnly:
            self.setActiveEffectByName("")
        self.updateWidgetFromMRML()

    def setEffectColumnCount(self, columns: int) -> None:
        """How many buttons stand side by side."""
        self._columns = columns
        self.updateEffectList()

    def _set_unordered(self, visible: bool) -> None:
        self._unordered = visible
        self.updateEffectList()

    def setAutoShowSourceVolumeNode(self, show: bool) -> None:
        """Whether a new source volume appears in the slice views."""
        self._auto_show = show

    segmentationNodeSelectorVisible = property(
        lambda self: not self._form.segmentation_row.isHidden(), setSegmentationNodeSelectorVisible
    )
    sourceVolumeNodeSelectorVisible = property(
        lambda self: not self._form.source_row.isHidden(), setSourceVolumeNodeSelectorVisible
    )
    switchToSegmentationsButtonVisible = property(
        lambda self: not self._form.switch.isHidden(), setSwitchToSegmentationsButtonVisible
    )
    addRemoveSegmentButtonsVisible = property(
        lambda self: not self._form.add.isHidden(), setAddRemoveSegmentButtonsVisible
    )
    show3DButtonVisible = property(lambda self: not self._form.show_3d.isHidden(), setShow3DButtonVisible)
    maskingSectionVisible = property(lambda self: not self._form.masking.isHidden(), setMaskingSectionVisible)
    maximumNumberOfUndoStates = property(
        lambda self: self._logic.GetMaximumNumberOfUndoStates(), setMaximumNumberOfUndoStates
    )
    readOnly = property(lambda self: self._read_only, setReadOnly)
    effectColumnCount = property(lambda self: self._columns, setEffectColumnCount)
    autoShowSourceVolumeNode = property(lambda self: self._auto_show, setAutoShowSourceVolumeNode)
    unorderedEffectsVisible = property(lambda self: self._unordered, _set_unordered)
