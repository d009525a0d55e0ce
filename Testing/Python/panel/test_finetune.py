"""Section 3: starting, watching, stopping, cancelling, losing and resuming a fine-tuning, and choosing a model."""

from __future__ import annotations

import json
import time

from DGSTSegmentLib.dgst.registry import LAYERS, RULES, STRATEGIES

from ..conftest import tiny_case
from .conftest import mark, open_scan, start, trained, until


def test_nothing_is_learned_from_an_empty_training_set(ui):
    assert not ui.startButton.enabled and "Add a scan" in ui.startButton.toolTip


def test_the_panels_fields_are_the_request(ui, panel):
    ui.strategySelector.setCurrentIndex(ui.strategySelector.findData("static"))
    ui.gammaSpinBox.value = 8
    ui.layersSelector.setCurrentIndex(ui.layersSelector.findData("encoder"))
    ui.updateSelector.setCurrentIndex(ui.updateSelector.findData("sgd"))
    ui.learningRateSpinBox.value = 0.05
    ui.minutesSpinBox.value = 12
    ui.heldOutSpinBox.value = 1
    ui.seedSpinBox.value = 3
    assert panel.finetune.options() == {
        "strategy": "static",
        "gamma": 8,
        "layers": "encoder",
        "update": "sgd",
        "lr": 0.05,
        "minutes": 12,
        "holdout": 1,
        "seed": 3,
    }
    ui.stepsSpinBox.value = 40
    assert panel.finetune.options()["steps"] == 40 and "minutes" not in panel.finetune.options()


def test_a_learning_rate_does_not_outlive_the_rule_or_method_that_it_was_given_for(ui, panel):
    for selector, other in ((ui.updateSelector, "rms"), (ui.strategySelector, "lora")):
        ui.learningRateSpinBox.value = 0.05
        assert panel.finetune.options()["lr"] == 0.05
        selector.setCurrentIndex(selector.findData(other))
        assert panel.finetune.options()["lr"] is None and ui.learningRateSpinBox.value == 0


def test_what_needs_no_gamma_does_not_offer_it(ui, panel):
    ui.strategySelector.setCurrentIndex(ui.strategySelector.findData("full"))
    assert not {"gamma", "layers", "update"} & panel.finetune.options().keys()
    assert not any(one.enabled for one in (ui.gammaSpinBox, ui.layersSelector, ui.updateSelector))
    assert "Every weight" in ui.strategyLabel.text


def test_the_rules_and_layers_of_the_engine_are_offered_and_fit_into_a_narrow_panel(host, ui):
    rules, layers = (
        [selector.itemData(n) for n in range(selector.count)] for selector in (ui.updateSelector, ui.layersSelector)
    )
    assert (rules, layers) == (list(RULES), ["", *LAYERS])
    ui.advancedSection.collapsed = False
    host.process_events()
    assert ui.advancedSection.minimumSizeHint().width() <= 400


def test_dgst_comes_first_and_every_method_says_what_it_does(ui):
    said = []
    for n, (name, info) in enumerate(STRATEGIES.items()):
        ui.strategySelector.setCurrentIndex(n)
        assert ui.strategySelector.itemData(n) == name and ui.strategyLabel.toolTip == info.description
        said.append(ui.strategyLabel.text)
    assert ui.strategySelector.itemData(0) == "dgst" and ui.strategySelector.count == len(said) == len(set(said))


def test_a_run_shows_progress_and_ends_in_a_choice(host, panel, ui, logic, cases, tiny_base):
    ui.heldOutSpinBox.value = 1
    start(ui, 12)
    assert ui.trainingWidget.isVisibleTo(ui.finetuneSection)
    until(host, lambda: panel.finetune.finishedRun is not None)
    loss, held_out = panel.finetune.plot.points("loss"), panel.finetune.plot.points("held-out Dice")
    assert [step for step, _ in loss] == list(range(1, 13))
    assert [step for step, _ in held_out] == [0, 12]
    result = json.loads((panel.finetune.finishedRun / "result.json").read_text())
    assert f"{result['held_out']['dice_after']:.2f}" in ui.resultLabel.text
    assert "Held out from training: 1" in ui.resultLabel.text
    assert logic.models.current.spec == tiny_base, "no model comes into use without the user's word"
    assert panel.nextStep.step().button == "" and "One scan says little" in ui.resultLabel.text


