"""What cannot be used says why."""

from __future__ import annotations

import pytest

from .conftest import until

BUSY = "is still going on; wait until it is done, or stop it."


def test_without_a_scan_the_ways_to_mark_it_say_so(ui, panel):
    assert panel.state.scan is None
    for widget in (ui.markedRadio, ui.regionRadio, ui.allRadio, ui.placeBoxButton):
        assert not widget.enabled and "Choose a CT scan first." in widget.toolTip
    assert ui.editorHintLabel.text == "Choose a CT scan first."


def test_an_editor_without_an_annotation_says_how_to_begin(ui, panel, scan):
    ui.annotateSection.collapsed = False
    assert not ui.segmentEditor.enabled and not ui.editorHintLabel.isHidden()
    assert ui.editorHintLabel.text == 'Press "New lymph node" to begin painting.'
    ui.newNodeButton.click()
    assert ui.segmentEditor.enabled and ui.editorHintLabel.isHidden()
    assert ui.allRadio.enabled and ui.allRadio.toolTip.startswith("Whatever is not marked in this scan")
    assert "Choose" not in ui.allRadio.toolTip


def test_while_the_engine_is_at_work_models_and_study_say_so(host, ui, logic):
    widgets = (ui.addModelButton, ui.modelSelector, ui.studyFolderButton)
    toolTips = [widget.toolTip for widget in widgets]
    logic.describe("starter")
    host.process_events()
    assert logic.engine.busy
    assert all(not widget.enabled and BUSY in widget.toolTip for widget in widgets)
    until(host, lambda: not logic.engine.busy)
    assert all(widget.enabled for widget in widgets)
    assert [widget.toolTip for widget in widgets] == toolTips and all(toolTips)


@pytest.mark.parametrize("strategy", ["dgst", "full"])
def test_what_only_some_methods_use_says_which(ui, panel, strategy):
    ui.strategySelector.setCurrentIndex(ui.strategySelector.findData(strategy))
    for widget in (ui.gammaSpinBox, ui.layersSelector, ui.updateSelector):
        assert widget.enabled == (strategy == "dgst")
        assert ("Only for methods that choose single weights" in widget.toolTip) == (strategy == "full")
