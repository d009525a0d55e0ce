"""Stand-in for the Qt plugins that give new nodes their place in the subject hierarchy."""

from __future__ import annotations

import slicer
from vtkmodules.util.misc import calldata_type
from vtkmodules.vtkCommonCore import VTK_OBJECT

OWNED = ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLModelNode", "vtkMRMLMarkupsNode", "vtkMRMLTableNode")
OWNED += ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTransformNode", "vtkMRMLTextNode")


class SubjectHierarchyPlugins:
    """Adds items for visible data nodes and takes them away with their nodes. Keep it as long as the scene."""

    def __init__(self, scene):
        self._scene = scene
        scene.AddObserver(scene.NodeAddedEvent, self._add)
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._remove)
        for event in (scene.EndImportEvent, scene.EndCloseEvent):
            scene.AddObserver(event, lambda *_: self._hierarchy())

    def _hierarchy(self):
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)

    @calldata_type(VTK_OBJECT)
    def _add(self, caller, event, node) -> None:
        if self._scene.IsImporting() or node.GetHideFromEditors() or not any(node.IsA(kind) for kind in OWNED):
            return
        hierarchy = self._hierarchy()
        if not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @calldata_type(VTK_OBJECT)
    def _remove(self, caller, event, node) -> None:
        if self._scene.IsClosing() or not any(node.IsA(kind) for kind in OWNED):
            return
        item = self._hierarchy().GetItemByDataNode(node)
        if item:
            self._hierarchy().RemoveItem(item, False, False)
