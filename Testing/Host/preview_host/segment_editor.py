"""Stand-in for the segment editor's widget, over Slicer's own segment editor logic and node.

The real: scene, editor node, what a change does to segments (masking by intensity, overlap, undo). Stood in for: the
widget itself and the effects; of these there are Paint, Erase and Threshold, and they act in slice views only.
"""

from __future__ import annotations

import logging

import slicer

from .effects import EFFECTS, Effect
from .observing import observe
from .pythonqt_signals import HostSignal
from .segment_editor_form import SegmentEditorForm
from .segment_editor_keys import SegmentEditorKeys
from .segment_editor_options import SegmentEditorOptions
from .view_observations import ViewObservations

EFFECT_ORDER = ("Threshold", "Paint", "Erase")
NEEDS_NODES = "Need to set segment editor and segmentation nodes first"


class qMRMLSegmentEditorWidget(SegmentEditorOptions):
    """Edits the segments of a segmentation node. Wants, in this order: scene, editor node, segmentation, source."""

    currentSegmentIDChanged = HostSignal("currentSegmentIDChanged(QString)")
    segmentationNodeChanged = HostSignal("segmentationNodeChanged(vtkMRMLSegmentationNode*)")
    sourceVolumeNodeChanged = HostSignal("sourceVolumeNodeChanged(vtkMRMLVolumeNode*)")

    def __init__(self, parent=None):
        super().__init__(parent)
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        self._node, self._node_tag = None, None
        self._batch_scene, self._batch_tag = None, None
        self._seen: dict[str, object] = {"segmentation": None, "source": None, "segment": ""}
        self._effects = {name: effect(self._logic) for name, effect in EFFECTS.items()}
        self._order, self._unordered, self._columns, self._read_only = list(EFFECT_ORDER), True, 2, False
        self._auto_show = True
        self._observations = ViewObservations(self._handle)
        self._keys = SegmentEditorKeys(self)
        self._updating = False
        self._form = SegmentEditorForm(self)
        self._connect_form()
        self.updateEffectList()
        observe(self, self._logic, self._logic.SegmentationHistoryChangedEvent, self._show_undo)
        self.updateWidgetFromMRML()

    # what is edited

    def _scene_changed(self) -> None:
        self._logic.SetMRMLScene(self._scene)
        self._form.segmentation.setMRMLScene(self._scene)
        self._form.source.setMRMLScene(self._scene)
        if self._batch_tag is not None:
            self._batch_scene.RemoveObserver(self._batch_tag)
        self._batch_scene, self._batch_tag = self._scene, None
        if self._scene is not None:
            self._batch_tag = observe(self, self._scene, self._scene.EndBatchProcessEvent, self._after_batch)
        self.updateWidgetFromMRML()

    def _after_batch(self) -> None:
        """As in Slicer, the editor's node takes what the selectors show, and not the other way round."""
        if self._node is None:
            return
        if self._node.GetSegmentationNode() is not self._form.segmentation.currentNode():
            self.setSegmentationNode(self._form.segmentation.currentNode())
        source = self._form.source.currentNode()
        if self._node.GetSegmentationNode() is not None and self._node.GetSourceVolumeNode() is not source:
            self.setSourceVolumeNode(source)
        self.updateWidgetFromMRML()

    def setMRMLSegmentEditorNode(self, node) -> None:
        """Keep what is edited, and how, in a vtkMRMLSegmentEditorNode."""
        if self._node is not None:
            self._node.RemoveObserver(self._node_tag)
        self._node = node
        self._logic.SetSegmentEditorNode(node)
        if node is not None:
            self._node_tag = observe(self, node, "ModifiedEvent", self.updateWidgetFromMRML)
        self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self):
        """The editor's node, or None."""
        return self._node

    def setSegmentationNode(self, node) -> None:
        """Edit another segmentation: selects its first segment, and its reference volume as the source."""
        if self._node is None:
            logging.error("setSegmentationNode: %s", NEEDS_NODES)
            return
        if node is self._node.GetSegmentationNode():
            return  # as in Slicer, though the selector may show another one
        if node is not None and node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
        self._logic.SetSegmentationNode(node)
        if node is None:
            self.setActiveEffectByName("")
            return
        reference = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
        if reference is not None:
            self.setSourceVolumeNode(reference)
        if node.GetSegmentation().GetSegment(self._node.GetSelectedSegmentID() or "") is None:
            self._logic.SetCurrentSegmentID(node.GetSegmentation().GetNthSegmentID(0))

    def segmentationNode(self):
        """What the selector shows, which lags behind the editor's node while the scene is at work; or None."""
        return self._form.segmentation.currentNode()

    @property
    def _edited(self):
        """What the editor's node says is edited, or None."""
        return self._node.GetSegmentationNode() if self._node else None

    def setSourceVolumeNode(self, node) -> None:
        """Say whose intensities mask the brush; the first one also gives an empty segmentation its grid."""
        segmentation = self._edited
        if segmentation is None:
            logging.error("setSourceVolumeNode: %s", NEEDS_NODES)
            return
        self._logic.SetSourceVolumeNode(node)
        if (
            node is not None
            and segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole()) is None
        ):
            segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
        if node is not None and self._auto_show:
            self.showSourceVolumeInSliceViewers()

    def sourceVolumeNode(self):
        """Whose intensities mask the brush as the selector shows it, or None."""
        return self._form.source.currentNode()

    def showSourceVolumeInSliceViewers(self) -> None:
        """Put the source volume in the background of slice views that do not show it."""
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            source_id = self._node.GetSourceVolumeNode().GetID()
            if source_id not in (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()):
                composite.SetBackgroundVolumeID(source_id)

    def setCurrentSegmentID(self, segmentID: str) -> None:
        """Choose the segment that effects change."""
        if self._node is None:
            logging.error("setCurrentSegmentID: %s", NEEDS_NODES)
            return
        self._logic.SetCurrentSegmentID(segmentID)

    def currentSegmentID(self) -> str:
        """The segment that effects change, or an empty text."""
        return (self._node.GetSelectedSegmentID() or "") if self._node else ""

    # effects

    def availableEffectNames(self) -> tuple[str, ...]:
        """Effects that there are."""
        return tuple(self._effects)

    def effectByName(self, name: str) -> Effect | None:
        """An effect, whether active or not."""
        return self._effects.get(name)

    def activeEffect(self) -> Effect | None:
        """The effect that has the mouse, or None."""
        return self._effects.get(self._node.GetActiveEffectName() or "") if self._node else None

    def setActiveEffectByName(self, name: str) -> None:
        """Activate an effect; an empty name or "None" deactivates.

        Raises:
            ValueError: when Slicer has it and the preview host has not.
        """
        name = "" if name == "None" else name
        if name and name not in self._effects:
            raise ValueError(f"the preview host has no effect {name!r}, only {', '.join(self._effects)}")
        if self._node is not None:
            self._node.SetActiveEffectName(name if not self._read_only else "")
            self.updateWidgetFromMRML()

    def setEffectNameOrder(self, effectNames) -> None:
        """Say which effects are shown first; takes effect with ``updateEffectList`` and ``unorderedEffectsVisible``."""
        self._order = list(effectNames)
        self.updateEffectList()

    def effectNameOrder(self) -> tuple[str, ...]:
        """What was set with ``setEffectNameOrder``."""
        return tuple(self._order)

    def updateEffectList(self) -> None:
        """Show the buttons again."""
        others = [name for name in self._effects if name not in self._order] if self._unordered else []
        self._form.arrange_effects([*self._order, *others], self._columns)
        self._show_effect()

    def setupViewObservations(self) -> None:
        """Give the effects the mouse in slice views; for the ``enter`` of a module."""
        self._observations.start()

    def removeViewObservations(self) -> None:
        """Take it away; for the ``exit`` of a module."""
        self._observations.stop()

    def _handle(self, event: str, view) -> bool:
        effect = self.activeEffect()
        return effect is not None and self._edited is not None and effect.handle(event, view)

    # undo

    def saveStateForUndo(self) -> None:
        """Let ``undo`` come back to how the segmentation is now."""
        self._logic.SaveStateForUndo()

    def undo(self) -> None:
        """Go back by one change."""
        self._logic.Undo()

    def redo(self) -> None:
        """Undo ``undo``."""
        self._logic.Redo()

    def installKeyboardShortcuts(self, parent=None) -> None:
        """Give the editor its keys; for the ``enter`` of a module."""
        self._keys.install(parent)

    def uninstallKeyboardShortcuts(self) -> None:
        """Take them away; for the ``exit`` of a module."""
        self._keys.uninstall()

    # looks

    def updateWidgetFromMRML(self) -> None:
        """Show what the editor's node says, and tell what changed."""
        if self._updating or (self._scene is not None and self._scene.IsBatchProcessing()):
            return
        self._updating = True
        form = self._form
        segmentation = self._edited
        source = self._node.GetSourceVolumeNode() if self._node else None
        form.segmentation.setCurrentNode(segmentation)
        form.source.setCurrentNode(source)
        form.table.follow(segmentation)
        form.table.select(self.currentSegmentID())
        self._show_effect()
        self._show_masking()
        self._show_undo()
        self._updating = False
        self._tell("segmentation", segmentation, self.segmentationNodeChanged)
        self._tell("source", source, self.sourceVolumeNodeChanged)
        self._tell("segment", self.currentSegmentID(), self.currentSegmentIDChanged)

    def _tell(self, what: str, now, signal) -> None:
        before, self._seen[what] = self._seen[what], now
        if before is not now and before != now:
            signal.emit(now)

    def _show_effect(self) -> None:
        effect = self.activeEffect()
        usable = self._edited is not None and not self._read_only
        for name, button in self._form.effects.items():
            button.setEnabled(usable)
            button.setChecked(usable and name == (effect.name if effect else ""))
        has_brush = effect is not None and effect.name in ("Paint", "Erase")
        self._form.options.setVisible(has_brush)
        if has_brush:
            self._set_quietly(self._form.diameter.setValue, effect.doubleParameter("BrushAbsoluteDiameter"))
            self._set_quietly(self._form.sphere.setChecked, bool(effect.integerParameter("BrushSphere")))

    def _show_masking(self) -> None:
        form, node = self._form, self._node
        if node is None:
            return
        self._set_quietly(form.mask_on.setChecked, bool(node.GetSourceVolumeIntensityMask()))
        for box, value in zip((form.mask_low, form.mask_high), node.GetSourceVolumeIntensityMaskRange(), strict=True):
            self._set_quietly(box.setValue, value)
        self._set_quietly(form.overwrite.setCurrentIndex, node.GetOverwriteMode())

    def _show_undo(self) -> None:
        self._form.undo.setEnabled(self._logic.CanUndo())
        self._form.redo.setEnabled(self._logic.CanRedo())

    @staticmethod
    def _set_quietly(setter, value) -> None:
        widget = setter.__self__
        blocked = widget.blockSignals(True)
        setter(value)
        widget.blockSignals(blocked)

    # what the children ask for

    def _connect_form(self) -> None:
        form = self._form
        form.segmentation.connect("nodeActivated(vtkMRMLNode*)", self.setSegmentationNode)
        form.source.connect("nodeActivated(vtkMRMLNode*)", self.setSourceVolumeNode)
        form.add.connect("clicked()", self._add_segment)
        form.remove.connect("clicked()", self._remove_segment)
        form.show_3d.connect("toggled(bool)", self._show_3d)
        form.undo.connect("clicked()", self.undo)
        form.redo.connect("clicked()", self.redo)
        form.diameter.connect("valueChanged(double)", self._set_diameter)
        form.sphere.connect("toggled(bool)", self._set_sphere)
        form.mask_on.connect("toggled(bool)", self._set_mask)
        form.mask_low.connect("valueChanged(double)", self._set_mask_range)
        form.mask_high.connect("valueChanged(double)", self._set_mask_range)
        form.overwrite.connect("currentIndexChanged(int)", self._set_overwrite)

    def _choose_segment(self, segment_id: str) -> None:
        self.setCurrentSegmentID(segment_id)

    def _add_segment(self) -> None:
        if self._edited is not None:
            self.saveStateForUndo()
            self.setCurrentSegmentID(self._logic.AddEmptySegment())

    def _remove_segment(self) -> None:
        if self.currentSegmentID():
            self.saveStateForUndo()
            self._logic.RemoveSelectedSegment()

    def _show_3d(self, on: bool) -> None:
        if self._edited is None:
            return
        if on:
            self._edited.CreateClosedSurfaceRepresentation()
        else:
            self._edited.RemoveClosedSurfaceRepresentation()

    def _set_diameter(self, millimeters: float) -> None:
        self.activeEffect().setCommonParameter("BrushDiameterIsRelative", 0)
        self.activeEffect().setCommonParameter("BrushAbsoluteDiameter", millimeters)

    def _set_sphere(self, on: bool) -> None:
        self.activeEffect().setCommonParameter("BrushSphere", int(on))

    def _set_mask(self, on: bool) -> None:
        self._node.SetSourceVolumeIntensityMask(on)

    def _set_mask_range(self, _value: float) -> None:
        self._node.SetSourceVolumeIntensityMaskRange(self._form.mask_low.value, self._form.mask_high.value)

    def _set_overwrite(self, mode: int) -> None:
        self._node.SetOverwriteMode(mode)
