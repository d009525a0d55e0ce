"""Slicer's segment editor, set up for lymph nodes: a sphere brush that paints on soft tissue only."""

from __future__ import annotations

import slicer
import vtk

from . import lymphnode
from .signal import Signal

BRUSH_DIAMETER_MM = 8.0
ADDING = ("Paint", "Draw")
"""Effects that soft tissue alone may be added by. What spilled into fat or bone has to be erased there."""
_EDITOR_TAG = "DGSTSegment"
_SOFT_TISSUE_ONLY = "DGSTSegment.SoftTissueOnly"
"""Attribute of the editor's node: whether the user wants the mask, "1" or "0"; missing until the brush was set up."""


class LymphNodeEditor:
    """The segment editor's widget on the annotation of one scan.

    Args:
        widget: ``qMRMLSegmentEditorWidget``.

    Attributes:
        effectChanged: signal after another effect was taken, or none.
    """

    def __init__(self, widget):
        self.widget = widget
        widget.setMRMLScene(slicer.mrmlScene)
        widget.setSegmentationNodeSelectorVisible(False)
        widget.setSourceVolumeNodeSelectorVisible(False)
        widget.setSwitchToSegmentationsButtonVisible(False)
        widget.setMaximumNumberOfUndoStates(20)
        widget.setAutoShowSourceVolumeNode(False)  # the panel itself shows the scan, where the user wants that
        widget.setEffectNameOrder(["Paint", "Erase", "Draw", "Threshold", "Islands", "Smoothing", "Scissors"])
        widget.unorderedEffectsVisible = False
        self.effectChanged = Signal()
        self.node = self._observer = None
        self._effect = ""
        self._bindNode()

    def _bindNode(self) -> None:
        node = slicer.mrmlScene.GetSingletonNode(_EDITOR_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)
            node.SetSingletonTag(_EDITOR_TAG)
            node = slicer.mrmlScene.AddNode(node)
        if node is not self.node:
            self._unobserve()
            self.node, self._effect = node, node.GetActiveEffectName() or ""
            self._observer = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onNode)
        if self.widget.mrmlSegmentEditorNode() is not node:
            self.widget.setMRMLSegmentEditorNode(node)

    def _unobserve(self) -> None:
        if self._observer is not None:
            self.node.RemoveObserver(self._observer)
        self._observer = None

    def _onNode(self, *_event) -> None:
        """Slicer's intensity mask binds every effect; here it is lifted while an effect takes away, and comes back."""
        effect, masked = self.node.GetActiveEffectName() or "", bool(self.node.GetSourceVolumeIntensityMask())
        if effect == self._effect:
            if masked != self._isMaskWanted and (effect in ADDING or masked):
                self._wantMask(masked)  # the user, or the effect Threshold, has set it
            return
        self._effect = effect
        wanted = effect in ADDING and self._isMaskWanted
        if effect and masked != wanted:
            self.node.SetSourceVolumeIntensityMask(wanted)
        self.effectChanged()

    def edit(self, annotation, scan) -> None:
        """Work on an annotation; None for none. The segmentation must come before its scan."""
        self._bindNode()
        if annotation is None:
            self.putDown()
        if self.widget.segmentationNode() is not self.node.GetSegmentationNode():
            self.widget.updateWidgetFromMRML()  # its selector lags behind the node where a scene was loaded
        if self.widget.segmentationNode() is not annotation:
            self.widget.setSegmentationNode(annotation)
        if annotation is not None and self.widget.sourceVolumeNode() is not scan:
            self.widget.setSourceVolumeNode(scan)

    def arm(self, segmentId: str) -> None:
        """Take the brush for a segment: at first a sphere, on soft tissue only, and other segments stay as they are;
        then as the user has left it."""
        self.widget.setCurrentSegmentID(segmentId)
        self.widget.setActiveEffectByName("Paint")
        effect = self.widget.activeEffect()
        if effect is None or self.node.GetAttribute(_SOFT_TISSUE_ONLY) is not None:
            return
        self._wantMask(True)
        self.node.SetOverwriteMode(self.node.OverwriteNone)
        self.node.SetSourceVolumeIntensityMaskRange(*lymphnode.SOFT_TISSUE_HU)
        self.node.SetSourceVolumeIntensityMask(True)
        effect.setCommonParameter("BrushSphere", 1)
        effect.setCommonParameter("BrushDiameterIsRelative", 0)
        effect.setCommonParameter("BrushAbsoluteDiameter", BRUSH_DIAMETER_MM)

    @property
    def _isMaskWanted(self) -> bool:
        return self.node.GetAttribute(_SOFT_TISSUE_ONLY) == "1"

    def _wantMask(self, wanted: bool) -> None:
        self.node.SetAttribute(_SOFT_TISSUE_ONLY, str(int(wanted)))

    @property
    def isArmed(self) -> bool:
        """Whether an effect has the mouse."""
        return bool(self._effect)

    def putDown(self) -> None:
        """Let go of the brush, so that the mouse moves the views again."""
        if self.widget.activeEffect() is not None:
            self.widget.setActiveEffectByName("")

    def saveState(self, annotation) -> None:
        """Let the editor's undo come back to how the annotation is now."""
        if self.widget.segmentationNode() is annotation:
            self.widget.saveStateForUndo()

    def letGo(self) -> None:
        """Before the scene goes or the panel is left."""
        self.putDown()
        self.widget.uninstallKeyboardShortcuts()
        self.widget.removeViewObservations()
        self._unobserve()
        self.node = None

    def takeUp(self) -> None:
        self.widget.setMRMLScene(slicer.mrmlScene)
        self._bindNode()
        self.widget.setupViewObservations()
        self.widget.installKeyboardShortcuts()
