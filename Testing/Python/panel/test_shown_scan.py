"""The views may show another CT than the panel works on: it is said, and nothing is painted or judged over that one."""

from __future__ import annotations

import re

import pytest

from ..conftest import tiny_case
from .conftest import ball, mark, save_as


def backgrounds():
    from DGSTSegmentLib.panel.sliceviews import sliceWidgets

    return [widget.mrmlSliceCompositeNode().GetBackgroundVolumeID() for widget in sliceWidgets()]


@pytest.fixture
def dropped(host, scan):
    """A second CT, loaded as by dropping its file into Slicer: it takes every view, the panel stays with the first."""
    return drop(host)


def drop(host):
    import slicer

    from DGSTSegmentLib.panel import bridge

    node = bridge.addVolume(tiny_case(1)[0], "Second CT")
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    host.process_events()
    return node


def test_another_ct_in_the_views_is_said_in_one_line_and_can_be_put_right_by_either_button(
    host, panel, ui, scan, dropped
):
    import slicer

    assert panel.state.scan is scan and not ui.otherScanWidget.isHidden()
    assert ui.otherScanLabel.text == "The views show Second CT; the panel works on Tiny scan."
    assert (ui.showScanButton.text, ui.workOnShownButton.text) == ("Show Tiny scan", "Work on Second CT")
    ui.showScanButton.click()
    host.process_events()
    assert set(backgrounds()) == {scan.GetID()} and ui.otherScanWidget.isHidden()
    drop(host)
    slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().SetFieldOfView(20.0, 20.0, 1.0)
    zoom = zoom_of_red()
    ui.workOnShownButton.click()
    host.process_events()
    assert panel.state.scan.GetName() == "Second CT" and zoom_of_red() == zoom, "views that show it stay"
    assert ui.otherScanWidget.isHidden()


def test_long_names_leave_the_panel_narrow(host, panel, ui, scan, dropped):
    dropped.SetName("4_CT_Thorax&Abdomen_" + "venous_" * 20)
    panel.refresh()
    host.process_events()
    assert ui.otherScanWidget.minimumSizeHint.width() <= 400
    assert ui.workOnShownButton.text == "Work on 4_CT_Thorax&&Ab...nous_"


def zoom_of_red():
    import slicer

    return tuple(slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().GetFieldOfView())


def test_a_view_that_shows_the_scan_is_enough_and_the_others_are_left_alone(host, panel, ui, scan):
    import slicer

    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    other = drop(host)
    red.SetForegroundVolumeID(scan.GetID())
    red.SetForegroundOpacity(0.5)
    host.process_events()
    assert ui.otherScanWidget.isHidden()
    ui.newNodeButton.click()
    assert set(backgrounds()) == {other.GetID()}
    red.SetForegroundOpacity(0.0)
    host.process_events()
    assert not ui.otherScanWidget.isHidden(), "a foreground without opacity is not seen"


def test_a_scan_behind_an_opaque_foreground_is_not_shown(host, ui, scan, dropped):
    from DGSTSegmentLib.panel.sliceviews import bringIntoView, isShown, sliceWidgets

    for widget in sliceWidgets():
        composite = widget.mrmlSliceCompositeNode()
        composite.SetBackgroundVolumeID(scan.GetID())
        composite.SetForegroundVolumeID(dropped.GetID())
        composite.SetForegroundOpacity(1.0)
    host.process_events()
    assert not ui.otherScanWidget.isHidden()
    bringIntoView(scan)
    assert isShown(scan)


