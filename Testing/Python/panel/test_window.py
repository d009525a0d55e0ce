"""With which window and level a case is shown when it is opened from the training set."""

from __future__ import annotations

import json

import pytest

from .conftest import ball, mark


def opened_again(host, panel, ui, window):
    """Window, level and whether Slicer computes them, of the only case in an empty scene."""
    host.close_scene()
    ui.caseTable.selectRow(0)
    ui.openCaseButton.click()
    host.process_events()
    display = panel.state.scan.GetScalarVolumeDisplayNode()
    assert not display.GetAutoWindowLevel()
    assert (display.GetWindow(), display.GetLevel()) == window


def test_a_case_of_which_no_window_is_known_opens_in_that_of_soft_tissue(host, panel, ui, logic, scan):
    mark(logic, scan, ball())
    ui.addCaseButton.click()
    assert logic.trainingSet.cases()[0].window == []
    opened_again(host, panel, ui, (400, 40))


def test_the_window_that_the_user_chose_stays_with_the_case(host, panel, ui, logic, scan):
    mark(logic, scan, ball())
    display = scan.GetScalarVolumeDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(250, 60)
    ui.addCaseButton.click()
    opened_again(host, panel, ui, (250, 60))


@pytest.mark.parametrize("window", ["wide", [400], [0, 40], ["400", "40"], None])
def test_a_window_that_is_none_is_taken_as_unknown(host, panel, ui, logic, scan, window):
    mark(logic, scan, ball())
    ui.addCaseButton.click()
    (file,) = logic.study.folder.glob("cases/*/case.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "window": window}))
    opened_again(host, panel, ui, (400, 40))
