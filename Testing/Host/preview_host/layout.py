"""Stand-in for Slicer's layout manager: views arranged as the real layout node describes it."""

from __future__ import annotations

from xml.etree import ElementTree

import qt
import slicer

from .plot_widget import qMRMLPlotWidget
from .pythonqt_signals import HostSignal
from .slice_widget import qMRMLSliceWidget
from .table_widget import qMRMLTableWidget
from .three_d_widget import qMRMLThreeDWidget

GAP_PIXELS = 1
ORIENTATION = {"horizontal": qt.Qt.Horizontal, "vertical": qt.Qt.Vertical}


class qMRMLLayoutManager(qt.QObject):
    """Views of the scene in a viewport.

    Args:
        viewport: the widget that the views fill.
        application: Slicer's application logic.
    """

    layoutChanged = HostSignal("layoutChanged(int)", "layoutChanged()")

    def __init__(self, viewport, scene, application):
        super().__init__()
        self._viewport, self._scene, self._application = viewport, scene, application
        self._column = qt.QVBoxLayout(viewport)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._shown: int | None = None
        self._arrangement = None
        self._widgets: dict[str, qt.QWidget] = {}
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLApplicationLogic(application)
        self._logic.SetMRMLScene(scene)
        self._logic.GetLayoutNode().AddObserver("ModifiedEvent", lambda *_: self._arrange())

    @property
    def layout(self) -> int:
        """A value of vtkMRMLLayoutNode.SlicerLayout; 0 until one is set."""
        return self._logic.GetLayoutNode().GetViewArrangement()

    @layout.setter
    def layout(self, layout: int) -> None:
        self.setLayout(layout)

    def setLayout(self, layout: int) -> None:
        """Arrange the views; unknown numbers are ignored, as in Slicer."""
        node = self._logic.GetLayoutNode()
        if node.IsLayoutDescription(layout):
            node.SetViewArrangement(layout)

    def layoutLogic(self):
        """Slicer's layout logic."""
        return self._logic

    def viewport(self):
        """The widget that the views fill."""
        return self._viewport

    def mrmlScene(self):
        """The scene."""
        return self._scene

    def mrmlSliceLogics(self):
        """Slicer's slice logics."""
        return self._application.GetSliceLogics()

    def sliceViewNames(self) -> tuple[str, ...]:
        """Names of the slice views there have been."""
        return tuple(w.mrmlSliceNode().GetLayoutName() for w in self._widgets_of(qMRMLSliceWidget))

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        """A slice view under its bar."""
        return next((w for w in self._widgets_of(qMRMLSliceWidget) if w.sliceViewName == name), None)

    def threeDWidget(self, index: int) -> qMRMLThreeDWidget | None:
        """A 3D view under its bar."""
        return _nth(self._widgets_of(qMRMLThreeDWidget), index)

    def plotWidget(self, index: int) -> qMRMLPlotWidget | None:
        """A plot view under its bar."""
        return _nth(self._widgets_of(qMRMLPlotWidget), index)

    def tableWidget(self, index: int) -> qMRMLTableWidget | None:
        """A table view under its bar."""
        return _nth(self._widgets_of(qMRMLTableWidget), index)

    @property
    def threeDViewCount(self) -> int:
        """How many 3D views there have been."""
        return len(self._widgets_of(qMRMLThreeDWidget))

    @property
    def plotViewCount(self) -> int:
        """How many plot views there have been."""
        return len(self._widgets_of(qMRMLPlotWidget))

    @property
    def tableViewCount(self) -> int:
        """How many table views there have been."""
        return len(self._widgets_of(qMRMLTableWidget))

    def resetSliceViews(self) -> None:
        """Let all volumes fit their slice views."""
        for widget in self._widgets_of(qMRMLSliceWidget):
            widget.sliceLogic().FitSliceToAll()
            widget.sliceLogic().SnapSliceOffsetToIJK()

    def resetThreeDViews(self) -> None:
        """Let all that is visible fit the 3D views."""
        for widget in self._widgets_of(qMRMLThreeDWidget):
            widget.threeDView().resetFocalPoint()
            widget.threeDView().resetCamera()

    def _widgets_of(self, kind: type) -> list:
        return [widget for widget in self._widgets.values() if type(widget) is kind]

    def _arrange(self) -> None:
        if self.layout == self._shown or not self._logic.GetLayoutNode().GetCurrentLayoutDescription():
            return
        self._shown = self.layout
        for widget in self._widgets.values():  # views outlive layouts
            widget.hide()
            widget.setParent(self._viewport)
        if self._arrangement is not None:
            self._column.removeWidget(self._arrangement)
            self._arrangement.deleteLater()
        description = ElementTree.fromstring(self._logic.GetLayoutNode().GetCurrentLayoutDescription())
        self._arrangement = splitter = qt.QSplitter()
        splitter.addWidget(self._built(description))
        self._column.addWidget(splitter)
        for node_id, widget in self._widgets.items():
            is_shown = widget.parent() is not self._viewport
            widget.setVisible(is_shown)
            self._scene.GetNodeByID(node_id).SetMappedInLayout(is_shown)
        self.layoutChanged.emit({"int": self._shown, "": None})

    def _built(self, element):
        if element.tag == "view":
            return self._view(element)
        if element.get("type") == "tab":
            return self._tabs(element)
        splitter = qt.QSplitter(ORIENTATION[element.get("type", "horizontal")])
        splitter.setHandleWidth(GAP_PIXELS)
        for index, item in enumerate(element.findall("item")):
            splitter.addWidget(self._built(item[0]))
            splitter.setStretchFactor(index, int(item.get("splitSize", 1)))
        splitter.setSizes([int(item.get("splitSize", 1)) * 1000 for item in element.findall("item")])
        return splitter

    def _tabs(self, element):
        tabs = qt.QTabWidget()
        for item in element.findall("item"):
            if item.get("multiple") == "true":
                for node in slicer.util.getNodesByClass(item[0].get("class"), self._scene):
                    tabs.addTab(self._widget(node), node.GetLayoutName())
            else:
                tabs.addTab(self._built(item[0]), item.get("name", ""))
        return tabs

    def _view(self, element):
        return self._widget(self._scene.GetSingletonNode(element.get("singletontag"), element.get("class")))

    def _widget(self, node):
        if node.GetID() not in self._widgets:
            self._widgets[node.GetID()] = self._new_widget(node)
        return self._widgets[node.GetID()]

    def _new_widget(self, node):
        class_name = node.GetClassName()
        if class_name == "vtkMRMLSliceNode":
            return qMRMLSliceWidget(node, self._application)
        if class_name == "vtkMRMLViewNode":
            return qMRMLThreeDWidget(node, self._application)
        if class_name == "vtkMRMLTableViewNode":
            return qMRMLTableWidget(node)
        widget = qMRMLPlotWidget()
        widget.setMRMLScene(self._scene)
        widget.setMRMLPlotViewNode(node)
        return widget


def _nth(widgets: list, index: int):
    return widgets[index] if 0 <= index < len(widgets) else None
