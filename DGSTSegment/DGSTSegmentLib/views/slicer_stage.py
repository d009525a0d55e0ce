"""Slicer's own scene without its application: MRML nodes and the logics that its views need.

Runs in a process of its own (``child``), since broken OpenGL ends the process that draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import slicer
from vtkmodules.vtkCommonCore import vtkCollection

from ..imaging.geometry import LPS_TO_RAS
from ..imaging.volume import Volume
from .panels import Panel
from .picture import Overlay
from .slicer_data import image_data, surface, vtk_matrix
from .slicer_views import SliceView, ThreeDView
from .style import BONE, FILL_OPACITY, OPACITY_3D, OUTLINE_PIXELS, SKIN, Look


class Stage:
    """A MRML scene and the views that draw it. One a process.

    Args:
        folder: where Slicer may keep temporary files.
    """

    def __init__(self, folder: Path):
        self.scene = slicer.vtkMRMLScene()
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        self.application = application_logic(self.scene, str(folder))
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self.segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
        self.segmentations.SetModuleShareDirectory(str(folder))
        self.segmentations.SetMRMLApplicationLogic(self.application)
        self.segmentations.SetMRMLScene(self.scene)
        self.application.SetModuleLogic("Segmentations", self.segmentations)
        self.slices: dict[str, SliceView] = {}
        self.three_d = ThreeDView(self.scene, self.application)
        self.shown: list = []

    def show(
        self, ct: Volume, overlays: Sequence[Overlay], anatomy: dict[str, Volume], window: tuple[float, float]
    ) -> None:
        """Put a CT, its segmentations and the anatomy around them into the scene, in place of what was shown.

        Args:
            anatomy: ``skin`` and ``bone``, soft masks for the 3D view.
            window: width and level, HU.
        """
        self.clear()
        self.ct = self.add_image("vtkMRMLScalarVolumeNode", ct)
        self.shown.append(self.ct)
        display = self.scene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(*window)
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        self.ct.SetAndObserveDisplayNodeID(display.GetID())
        self.add_surface(anatomy["skin"], SKIN)
        self.add_surface(anatomy["bone"], BONE)
        for overlay in overlays:
            if overlay.volume.array.any():
                self.add_segmentation(overlay)

    def clear(self) -> None:
        """Take away what ``show`` put into the scene."""
        for node in self.shown:
            displays = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
            for each in (*displays, node):
                self.scene.RemoveNode(each)
        self.shown = []

    def paint(self, panel: Panel) -> np.ndarray:
        """RGB uint8 (height, width, 3) of a panel."""
        if panel.name == "3D":
            return self.three_d.paint(panel)
        if panel.name not in self.slices:
            self.slices[panel.name] = SliceView(self.scene, self.application, panel.name)
        return self.slices[panel.name].paint(panel, self.ct)

    def add_image(self, node_class: str, volume: Volume):
        """A volume node; its IJKToRAS carries the geometry, left-handed ones too."""
        node = self.scene.AddNewNodeByClass(node_class)
        node.SetAndObserveImageData(image_data(volume.array))
        node.SetIJKToRASMatrix(vtk_matrix(LPS_TO_RAS @ volume.geometry.ijk_to_world))
        return node

    def add_segmentation(self, overlay: Overlay) -> None:
        """A segmentation node with one segment a value, all in the overlay's color."""
        labelmap = self.add_image("vtkMRMLLabelMapVolumeNode", overlay.numbered)
        node = self.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", overlay.name)
        self.shown.append(node)
        node.CreateDefaultDisplayNodes()
        self.segmentations.ImportLabelmapToSegmentationNode(labelmap, node)
        self.scene.RemoveNode(labelmap)
        for n in range(node.GetSegmentation().GetNumberOfSegments()):
            node.GetSegmentation().GetNthSegment(n).SetColor(*(c / 255 for c in overlay.rgb))
        node.CreateClosedSurfaceRepresentation()
        display = node.GetDisplayNode()
        display.SetVisibility2DFill(overlay.style == "fill")
        display.SetOpacity2DFill(FILL_OPACITY)
        display.SetOpacity2DOutline(1.0)
        display.SetSliceIntersectionThickness(OUTLINE_PIXELS)
        display.SetOpacity3D(OPACITY_3D[overlay.style])

    def add_surface(self, soft_mask: Volume, look: Look) -> None:
        """A model node of the surface at 0.5 of a mask."""
        if soft_mask.array.max() < 0.5:
            return
        node = self.scene.AddNewNodeByClass("vtkMRMLModelNode")
        self.shown.append(node)
        node.SetAndObservePolyData(surface(soft_mask))
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(*(c / 255 for c in look.rgb))
        display.SetOpacity(look.opacity)
        display.SetVisibility2D(False)


def application_logic(scene, folder: str):
    """The logic that views and module logics ask for their surroundings."""
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetTemporaryPath(folder)
    logic.SetHomeDirectory(folder)
    logic.SetShareDirectory(folder)
    logic.SetMRMLScene(scene)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.SetSliceLogics(vtkCollection())
    logic.SetViewLogics(vtkCollection())
    return logic
