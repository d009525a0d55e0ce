"""Slicer's segment editor, set up for lymph nodes: a sphere brush that paints on soft tissue only."""

from __future__ import annotations

import slicer

from . import lymphnode

BRUSH_DIAMETER_MM = 8.0
_EDITOR_TAG = "DGSTSegment"


class LymphNodeEditor:
    """The segment editor's widget on the annotation of one scan.

    Args:
        widget: ``qMRMLSegmentEditorWidget``.
    """

    def __init__(self, widget):
        self.widget = widget
        widget.setMRMLScene(slicer.mrmlScene)
        widget.setSegmentationNodeSelectorVisible(False)
        widget.setSourceVolumeNodeSelectorVisible(False)
        widget.setSwitchToSegmentationsButtonVisible(False)
        widget.setMaximumNumberOfUndoStates(20)
        widget.setEffectNameOrder(["Paint", "Erase", "Draw", "Threshold", "Islands", "Smoothing", "Scissors"])
        widget.unorderedEffectsVisible = False
        self._bindNode()

    def _bindNode(self) -> None:
        node = slicer.mrmlScene.GetSingletonNode(_EDITOR_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)
            node.SetSingletonTag(_EDITOR_TAG)
            node = slicer.mrmlScene.AddNode(node)
        self.node = node
        if self.widget.mrmlSegmentEditorNode() is not node:
            self.widget.setMRMLSegmentEditorNode(node)

    def edit(self, annotation, scan) -> None:
        """Work on an annotation; None for none. The segmentation must come before its scan."""
        self._bindNode()
        if annotation is None:
            self.putDown()
        if self.widget.segmentationNode() is not annotation:
            self.widget.setSegmentationNode(annotation)
        if annotation is not None and self.widget.sourceVolumeNode() is not scan:
            self.widget.setSourceVolumeNode(scan)

    def arm(self, segmentId: str) -> None:
        """Take the brush for a segment: a sphere, on soft tissue only, and other segments stay as they are."""
        self.widget.setCurrentSegmentID(segmentId)
        self.node.SetOverwriteMode(self.node.OverwriteNone)
        self.node.SetSourceVolumeIntensityMask(True)
        self.node.SetSourceVolumeIntensityMaskRange(*lymphnode.SOFT_TISSUE_HU)
        self.widget.setActiveEffectByName("Paint")
        effect = self.widget.activeEffect()
        if effect is not None:
            effect.setCommonParameter("BrushSphere", 1)
            effect.setCommonParameter("BrushDiameterIsRelative", 0)
            effect.setCommonParameter("BrushAbsoluteDiameter", BRUSH_DIAMETER_MM)

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
        self.widget.removeViewObservations()

    def takeUp(self) -> None:
        self.widget.setMRMLScene(slicer.mrmlScene)
        self._bindNode()
        self.widget.setupViewObservations()
