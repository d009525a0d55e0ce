"""Stand-ins for effects of Slicer's segment editor: Paint, Erase, Threshold. They change segments by its own logic."""

from __future__ import annotations

import logging

import numpy as np
import slicer
from vtkmodules.util.numpy_support import vtk_to_numpy

from .brush import Brush, stamp

Logic = slicer.vtkSlicerSegmentEditorLogic
COMMON_DEFAULTS = {
    "BrushSphere": "0",
    "BrushDiameterIsRelative": "1",
    "BrushRelativeDiameter": "3",
    "BrushAbsoluteDiameter": "5",
}


class Effect:
    """What effects have in common: parameters, kept in the editor's node as Slicer keeps them.

    Args:
        logic: Slicer's vtkSlicerSegmentEditorLogic.
    """

    name = ""
    defaults: dict[str, str] = {}

    def __init__(self, logic):
        self._logic = logic

    def self(self):
        """The Python side of an effect that Slicer writes in Python; None of one that it writes in C++."""
        return None

    def parameterSetNode(self):
        """The editor's node."""
        return self._logic.GetSegmentEditorNode()

    def parameter(self, name: str) -> str:
        """The value, or a default; an empty text where there is none, as in Slicer."""
        node = self.parameterSetNode()
        own, common = node.GetAttribute(f"{self.name}.{name}"), node.GetAttribute(name)
        defaults = COMMON_DEFAULTS | self.defaults
        value = own if own is not None else common if common is not None else defaults.get(name)
        if value is None:
            logging.error("Parameter named %s cannot be found for effect %s", name, self.name)
        return value or ""

    def integerParameter(self, name: str) -> int:
        """The value as a whole number."""
        return int(float(self.parameter(name) or 0))

    def doubleParameter(self, name: str) -> float:
        """The value as a number."""
        return float(self.parameter(name) or 0)

    def setParameter(self, name: str, value: str | int | float) -> None:
        """Set a parameter of this effect."""
        self.parameterSetNode().SetAttribute(f"{self.name}.{name}", _text(value))

    def setCommonParameter(self, name: str, value: str | int | float) -> None:
        """Set a parameter that effects share, such as the brush."""
        self.parameterSetNode().SetAttribute(name, _text(value))

    def saveStateForUndo(self) -> None:
        """Let ``undo`` come back to how the segmentation is now."""
        self._logic.SaveStateForUndo()

    def handle(self, event: str, view) -> bool:
        """Whether the effect took the event of a slice view's interactor for itself."""
        return False


class PaintEffect(Effect):
    """Paints where the left button drags, applied when it is let go. Only in slice views."""

    name = "Paint"
    mode = Logic.ModificationModeAdd

    def __init__(self, logic):
        super().__init__(logic)
        self._stroke: list | None = None
        self._brush: Brush | None = None

    def handle(self, event: str, view) -> bool:
        interactor = view.interactor()
        if event == "LeftButtonPressEvent" and not (interactor.GetShiftKey() or interactor.GetControlKey()):
            if not self._logic.GetCurrentSegmentID():
                logging.warning("Select a segment to paint.")
                return True
            self._stroke, self._brush = [], self.brush(view)
        elif self._stroke is None or event not in ("MouseMoveEvent", "LeftButtonReleaseEvent"):
            return False
        self._stroke.append(view.convertXYZToRAS([*interactor.GetEventPosition(), 0.0]))
        if event == "LeftButtonReleaseEvent":
            stroke, self._stroke = self._stroke, None
            self.paint(stroke, self._brush)
        return True

    def brush(self, view) -> Brush:
        """The brush that the parameters say, in a view."""
        node = view.mrmlSliceNode()
        radius = self.doubleParameter("BrushAbsoluteDiameter") / 2
        if self.integerParameter("BrushDiameterIsRelative"):
            radius = self.doubleParameter("BrushRelativeDiameter") / 200 * max(node.GetFieldOfView()[:2])
        if self.integerParameter("BrushSphere"):
            return Brush(radius)
        normal = np.array([node.GetSliceToRAS().GetElement(row, 2) for row in range(3)])
        return Brush(radius, normal, self._logic.GetSliceSpacing(node) / 2)

    def paint(self, points, brush: Brush) -> None:
        """Change the current segment around world points."""
        self._logic.ResetModifierLabelmapToDefault()
        labelmap = self._logic.GetModifierLabelmap()
        if not stamp(labelmap, brush, points):
            return
        self.saveStateForUndo()
        segmentation, segment = self._logic.GetSegmentationNode(), self._logic.GetCurrentSegmentID()
        self._logic.ModifySegmentByLabelmap(segmentation, segment, labelmap, self.mode, False, False)


class EraseEffect(PaintEffect):
    """Paints nothing where the left button drags."""

    name = "Erase"
    mode = Logic.ModificationModeRemove


class ThresholdEffect(Effect):
    """Fills the current segment with what lies in an intensity range, on ``self().onApply()``."""

    name = "Threshold"
    defaults = {"MinimumThreshold": "0", "MaximumThreshold": "0"}

    def self(self):
        return self

    def onApply(self) -> None:
        """Replace the current segment."""
        self._logic.UpdateAlignedSourceVolume()
        low, high = self.doubleParameter("MinimumThreshold"), self.doubleParameter("MaximumThreshold")
        values = vtk_to_numpy(self._logic.GetAlignedSourceVolume().GetPointData().GetScalars())
        self._logic.ResetModifierLabelmapToDefault()
        labelmap = self._logic.GetModifierLabelmap()
        vtk_to_numpy(labelmap.GetPointData().GetScalars())[:] = (values >= low) & (values <= high)
        labelmap.Modified()
        self.saveStateForUndo()
        segmentation, segment = self._logic.GetSegmentationNode(), self._logic.GetCurrentSegmentID()
        self._logic.ModifySegmentByLabelmap(segmentation, segment, labelmap, Logic.ModificationModeSet, False, False)

    def onUseForPaint(self) -> None:
        """Let the brush paint on the range only."""
        node = self.parameterSetNode()
        node.SetSourceVolumeIntensityMask(True)
        node.SetSourceVolumeIntensityMaskRange(
            self.doubleParameter("MinimumThreshold"), self.doubleParameter("MaximumThreshold")
        )


EFFECTS = {effect.name: effect for effect in (PaintEffect, EraseEffect, ThresholdEffect)}


def _text(value: str | int | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
