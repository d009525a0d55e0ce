"""A VTK window in memory, with the displayable managers of a view node."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import slicer
import vtkmodules.vtkRenderingContextOpenGL2
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  registers the windows themselves
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkInteractionStyle import vtkInteractorStyleUser
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow, vtkWindowToImageFilter
from vtkmodules.vtkRenderingUI import vtkGenericRenderWindowInteractor

SMALLEST_PIXELS = 16


class Drawing:
    """A render window without a screen.

    Args:
        changed: called whenever what the window shows is no longer what it should show.
    """

    def __init__(self, changed: Callable[[], None]):
        self.changed = changed
        self.renderer = vtkRenderer()
        self.window = vtkRenderWindow()
        self.window.SetMultiSamples(0)
        self.window.SetShowWindow(False)
        self.window.SetOffScreenRendering(True)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.SetInteractorStyle(vtkInteractorStyleUser())  # Slicer's own styles act; VTK's default would too
        self.interactor.EnableRenderOff()
        self.interactor.Initialize()
        self.resize(SMALLEST_PIXELS, SMALLEST_PIXELS)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return tuple(self.window.GetSize())

    def resize(self, width: int, height: int) -> None:
        """Give the window another size, in pixels."""
        size = max(width, SMALLEST_PIXELS), max(height, SMALLEST_PIXELS)
        self.window.SetSize(*size)
        self.interactor.UpdateSize(*size)
        self.changed()

    def watch(self, vtk_object, event: str = "ModifiedEvent") -> None:
        """Let each ``event`` of an object make the picture out of date."""
        vtk_object.AddObserver(event, lambda *_: self.changed())

    def manage(self, factory_class, names: Sequence[str], view_node) -> None:
        """Let the named displayable managers draw the scene of ``view_node``."""
        factory = factory_class.GetInstance()
        for name in names:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.SetRenderer(self.renderer)
        self.managers.Initialize(factory, self.renderer)
        self.watch(self.managers, "UpdateEvent")
        self.managers.SetMRMLDisplayableNode(view_node)

    def pixels(self) -> np.ndarray:
        """Render now: RGB uint8 (height, width, 3), first row on top."""
        self.window.Render()
        reader = vtkWindowToImageFilter()
        reader.SetInput(self.window)
        reader.SetInputBufferTypeToRGB()
        reader.ReadFrontBufferOff()
        reader.ShouldRerenderOff()
        reader.Update()
        width, height, _ = reader.GetOutput().GetDimensions()
        flat = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())
        return flat.reshape(height, width, 3)[::-1].copy()
