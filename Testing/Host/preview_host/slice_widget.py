"""Stand-ins for Slicer's slice widgets: the view, and the colored bar with the offset slider above it."""

from __future__ import annotations

import qt
from vtkmodules.vtkCommonCore import vtkObject

from .drawing_widget import InteractiveView
from .slice_drawing import SliceDrawing
from .view_bar import ViewBar

POSITIVE_NEGATIVE = {"Axial": "SI", "Coronal": "AP", "Sagittal": "RL"}


class qMRMLSliceView(InteractiveView):
    """The picture of a slice, painted by Slicer's own slice logic and displayable managers."""

    def __init__(self, node, application, parent=None):
        super().__init__(parent)
        self._drawing = SliceDrawing(application, node, self._schedule_render)

    def mrmlSliceNode(self):
        """The node that says where the slice is."""
        return self._drawing.node

    def sliceViewInteractorStyle(self):
        """Slicer's own style: wheel, window/level, panning."""
        return self._drawing.style

    def convertRASToXYZ(self, ras) -> list[float]:
        """Pixel position (from the lower left; third coordinate 0 in the slice) of a point, mm."""
        to_ras, position = self._drawing.node.GetXYToRAS(), [0.0] * 4
        inverse = to_ras.NewInstance()
        inverse.DeepCopy(to_ras)
        inverse.Invert()
        inverse.MultiplyPoint([*ras, 1.0], position)
        return position[:3]

    def convertXYZToRAS(self, xyz) -> list[float]:
        """Inverse of ``convertRASToXYZ``."""
        position = [0.0] * 4
        self._drawing.node.GetXYToRAS().MultiplyPoint([*xyz, 1.0], position)
        return position[:3]


class qMRMLSliceControllerWidget(ViewBar):
    """The bar above a slice view."""

    def __init__(self, logic, parent=None):
        self._logic = logic
        node = logic.GetSliceNode()
        super().__init__(node.GetLayoutLabel(), node.GetLayoutColor(), parent)
        self._slider = qt.QSlider(qt.Qt.Horizontal)
        self._slider.connect("valueChanged(int)", self._move)
        self._text = qt.QLabel()
        self._add(self._slider, 1)
        self._add(self._text, 0)
        for watched in (node, logic):
            watched.AddObserver("ModifiedEvent", lambda *_: self.updateWidgetFromMRMLView())
        self.updateWidgetFromMRMLView()

    def mrmlSliceNode(self):
        """The node that says where the slice is."""
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        """The node that says which volumes the slice shows."""
        return self._logic.GetSliceCompositeNode()

    def sliceLogic(self):
        """Slicer's slice logic."""
        return self._logic

    def setSliceOffsetValue(self, offset: float) -> None:
        """Move the slice, mm."""
        self._logic.SetSliceOffset(offset)

    def fitSliceToBackground(self) -> None:
        """Let the background volume fill the view."""
        self._logic.FitSliceToBackground()

    def updateWidgetFromMRMLView(self) -> None:
        """Show where the slice is."""
        self._low, high, self._step = self._range()
        offset = self._logic.GetSliceOffset()
        blocked = self._slider.blockSignals(True)
        self._slider.setRange(0, max(round((high - self._low) / self._step), 0))
        self._slider.setValue(round((offset - self._low) / self._step))
        self._slider.blockSignals(blocked)
        letters = POSITIVE_NEGATIVE.get(self.mrmlSliceNode().GetOrientation(), "  ")
        self._text.setText(f"{letters[offset < 0]}: {offset:.4f}mm")

    def _range(self) -> tuple[float, float, float]:
        bounds, step = [0.0] * 6, self._logic.GetLowestVolumeSliceSpacing()[2]
        self._logic.GetLowestVolumeSliceBounds(bounds, True)
        return bounds[4], bounds[5], step or 1.0

    def _move(self, position: int) -> None:
        self.setSliceOffsetValue(self._low + position * self._step)


class qMRMLSliceWidget(qt.QWidget):
    """A slice view under its bar."""

    def __init__(self, node, application, parent=None):
        super().__init__(parent)
        self._view = qMRMLSliceView(node, application)
        self._controller = qMRMLSliceControllerWidget(self.sliceLogic())
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._controller, 0)
        column.addWidget(self._view, 1)

    def mrmlSliceNode(self):
        """The node that says where the slice is."""
        return self._view.mrmlSliceNode()

    def mrmlSliceCompositeNode(self):
        """The node that says which volumes the slice shows."""
        return self.sliceLogic().GetSliceCompositeNode()

    def mrmlAbstractViewNode(self):
        """The same as ``mrmlSliceNode``."""
        return self.mrmlSliceNode()

    def sliceLogic(self):
        """Slicer's slice logic."""
        return self._view._drawing.logic

    def logic(self) -> vtkObject:
        """The same as ``sliceLogic``."""
        return self.sliceLogic()

    def sliceView(self) -> qMRMLSliceView:
        """The view without the bar."""
        return self._view

    def sliceController(self) -> qMRMLSliceControllerWidget:
        """The bar."""
        return self._controller

    def interactorStyle(self):
        """Slicer's own style: wheel, window/level, panning."""
        return self._view.sliceViewInteractorStyle()

    def fitSliceToBackground(self) -> None:
        """Let the background volume fill the view."""
        self._controller.fitSliceToBackground()

    @property
    def sliceViewName(self) -> str:
        """Red, Green, Yellow, ..."""
        return self.mrmlSliceNode().GetLayoutName()

    @property
    def sliceOrientation(self) -> str:
        """Axial, Coronal, Sagittal, Reformat."""
        return self.mrmlSliceNode().GetOrientation()
