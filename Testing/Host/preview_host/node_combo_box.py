"""Stand-in for Slicer's node selector."""

from __future__ import annotations

import qt
import slicer

from .observing import observe
from .pythonqt_signals import HostSignal

Scene = slicer.vtkMRMLScene
SCENE_EVENTS = (Scene.NodeAddedEvent, Scene.NodeRemovedEvent, Scene.EndCloseEvent, Scene.EndImportEvent)
SCENE_EVENTS += (Scene.EndBatchProcessEvent,)
NONE, CREATE, RENAME, REMOVE = "none", "create", "rename", "remove"


class Option(property):
    """A property of the selector; what is listed follows it."""

    def __init__(self, default):
        self.default = default
        super().__init__(self._read, self._write)

    def __set_name__(self, owner: type, name: str) -> None:
        self._key = f"_option_{name}"

    def _read(self, combo):
        return combo.__dict__.get(self._key, self.default)

    def _write(self, combo, value) -> None:
        is_list = isinstance(self.default, tuple)
        combo.__dict__[self._key] = (value,) if is_list and isinstance(value, str) else type(self.default)(value)
        combo._refresh()


class qMRMLNodeComboBox(qt.QWidget):
    """Lists the scene's nodes of some types and selects one.

    Until it has a scene it is empty and disabled. Without ``noneEnabled`` it always selects a node where there is one.
    """

    currentNodeChanged = HostSignal("currentNodeChanged(vtkMRMLNode*)", "currentNodeChanged(bool)")
    currentNodeIDChanged = HostSignal("currentNodeIDChanged(QString)")
    currentNodeRenamed = HostSignal("currentNodeRenamed(QString)")
    nodeActivated = HostSignal("nodeActivated(vtkMRMLNode*)")
    nodeAddedByUser = HostSignal("nodeAddedByUser(vtkMRMLNode*)")
    nodeTypes = Option(())
    noneEnabled = Option(False)
    addEnabled = Option(True)
    removeEnabled = Option(True)
    renameEnabled = Option(False)
    editEnabled = Option(False)
    showHidden = Option(False)
    showChildNodeTypes = Option(True)
    hideChildNodeTypes = Option(())
    selectNodeUponCreation = Option(True)
    noneDisplay = Option("None")
    baseName = Option("")

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None
        self._scene_tags: list[int] = []
        self._named: list[tuple[object, int]] = []
        self._attributes: dict[str, dict[str, str | None]] = {}
        self._current_id, self._listed = "", []
        self._combo = qt.QComboBox(self)
        self._combo.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self._combo.connect("activated(int)", self._chosen)
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._combo)
        self._refresh()

    def mrmlScene(self):
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene) -> None:
        """Follow a scene."""
        if scene is self._scene:
            return
        for tag in self._scene_tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        self._scene_tags = [observe(self, scene, event, self._refresh) for event in SCENE_EVENTS] if scene else []
        self._refresh()

    def currentNode(self):
        """The selected node, or None."""
        return self._scene.GetNodeByID(self._current_id) if self._scene and self._current_id else None

    def setCurrentNode(self, node) -> None:
        """Select a node (or an ID); what is not listed selects nothing."""
        self.setCurrentNodeID(node if isinstance(node, str) else node.GetID() if node else "")

    def setCurrentNodeID(self, nodeID: str) -> None:
        """Select by ID; what is not listed selects nothing, as a node that comes while a scene is imported."""
        isImporting = self._scene is not None and self._scene.IsImporting()
        listed = self._listed if isImporting else [node.GetID() for node in self._nodes()]
        self._select(nodeID if nodeID in listed else "")

    currentNodeID = property(lambda self: self._current_id, setCurrentNodeID)

    def setCurrentNodeIndex(self, index: int) -> None:
        """Select the n-th listed node."""
        self.setCurrentNode(self.nodeFromIndex(index))

    def nodeCount(self) -> int:
        """How many nodes are listed."""
        return len(self._nodes())

    def nodeFromIndex(self, index: int):
        """The n-th listed node, or None."""
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def addNode(self, nodeType: str | None = None):
        """Add a node to the scene, of the first type unless another is named, and select it."""
        class_name = nodeType or self.nodeTypes[0]
        kind = self._scene.GetClassNameByTag(class_name) or class_name
        node = self._scene.AddNewNodeByClass(kind, self._scene.GenerateUniqueName(self.baseName or _tag(kind)))
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        """Remove the selected node from the scene."""
        if self.currentNode():
            self._scene.RemoveNode(self.currentNode())

    def renameCurrentNode(self) -> None:
        """Ask for a name."""
        node = self.currentNode()
        name = qt.QInputDialog.getText(self, "Rename", "New name:", qt.QLineEdit.Normal, node.GetName())
        if name:
            node.SetName(name)
            self.currentNodeRenamed.emit(name)

    def addAttribute(self, nodeType: str, attributeName: str, attributeValue=None) -> None:
        """List nodes of a type only if they have an attribute (with a value)."""
        value = None if attributeValue is None else str(attributeValue)
        self._attributes.setdefault(nodeType, {})[attributeName] = value
        self._refresh()

    def removeAttribute(self, nodeType: str, attributeName: str) -> None:
        """Undo ``addAttribute``."""
        self._attributes.get(nodeType, {}).pop(attributeName, None)
        self._refresh()

    def _nodes(self) -> list:
        if self._scene is None:
            return []
        if len(self.nodeTypes) == 1:  # as with most: the scene finds them faster
            found = self._scene.GetNodesByClass(self.nodeTypes[0])
            found.UnRegister(None)
            every = [found.GetItemAsObject(n) for n in range(found.GetNumberOfItems())]
        else:
            every = [self._scene.GetNthNode(n) for n in range(self._scene.GetNumberOfNodes())]
        return [node for node in every if self._lists(node)]

    def _lists(self, node) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        kind = next((k for k in self.nodeTypes if node.IsA(k)), None)
        exact = self.showChildNodeTypes or node.GetClassName() in self.nodeTypes
        hidden = any(node.IsA(k) for k in self.hideChildNodeTypes)
        return kind is not None and exact and not hidden and _has(node, self._attributes.get(kind, {}))

    def _refresh(self) -> None:
        if self._scene is not None and self._scene.IsBatchProcessing():
            return
        nodes = self._nodes()
        for node, tag in self._named:
            node.RemoveObserver(tag)
        self._named = [(node, observe(self, node, "ModifiedEvent", self._show_names)) for node in nodes]
        self.setEnabled(self._scene is not None)
        listed = self._listed = [node.GetID() for node in nodes]
        if self._current_id in listed or (self.noneEnabled and not self._current_id):
            self._show(nodes)
        else:
            self._select(listed[0] if listed and not self.noneEnabled else "")

    def _show_names(self) -> None:
        self._show(self._nodes())

    def _select(self, node_id: str) -> None:
        changed, self._current_id = node_id != self._current_id, node_id
        self._show(self._nodes())
        if changed:
            node = self.currentNode()
            self.currentNodeChanged.emit({"vtkMRMLNode*": node, "bool": node is not None})
            self.currentNodeIDChanged.emit(node_id)

    def _show(self, nodes: list) -> None:
        entries = [(self.noneDisplay, NONE)] if self.noneEnabled else []
        entries += [(node.GetName() or "", node.GetID()) for node in nodes]
        entries += self._actions()
        blocked = self._combo.blockSignals(True)
        if entries != [(self._combo.itemText(n), self._combo.itemData(n)) for n in range(self._combo.count)]:
            self._combo.clear()
            for text, data in entries:
                self._combo.addItem(text, data)
        self._combo.setCurrentIndex(self._combo.findData(self._current_id or NONE))
        self._combo.blockSignals(blocked)

    def _actions(self) -> list[tuple[str, str]]:
        if self._scene is None or not self.nodeTypes:
            return []
        label = _tag(self.nodeTypes[0])
        create = [(f"Create new {label}", CREATE)] if self.addEnabled else []
        rename = [(f"Rename current {label}", RENAME)] if self.renameEnabled and self._current_id else []
        remove = [(f"Delete current {label}", REMOVE)] if self.removeEnabled and self._current_id else []
        return create + rename + remove

    def _chosen(self, index: int) -> None:
        chosen = self._combo.itemData(index)
        act = {CREATE: self.addNode, RENAME: self.renameCurrentNode, REMOVE: self.removeCurrentNode}.get(chosen)
        if act:
            act()
        else:
            self.setCurrentNodeID("" if chosen == NONE else chosen)
            self.nodeActivated.emit(self.currentNode())
        self._show(self._nodes())


def _tag(class_name: str) -> str:
    return class_name.removeprefix("vtkMRML").removesuffix("Node")


def _has(node, attributes: dict[str, str | None]) -> bool:
    values = {name: node.GetAttribute(name) for name in attributes}
    return all(v is not None and attributes[n] in (None, v) for n, v in values.items())
