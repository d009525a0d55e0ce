"""Slicer's slice and 3D views, drawn into memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkRenderingCore import vtkActor2D, vtkImageMapper, vtkRenderer, vtkRenderWindow, vtkWindowToImageFilter
from vtkmodules.vtkRenderingUI import vtkGenericRenderWindowInteractor

from ..imaging.geometry import LPS_TO_RAS
from .panels import Panel
from .slicer_data import vtk_matrix
from .style import BACKGROUND

SLICE_MANAGERS = ("vtkMRMLSegmentationsDisplayableManager2D",)
THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)
CAMERA_DISTANCE_MM = 1000.0
PEELS = 4


class SliceView:
    """A slice view of the scene."""

    def __init__(self, scene, application, name: str):
        self.window, renderer = offscreen_window()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        application.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddSliceNode(name)
        self.image = image_actor()
        renderer.AddViewProp(self.image)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        self.managers = displayable_managers(factory, application, SLICE_MANAGERS, renderer, self.node)

    def paint(self, panel: Panel, ct) -> np.ndarray:
        """RGB uint8 (height, width, 3): the volume node ``ct`` and the scene's segmentations where the panel cuts."""
        width, height = panel.size
        self.window.SetSize(width, height)
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(ct.GetID())
        self.node.SetDimensions(width, height, 1)
        self.node.SetFieldOfView(width * panel.mm_per_pixel, height * panel.mm_per_pixel, 1.0)
        self.node.GetSliceToRAS().DeepCopy(vtk_matrix(LPS_TO_RAS @ slice_to_lps(panel)))
        self.node.UpdateMatrices()
        self.image.GetMapper().SetInputConnection(self.logic.GetImageDataConnection())
        return grab(self.window)


class ThreeDView:
    """A 3D view of the scene in parallel projection."""

    def __init__(self, scene, application):
        self.window, self.renderer = offscreen_window()
        self.window.SetAlphaBitPlanes(1)
        self.renderer.SetUseDepthPeeling(True)
        self.renderer.SetMaximumNumberOfPeels(PEELS)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(application)
        application.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddViewNode("3D")
        self.node.SetBoxVisible(False)
        self.node.SetAxisLabelsVisible(False)
        self.node.SetBackgroundColor(*(c / 255 for c in BACKGROUND))
        self.node.SetBackgroundColor2(*(c / 255 for c in BACKGROUND))
        self.node.SetRenderMode(slicer.vtkMRMLViewNode.Orthographic)
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        self.managers = displayable_managers(factory, application, THREE_D_MANAGERS, self.renderer, self.node)

    def paint(self, panel: Panel) -> np.ndarray:
        """RGB uint8 (height, width, 3) seen along the panel's ``away``."""
        self.window.SetSize(*panel.size)
        aim(self.managers.GetDisplayableManagerByClassName("vtkMRMLCameraDisplayableManager").GetCameraNode(), panel)
        self.renderer.ResetCameraClippingRange()
        return grab(self.window)


def offscreen_window() -> tuple[vtkRenderWindow, vtkRenderer]:
    renderer, window = vtkRenderer(), vtkRenderWindow()
    window.SetMultiSamples(0)
    window.SetShowWindow(False)
    window.SetOffScreenRendering(True)
    window.AddRenderer(renderer)
    interactor = vtkGenericRenderWindowInteractor()  # displayable managers take for granted that there is one
    interactor.SetRenderWindow(window)
    interactor.Initialize()
    return window, renderer


def displayable_managers(factory, application, names: Sequence[str], renderer: vtkRenderer, view_node):
    factory.SetMRMLApplicationLogic(application)
    for name in names:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    group = slicer.vtkMRMLDisplayableManagerGroup()
    group.SetRenderer(renderer)
    group.Initialize(factory, renderer)
    group.SetMRMLDisplayableNode(view_node)
    return group


def image_actor() -> vtkActor2D:
    """Shows a slice logic's blended picture behind everything else; its colors are final already."""
    mapper = vtkImageMapper()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    actor = vtkActor2D()
    actor.SetMapper(mapper)
    actor.GetProperty().SetDisplayLocationToBackground()
    return actor


def aim(camera, panel: Panel) -> None:
    """Look along the panel's ``away`` at its center."""
    to_ras = LPS_TO_RAS[:3, :3]
    target, away = to_ras @ panel.center, to_ras @ panel.away
    camera.SetFocalPoint(*target)
    camera.SetPosition(*(target - CAMERA_DISTANCE_MM * away))
    camera.SetViewUp(*(-to_ras @ panel.down))
    camera.SetParallelProjection(True)
    camera.SetParallelScale(panel.size[1] * panel.mm_per_pixel / 2)


def slice_to_lps(panel: Panel) -> np.ndarray:
    """4x4 from slice coordinates (right, up, towards the viewer; mm from the center) to LPS."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([panel.right, -panel.down, -panel.away], axis=1)
    matrix[:3, 3] = panel.center
    return matrix


def grab(window: vtkRenderWindow) -> np.ndarray:
    """Render, and read the picture: RGB uint8 (height, width, 3), first row on top."""
    window.Render()
    reader = vtkWindowToImageFilter()
    reader.SetInput(window)
    reader.SetInputBufferTypeToRGB()
    reader.ReadFrontBufferOff()
    reader.Update()
    width, height, _ = reader.GetOutput().GetDimensions()
    pixels = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())
    return pixels.reshape(height, width, 3)[::-1].copy()
