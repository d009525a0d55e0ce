"""What a 3D view shows, drawn by Slicer's own displayable managers."""

from __future__ import annotations

from collections.abc import Callable

import slicer

from .drawing import Drawing

MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
)
PEELS = 4


class ThreeDDrawing(Drawing):
    """The picture of a 3D view node."""

    def __init__(self, application, node, changed: Callable[[], None]):
        super().__init__(changed)
        self.window.SetAlphaBitPlanes(1)
        self.renderer.SetUseDepthPeeling(True)
        self.renderer.SetMaximumNumberOfPeels(PEELS)
        self.node = node
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(application)
        application.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(node.GetScene())
        self.logic.AddViewNode(node.GetLayoutName())
        self.manage(slicer.vtkMRMLThreeDViewDisplayableManagerFactory, MANAGERS, node)
        self.style = slicer.vtkMRMLThreeDViewInteractorStyle()
        self.style.SetDisplayableManagers(self.managers)
        self.style.SetInteractor(self.interactor)

    @property
    def camera_node(self):
        return self.managers.GetDisplayableManagerByClassName("vtkMRMLCameraDisplayableManager").GetCameraNode()

    def reset_camera(self) -> None:
        """Let all that is visible fit, seen from where the camera is."""
        self.renderer.ResetCamera()
        self.changed()

    def look_at_center(self) -> None:
        """Turn around the middle of what is visible."""
        bounds = self.renderer.ComputeVisiblePropBounds()
        if bounds[0] > bounds[1]:
            return
        self.camera_node.SetFocalPoint(*((low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True)))
        self.changed()
