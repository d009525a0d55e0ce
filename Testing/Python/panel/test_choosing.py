"""The end of a fine-tuning: what was measured, and the choice between old and new."""

from __future__ import annotations

import json

import pytest

from .conftest import start, until


@pytest.fixture
def entry(logic):
    """The starter's line of the list, and one of a model that was fine-tuned from it."""
    from dataclasses import replace

    from DGSTSegmentLib.panel.models import ModelEntry

    starter = logic.models.entries()[0]
    base = {"name": "starter", "fingerprint": starter.card.fingerprint}
    card = replace(starter.card, name="Tuned", base=base, fingerprint="of the delta")
    return starter, ModelEntry("tuned", card, "study")


def measured(before, after, cases=2, complete=True, findings=(3, 3)):
    """A run's result as if so much had been measured."""
    one = {"name": "Scan", "before": {"dice": before}, "after": {"dice": after}}
    held_out = {"cases": [one] * cases, "dice_before": before, "dice_after": after, "complete": complete}
    held_out |= {"findings_before": findings[0], "findings_after": findings[1]}
    return {"steps": 5, "weights_changed": 0.01, "held_out": held_out}


def test_a_model_is_recommended_only_where_enough_was_measured(entry):
    from DGSTSegmentLib.panel.comparison import comparison, recommended

    starter, tuned = entry
    assert recommended(starter, tuned, measured(0.5, 0.6)) is True
    assert recommended(starter, tuned, measured(0.6, 0.5)) is False
    assert recommended(starter, tuned, measured(0.6, 0.6)) is None
    assert recommended(starter, tuned, measured(0.5, 0.6, cases=1)) is None
    assert recommended(starter, tuned, measured(0.5, 0.6, complete=False)) is None
    assert recommended(tuned, tuned, measured(0.5, 0.6)) is None
    same = comparison(starter, tuned, measured(1.0, 1.0), "")
    assert "measured the same" in same and "worse" not in same
    flood = comparison(starter, tuned, measured(0.8, 1.0, complete=False, findings=(1, 65)), "")
    assert "65" in flood and "counted, not judged" in flood
    assert "was not measured on these scans" in comparison(tuned, tuned, measured(0.5, 0.6), "")


def test_going_back_to_the_previous_model_is_one_choice(host, panel, ui, logic, cases, tiny_base):
    start(ui, 3)
    until(host, lambda: panel.finetune.finishedRun is not None)
    ui.useModelButton.click()
    assert logic.models.current.title.startswith("Adapted model 1")
    assert "fine-tuned from tiny" in ui.cardLabel.text
    index = ui.modelSelector.findData(tiny_base)
    ui.modelSelector.setCurrentIndex(index)
    panel.scan.onModelChosen(index)
    assert logic.models.current.spec == tiny_base
    assert ui.modelSelector.findData(str(logic.study.runs()[0].folder)) >= 0, "the version stays in the list"


def test_keeping_the_previous_model_keeps_the_new_version_in_the_list(host, panel, ui, logic, cases, tiny_base):
    start(ui, 3)
    until(host, lambda: panel.finetune.finishedRun is not None)
    ui.keepPreviousButton.click()
    assert logic.models.current.spec == tiny_base
    assert any(entry.origin == "study" for entry in logic.models.entries())
    assert not ui.resultFrame.isVisibleTo(ui.finetuneSection)


def test_keeping_the_previous_model_goes_back_to_it_where_another_one_came_into_use(
    host, panel, ui, logic, cases, tiny_base
):
    start(ui, 3)
    until(host, lambda: panel.finetune.finishedRun is not None)
    logic.models.use(str(panel.finetune.finishedRun))
    assert panel.finetune.finishedRun is not None, "the user has not chosen yet"
    ui.keepPreviousButton.click()
    assert logic.models.current.spec == tiny_base and panel.finetune.finishedRun is None


@pytest.mark.parametrize("chosen", ["the new one", "the previous one"])
def test_choosing_in_the_list_of_models_is_the_choice(host, panel, ui, logic, cases, tiny_base, chosen):
    start(ui, 3)
    until(host, lambda: panel.finetune.finishedRun is not None)
    spec = str(panel.finetune.finishedRun) if chosen == "the new one" else tiny_base
    ui.modelSelector.setCurrentIndex(ui.modelSelector.findData(spec))
    panel.scan.onModelChosen(ui.modelSelector.currentIndex)
    assert logic.models.current.spec == spec and panel.finetune.finishedRun is None
    assert not ui.resultFrame.isVisibleTo(ui.finetuneSection)
    assert "choose one" not in ui.nextStepLabel.text


def test_the_comparison_of_an_earlier_run_can_be_seen_again(host, panel, ui, logic, cases, tiny_base):
    from preview_host import answers

    assert not ui.earlierButton.isVisibleTo(ui.finetuneSection)
    ui.heldOutSpinBox.value = 1
    start(ui, 3)
    until(host, lambda: panel.finetune.finishedRun is not None)
    folder = panel.finetune.finishedRun
    ui.useModelButton.click()
    assert ui.earlierButton.isVisibleTo(ui.finetuneSection)
    panel.finetune.earlier.menu.aboutToShow.emit()
    (action,) = ui.earlierButton.menu().actions()
    action.trigger()
    result = json.loads((folder / "result.json").read_text())
    assert f"{result['held_out']['dice_after']:.2f}" in answers.shown[-1]
    assert "Adapted model 1" in answers.shown[-1] and "is in use now" in answers.shown[-1]
    assert "was not measured" not in answers.shown[-1], "the base was in use when the run began"
    damages = (
        ({}, "is damaged (it does not say model"),
        ({**result, "held_out": 3}, "is damaged; nothing of it can be shown"),
    )
    for damaged, sentence in damages:
        (folder / "result.json").write_text(json.dumps(damaged))
        action.trigger()
        assert f"result.json {sentence}" in answers.shown[-1]


def test_where_nothing_could_be_held_out_it_is_said_plainly(host, panel, ui, cases, tiny_base):
    ui.heldOutSpinBox.value = 0
    start(ui, 3)
    until(host, lambda: panel.finetune.finishedRun is not None)
    assert "Nothing was measured" in ui.resultLabel.text
