"""Forms: stand-ins in the place of custom widgets, their properties and the form's connections."""

import pytest

pytest.importorskip("PySide6")

FORM = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>Form</class>
<widget class="qMRMLWidget" name="Form"><layout class="QVBoxLayout">
 <item><widget class="ctkCollapsibleButton" name="section">
  <property name="text"><string>Section</string></property><property name="collapsed"><bool>true</bool></property>
  <layout class="QFormLayout">
   <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="volumeBox">
    <property name="nodeTypes"><stringlist notr="true"><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
    <property name="noneEnabled"><bool>true</bool></property>
    <property name="SlicerParameterName" stdset="0"><string notr="true">volume</string></property></widget></item>
   <item row="1" column="1"><widget class="ctkSliderWidget" name="slider">
    <property name="minimum"><double>10</double></property><property name="maximum"><double>20</double></property>
    <property name="value"><double>12.5</double></property></widget></item>
   <item row="2" column="1"><widget class="QCheckBox" name="check"/></item>
   <item row="3" column="1"><widget class="{extra}" name="extra"/></item>
  </layout></widget></item>
</layout></widget>
<connections>
 <connection><sender>Form</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
  <receiver>volumeBox</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection>
 <connection><sender>check</sender><signal>toggled(bool)</signal>
  <receiver>slider</receiver><slot>setDisabled(bool)</slot></connection>
</connections></ui>"""


@pytest.fixture
def load(host, tmp_path):
    import slicer

    tops = []

    def load_form(extra="QLabel", form=FORM):
        path = tmp_path / "Form.ui"
        path.write_text(form.replace("{extra}", extra))
        tops.append(slicer.util.loadUI(str(path)))
        return tops[-1], slicer.util.childWidgetVariables(tops[-1])

    yield load_form
    for top in tops:
        top.setMRMLScene(None)
        top.deleteLater()


def test_stand_ins_take_the_places_and_properties_of_custom_widgets(load):
    import ctk
    import slicer

    top, ui = load()
    assert isinstance(top, slicer.qMRMLWidget) and isinstance(ui.section, ctk.ctkCollapsibleButton)
    assert ui.section.collapsed and ui.section.text == "Section"
    assert list(ui.volumeBox.nodeTypes) == ["vtkMRMLScalarVolumeNode"] and ui.volumeBox.noneEnabled
    assert (ui.slider.minimum, ui.slider.maximum, ui.slider.value) == (10, 20, 12.5)


def test_dynamic_properties_are_kept(load):
    _top, ui = load()
    assert ui.volumeBox.property("SlicerParameterName") == "volume"


def test_the_forms_connections_hold(load):
    import slicer

    top, ui = load()
    top.setMRMLScene(slicer.mrmlScene)
    assert ui.volumeBox.mrmlScene() is slicer.mrmlScene
    ui.check.click()
    assert not ui.slider.enabled


def test_a_collapsed_section_hides_its_contents_but_not_what_was_hidden_before(load):
    top, ui = load()
    top.show()
    ui.section.collapsed = False
    assert ui.check.visible
    ui.check.hide()
    ui.section.click()
    assert ui.section.collapsed and not ui.slider.visible
    ui.section.click()
    assert ui.slider.visible and not ui.check.visible


def test_a_section_tells_that_it_collapsed(load):
    _top, ui = load()
    told = []
    ui.section.connect("contentsCollapsed(bool)", told.append)
    ui.section.collapsed = False
    ui.section.collapsed = False
    assert told == [False]


def test_a_widget_class_that_the_host_has_not_is_an_error(load):
    with pytest.raises(RuntimeError, match="ctkNoSuchWidget"):
        load("ctkNoSuchWidget")


def test_a_connection_to_a_signal_that_is_none_is_an_error(load):
    with pytest.raises(ValueError, match="no signal"):
        load(form=FORM.replace("<signal>toggled(bool)</signal>", "<signal>toggeld(bool)</signal>"))


def test_a_form_that_is_not_there_is_an_error(host, tmp_path):
    import slicer

    with pytest.raises(RuntimeError, match="not found"):
        slicer.util.loadUI(str(tmp_path / "none.ui"))