def test_views_that_lie_outside_of_the_scan_go_to_it(host, scan):
    from DGSTSegmentLib.panel import bridge
    from DGSTSegmentLib.panel.review import jumpTo
    from DGSTSegmentLib.panel.sliceviews import bringIntoView, sliceWidgets

    drop(host)
    middle = bridge.toRas(bridge.geometryOf(scan).corners().mean(axis=0))
    for at in (middle, [x + 5000.0 for x in middle]):
        jumpTo(at)
        for widget in sliceWidgets():
            widget.mrmlSliceCompositeNode().SetBackgroundVolumeID(None)
        bringIntoView(scan)
        for widget in sliceWidgets():
            to_ras = widget.mrmlSliceNode().GetSliceToRAS()
            assert all(abs(to_ras.GetElement(row, 3) - middle[row]) < 5 for row in range(3))


@pytest.mark.parametrize("taken", ["New lymph node", "Paint", "Find"])
def test_the_scan_is_shown_before_something_is_painted_or_found_in_it(host, panel, ui, logic, scan, taken):
    ui.newNodeButton.click()
    ui.segmentEditor.setActiveEffectByName("")
    drop(host)
    if taken == "Paint":
        ui.segmentEditor.setActiveEffectByName("Paint")
    else:
        (ui.findButton if taken == "Find" else ui.newNodeButton).click()
    assert set(backgrounds()) == {scan.GetID()}
    host.process_events()
    assert panel.annotate.editor.isArmed == (taken != "Find") and ui.otherScanWidget.isHidden()


def test_opening_the_case_at_work_on_shows_it(host, panel, ui, logic, scan, dropped):
    mark(logic, scan, ball())
    ui.addCaseButton.click()
    assert panel.state.scan is scan and set(backgrounds()) == {dropped.GetID()}
    ui.caseTable.setCurrentCell(0, 0)
    ui.openCaseButton.click()
    host.process_events()
    assert set(backgrounds()) == {scan.GetID()} and ui.otherScanWidget.isHidden()


def test_the_brush_is_put_down_when_another_ct_takes_the_views(host, panel, ui, scan):
    ui.newNodeButton.click()
    assert panel.annotate.editor.isArmed
    drop(host)
    assert not panel.annotate.editor.isArmed


def test_next_shows_the_scan_of_the_findings(host, panel, ui, review):
    drop(host)
    ui.nextButton.click()
    assert set(backgrounds()) == {panel.state.scan.GetID()}


def test_what_views_show_is_no_work_while_another_module_is_shown(host, panel, ui, scan, monkeypatch):
    host.leave()
    host.process_events()
    looks = []
    monkeypatch.setattr(panel.shown, "refresh", lambda: looks.append(1))
    drop(host)
    assert looks == []


def test_all_views_that_change_in_a_row_are_one_look(host, panel, ui, scan, monkeypatch):
    from DGSTSegmentLib.panel import shownscan

    looks, otherThan = [], shownscan.otherThan
    monkeypatch.setattr(shownscan, "otherThan", lambda scan: looks.append(1) or otherThan(scan))
    drop(host)
    assert looks == [1] and not ui.otherScanWidget.isHidden()


def test_views_of_a_new_layout_are_heard_too(host, panel, ui, scan):
    import slicer

    from DGSTSegmentLib.panel import bridge

    manager = slicer.app.layoutManager()
    old = manager.layout
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpGreenSliceView)
    host.process_events()
    green = manager.sliceWidget("Green").mrmlSliceCompositeNode()
    try:
        assert backgrounds() == [scan.GetID()]
        green.SetBackgroundVolumeID(bridge.addVolume(tiny_case(1)[0], "Second CT").GetID())
        host.process_events()
        assert not ui.otherScanWidget.isHidden(), "the views that still have the scan are not on the screen"
    finally:
        manager.setLayout(old)


def test_a_report_pictures_the_scan_whatever_the_views_show(host, review, ui, tmp_path):
    from preview_host import answers

    pages = []
    for name in ("scan.html", "another.html"):
        answers.give(str(tmp_path / name))
        save_as(ui, "HTML", "Model's findings")
        pages.append(re.findall(r'src="(data:image/png;base64,[^"]+)"', (tmp_path / name).read_text(encoding="utf-8")))
        drop(host)
    assert pages[0] and pages[0] == pages[1]