def test_unsaved_marks_are_asked_about_before_learning(host, panel, ui, logic, scan, tiny_base):
    from preview_host import answers

    mask = tiny_case(0)[1].array > 0
    mark(logic, scan, mask)
    ui.addCaseButton.click()
    mark(logic, scan, mask)
    answers.give("Yes")
    start(ui, 2)
    assert "does not have the latest marks of Tiny scan" in answers.asked[0]
    assert [case.marked for case in logic.trainingSet.cases()] == [2]
    until(host, lambda: not logic.engine.busy)


def test_marks_and_refusals_that_are_in_no_case_are_asked_about_too(host, panel, ui, logic, cases, tiny_base):
    from preview_host import answers

    from DGSTSegmentLib.panel import bridge, lymphnode, roles
    from DGSTSegmentLib.panel.placed import PlacedMask

    new = open_scan(panel, host, tiny_case(2)[0], "New scan")
    node = roles.makeNode(new, roles.REJECTED, "No lymph nodes")
    marked = PlacedMask.of(tiny_case(2)[1].array > 0)
    bridge.setSegmentMask(node, lymphnode.addLymphNode(node), marked, bridge.geometryOf(new))
    before = len(logic.trainingSet.cases())
    assert panel.nextStep.step().button == "addCaseButton"
    answers.give("Yes")
    start(ui, 2)
    assert "the latest marks of New scan" in answers.asked[0]
    assert len(logic.trainingSet.cases()) == before + 1
    until(host, lambda: not logic.engine.busy)


def test_steps_take_the_place_of_minutes_and_the_panel_says_so(ui, panel):
    assert ui.minutesSpinBox.enabled
    panel.state.parameters.steps = 30
    assert not ui.minutesSpinBox.enabled and "steps" in ui.minutesSpinBox.toolTip
    panel.state.parameters.steps = 0
    assert ui.minutesSpinBox.enabled


def test_slicer_stays_responsive_and_no_handler_waits_while_the_model_learns(
    host, panel, ui, logic, cases, tiny_base, monkeypatch
):
    def waits(*_args, **_kwargs):
        raise AssertionError("a handler waited while the model was learning")

    start(ui, 100000)
    until(host, lambda: trained(panel) >= 1)
    with monkeypatch.context() as patched:
        import qt

        patched.setattr(time, "sleep", waits)
        for name in ("waitForFinished", "waitForReadyRead", "waitForBytesWritten", "waitForStarted"):
            patched.setattr(qt.QProcess, name, waits)
        seen = trained(panel)
        while trained(panel) < seen + 20:
            host.process_events()
        ui.stopAndKeepButton.click()
        while logic.engine.busy:
            host.process_events()
    assert panel.finetune.finishedRun is not None


def test_a_scan_can_be_marked_while_the_model_learns(host, panel, ui, logic, scan, cases, tiny_base):
    from DGSTSegmentLib.panel import bridge, roles

    start(ui, 100000)
    until(host, lambda: trained(panel) >= 1)
    ui.newNodeButton.click()
    mark(logic, scan, tiny_case(0)[1].array > 0)
    assert len(bridge.segmentIds(roles.nodeOf(scan, roles.ANNOTATION))) == 2
    assert not ui.findButton.enabled and "Fine-tuning is still going on" in ui.findButton.toolTip
    ui.stopAndKeepButton.click()
    until(host, lambda: not logic.engine.busy)
    assert ui.findButton.enabled


def test_the_scan_may_go_and_the_scene_close_while_the_model_learns(host, panel, ui, logic, scan, cases, tiny_base):
    import slicer

    start(ui, 60)
    until(host, lambda: trained(panel) >= 1)
    slicer.mrmlScene.RemoveNode(scan)
    host.close_scene()
    until(host, lambda: panel.finetune.finishedRun is not None)
    assert ui.resultFrame.isVisibleTo(ui.finetuneSection)
    assert len(logic.study.runs()) == 1


def test_the_end_of_a_run_is_told_while_another_module_is_shown(host, panel, ui, logic, cases, tiny_base, monkeypatch):
    import slicer

    said = []
    start(ui, 3)
    host.leave()
    monkeypatch.setattr(slicer.util, "showStatusMessage", lambda message, duration=0: said.append(message))
    until(host, lambda: panel.finetune.finishedRun is not None)
    assert any("the fine-tuning has ended" in message for message in said)
