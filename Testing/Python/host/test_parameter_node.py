"""Parameters: kept by the scene, bound to widgets both ways, refusing what Slicer refuses."""

from typing import Annotated, Optional

import pytest

pytest.importorskip("PySide6")


@pytest.fixture
def parameters(host):
    import slicer
    from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        volume: slicer.vtkMRMLScalarVolumeNode
        other: Optional[slicer.vtkMRMLSegmentationNode]  # noqa: UP045  both spellings of Optional are in use
        gamma: Annotated[int, WithinRange(1, 64), Default(2)]
        rate: Annotated[float, WithinRange(0.5, 1)]
        update: Annotated[str, Choice(["rms", "sgd"])]
        outline: bool
        title: str
        numbers: list[int]

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "Parameters")
    return Parameters(node)


@pytest.fixture
def bound(host, parameters):
    """A form with one widget a parameter, bound."""
    import ctk
    import qt
    import slicer

    top = qt.QWidget()
    column = qt.QVBoxLayout(top)
    kinds = {"gamma": qt.QSpinBox, "rate": ctk.ctkSliderWidget, "update": qt.QComboBox, "outline": qt.QCheckBox}
    kinds |= {"title": qt.QLineEdit, "volume": slicer.qMRMLNodeComboBox}
    widgets = {name: kind() for name, kind in kinds.items()}
    for name, widget in widgets.items():
        widget.setProperty("SlicerParameterName", name)
        column.addWidget(widget)
    widgets["volume"].nodeTypes = ["vtkMRMLScalarVolumeNode"]
    widgets["volume"].noneEnabled = True
    widgets["volume"].setMRMLScene(slicer.mrmlScene)
    tag = parameters.connectParametersToGui(widgets)
    yield widgets, lambda: parameters.disconnectGui(tag)
    parameters.parameterNode.RemoveAllObservers()
    widgets["volume"].setMRMLScene(None)
    top.deleteLater()


def test_defaults_are_given_implied_or_empty(parameters):
    assert (parameters.gamma, parameters.update, parameters.outline) == (2, "rms", False)
    assert (parameters.rate, parameters.title, parameters.volume, parameters.numbers) == (0.5, "", None, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [("gamma", 65), ("gamma", 0), ("gamma", "7"), ("gamma", True), ("rate", 1.5), ("update", "adam"), ("outline", 1)]
    + [("title", 3), ("numbers", ["a"]), ("numbers", 3), ("other", 3)],
)
def test_what_is_not_allowed_raises_and_changes_nothing(parameters, name, value):
    before = getattr(parameters, name)
    with pytest.raises(ValueError):
        setattr(parameters, name, value)
    assert getattr(parameters, name) == before


def test_a_node_of_another_class_is_refused(parameters):
    import slicer

    with pytest.raises(ValueError):
        parameters.volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")


def test_a_list_is_observed(parameters):
    parameters.numbers = [1, 2]
    parameters.numbers.append(5)
    parameters.numbers[0] = 9
    assert parameters.numbers == [9, 2, 5]
    parameters.numbers = []
    assert parameters.numbers == []


def test_a_type_that_is_not_kept_is_an_error_at_once(host):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    class Bad:
        values: set

    with pytest.raises(ValueError, match="keeps no parameters"):
        parameterNodeWrapper(Bad)


def test_a_default_outside_its_own_range_is_an_error_at_once(host):
    from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper

    class Bad:
        gamma: Annotated[int, WithinRange(1, 3), Default(9)]

    with pytest.raises(ValueError):
        parameterNodeWrapper(Bad)


def test_widgets_take_range_choices_and_value_when_bound(bound):
    widgets, _unbind = bound
    assert (widgets["gamma"].minimum, widgets["gamma"].maximum, widgets["gamma"].value) == (1, 64, 2)
    assert [widgets["update"].itemText(n) for n in range(widgets["update"].count)] == ["rms", "sgd"]
    assert widgets["rate"].value == 0.5


def test_what_the_user_sets_is_kept(host, parameters, bound):
    import slicer

    widgets, _unbind = bound
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    widgets["gamma"].setValue(7)
    widgets["rate"].setValue(0.75)
    widgets["update"].setCurrentIndex(1)
    widgets["outline"].click()
    widgets["title"].setText("hey")
    widgets["volume"].setCurrentNode(volume)
    assert (parameters.gamma, parameters.rate, parameters.update) == (7, 0.75, "sgd")
    assert (parameters.outline, parameters.title, parameters.volume) == (True, "hey", volume)


def test_what_the_program_sets_is_shown(parameters, bound):
    widgets, _unbind = bound
    parameters.gamma, parameters.update, parameters.outline, parameters.title = 9, "sgd", True, "there"
    assert (widgets["gamma"].value, widgets["update"].currentText) == (9, "sgd")
    assert (widgets["outline"].checked, widgets["title"].text) == (True, "there")


def test_after_disconnecting_neither_side_follows(parameters, bound):
    widgets, unbind = bound
    unbind()
    parameters.gamma = 9
    assert widgets["gamma"].value == 2
    widgets["gamma"].setValue(11)
    assert parameters.gamma == 9


def test_a_form_names_what_its_widgets_are_bound_to(host, parameters):
    import qt

    top = qt.QWidget()
    box = qt.QSpinBox(top)
    box.setProperty("SlicerParameterName", "gamma")
    assert parameters.connectGui(top) is None, "Slicer 5.8 gives no tag"
    box.setValue(7)
    assert parameters.gamma == 7
    parameters.parameterNode.RemoveAllObservers()


def test_a_widget_bound_to_no_parameter_is_an_error(host, parameters):
    import qt

    top = qt.QWidget()
    box = qt.QSpinBox(top)
    box.setProperty("SlicerParameterName", "gama")
    with pytest.raises(ValueError, match="gama"):
        parameters.connectGui(top)


def test_the_scene_file_brings_all_back(host, parameters, tmp_path):
    import slicer

    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "shifts the IDs")
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    parameters.volume, parameters.gamma, parameters.numbers, parameters.outline = volume, 5, [3, 4], True
    file = tmp_path / "scene.mrml"
    slicer.mrmlScene.SetURL(str(file))
    assert slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear(0)
    slicer.mrmlScene.SetURL(str(file))
    assert slicer.mrmlScene.Import()
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode")
    again = type(parameters)(node)
    assert again.volume.GetName() == "CT"
    assert (again.gamma, again.numbers, again.outline, again.update) == (5, [3, 4], True, "rms")


def test_several_changes_can_be_told_as_one(parameters):
    told = []
    tag = parameters.AddObserver("ModifiedEvent", lambda *_: told.append(1))
    modifying = parameters.StartModify()
    parameters.gamma, parameters.title = 3, "x"
    assert told == []
    parameters.EndModify(modifying)
    assert len(told) == 1
    parameters.RemoveObserver(tag)
