"""What a slice view shows, drawn by Slicer's own logic and displayable managers."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from vtkmodules.vtkRenderingCore import vtkActor2D, vtkImageMapper, vtkTextActor

from .drawing import Drawing

MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
)
CAPTION_PIXELS = 15


class SliceDrawing(Drawing):
    """The picture of a slice node."""

    def __init__(self, application, node, changed: Callable[[], None]):
        super().__init__(changed)
        self.node = node
        self.renderer.GetActiveCamera().ParallelProjectionOn()  # handles of markups have their size from it
        self.image = _image_actor()
        self.caption = _caption_actor()
        self.renderer.AddViewProp(self.image)
        self.renderer.AddViewProp(self.caption)
        self.logic = _slice_logic(application, node)
        self.manage(slicer.vtkMRMLSliceViewDisplayableManagerFactory, MANAGERS, node)
        self.logic.SetDisplayableManagerGroup(self.managers)
        self.style = slicer.vtkMRMLSliceViewInteractorStyle()
        self.style.SetSliceLogic(self.logic)
        self.style.SetDisplayableManagers(self.managers)
        self.style.SetInteractor(self.interactor)
        self.watch(self.logic)
        # what is read in one batch with its slice node is not drawn before the node changes once more
        node.GetScene().AddObserver(slicer.vtkMRMLScene.EndImportEvent, lambda *_: node.Modified())

    def resize(self, width: int, height: int) -> None:
        super().resize(width, height)
        if hasattr(self, "logic"):
            self.logic.ResizeSliceNode(*self.size)

    def pixels(self):
        self.image.SetVisibility(self.logic.HasInputs())
        self.image.GetMapper().SetInputConnection(self.logic.GetImageDataConnection())
        volume = slicer.mrmlScene.GetNodeByID(self.logic.GetSliceCompositeNode().GetBackgroundVolumeID() or "")
        self.caption.SetInput(f"B: {volume.GetName()}" if volume else "")
        return super().pixels()


def _slice_logic(application, node):
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(application)
    application.GetSliceLogics().AddItem(logic)
    logic.SetMRMLScene(node.GetScene())
    logic.SetSliceNode(node)
    return logic


def _image_actor() -> vtkActor2D:
    """Shows the slice logic's blended picture behind everything else; its colors are final already."""
    mapper = vtkImageMapper()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    actor = vtkActor2D()
    actor.SetMapper(mapper)
    actor.GetProperty().SetDisplayLocationToBackground()
    return actor


def _caption_actor() -> vtkTextActor:
    actor = vtkTextActor()
    actor.GetTextProperty().SetFontSize(CAPTION_PIXELS)
    actor.GetTextProperty().SetFontFamilyToTimes()
    actor.SetPosition(4, 4)
    return actor
