"""The node selector follows the scene."""

from __future__ import annotations

import pytest

VOLUME, LABELS, MODEL = "vtkMRMLScalarVolumeNode", "vtkMRMLLabelMapVolumeNode", "vtkMRMLModelNode"


@pytest.fixture
def combo(host):
    import slicer

    widget = slicer.qMRMLNodeComboBox()
    widget.nodeTypes = [VOLUME]
    yield widget
    widget.setMRMLScene(None)


@pytest.fixture
def add(host):
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass


def texts(combo) -> list[str]:
    import qt

    inner = combo.findChild(qt.QComboBox)
    return [inner.itemText(index) for index in range(inner.count)]


def choose(combo, text: str) -> None:
    """As a user does."""
    import qt

    inner = combo.findChild(qt.QComboBox)
    inner.setCurrentIndex(inner.findText(text))
    inner.activated.emit(inner.currentIndex)


def test_without_a_scene_it_is_empty(combo, add):
    add(VOLUME)
    assert combo.currentNode() is None
    assert combo.nodeCount() == 0
    assert not combo.enabled


def test_it_selects_a_node_by_itself_unless_none_is_a_choice(combo, host, add):
    first = add(VOLUME, "first")
    combo.setMRMLScene(host.scene)
    assert combo.currentNode() is first
    assert combo.currentNodeID == first.GetID()
    combo.noneEnabled = True
    combo.setCurrentNode(None)
    add(VOLUME, "second")
    assert combo.currentNode() is None


def test_it_lists_its_types_and_what_derives_from_them_but_nothing_hidden(combo, host, add):
    combo.setMRMLScene(host.scene)
    add(MODEL, "model")
    add(VOLUME, "hidden").SetHideFromEditors(True)
    add(VOLUME, "volume")
    add(LABELS, "labels")
    combo.addEnabled = combo.removeEnabled = False
    combo.setMRMLScene(host.scene)
    assert texts(combo) == ["volume", "labels"]
    combo.showChildNodeTypes = False
    assert texts(combo) == ["volume"]
    combo.showHidden = True
    assert texts(combo) == ["hidden", "volume"]


def test_it_tells_of_a_change_once_to_every_overload(combo, host, add):
    nodes, truths, ids = [], [], []
    combo.setMRMLScene(host.scene)
    combo.connect("currentNodeChanged(vtkMRMLNode*)", nodes.append)
    combo.connect("currentNodeChanged(bool)", truths.append)
    combo.connect("currentNodeIDChanged(QString)", ids.append)
    node = add(VOLUME, "volume")
    combo.setCurrentNode(node)
    assert (nodes, truths, ids) == ([node], [True], [node.GetID()])
    host.scene.RemoveNode(node)
    assert (nodes[1:], truths[1:], ids[1:]) == ([None], [False], [""])


def test_a_wrong_signature_is_refused(combo):
    with pytest.raises(ValueError, match="no signal"):
        combo.connect("currentNodeChanged(vtkMRMLVolumeNode*)", print)


def test_a_removed_node_is_followed_by_another(combo, host, add):
    first, second = add(VOLUME, "first"), add(VOLUME, "second")
    combo.setMRMLScene(host.scene)
    host.scene.RemoveNode(first)
    assert combo.currentNode() is second
    host.close_scene()
    assert combo.currentNode() is None


def test_names_follow(combo, host, add):
    node = add(VOLUME, "old")
    combo.addEnabled = combo.removeEnabled = False
    combo.setMRMLScene(host.scene)
    node.SetName("new")
    assert texts(combo) == ["new"]


def test_a_user_chooses_adds_renames_and_removes(combo, host, add):
    from preview_host import answers

    combo.noneEnabled = combo.renameEnabled = True
    combo.setMRMLScene(host.scene)
    first, activated = add(VOLUME, "first"), []
    combo.connect("nodeActivated(vtkMRMLNode*)", activated.append)
    choose(combo, "first")
    assert combo.currentNode() is first
    assert activated == [first]
    answers.give("renamed")
    choose(combo, "Rename current ScalarVolume")
    assert first.GetName() == "renamed"
    choose(combo, "Create new ScalarVolume")
    assert combo.currentNode() is not first
    assert combo.nodeCount() == 2
    choose(combo, "Delete current ScalarVolume")
    assert combo.nodeCount() == 1
    choose(combo, "None")
    assert combo.currentNode() is None


def test_an_attribute_narrows_the_list(combo, host, add):
    add(VOLUME, "plain")
    add(VOLUME, "marked").SetAttribute("role", "scan")
    combo.addEnabled = combo.removeEnabled = False
    combo.setMRMLScene(host.scene)
    combo.addAttribute(VOLUME, "role", "scan")
    assert texts(combo) == ["marked"]
    combo.removeAttribute(VOLUME, "role")
    assert texts(combo) == ["plain", "marked"]
