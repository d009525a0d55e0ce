"""Section 3: starting, watching, stopping, cancelling, losing and resuming a fine-tuning, and choosing a model."""

from __future__ import annotations

import json
import time

import pytest

from DGSTSegmentLib.dgst.registry import LAYERS, RULES, STRATEGIES
from DGSTSegmentLib.imaging.files import write_volume
from DGSTSegmentLib.training.study import ANNOTATION_FILE, IMAGE_FILE, StudyCase

from ..conftest import tiny_case
from .conftest import mark, open_scan, until


@pytest.fixture
def cases(logic):
    """Three tiny scans in the training set."""
    for seed in range(3):
        image, annotation = tiny_case(seed)
        writers = {
            IMAGE_FILE: lambda path, image=image: write_volume(image, path),
            ANNOTATION_FILE: lambda path, annotation=annotation: write_volume(annotation, path),
        }
        logic.study.add(StudyCase("", f"Scan {seed}", "all", marked=2), writers)
    logic.trainingSet.changed()


@pytest.fixture
def tiny_base(logic, tiny_models):
    logic.models.use(tiny_models[0])
    return tiny_models[0]


def start(ui, steps):
    ui.stepsSpinBox.value = steps
    ui.startButton.click()


def trained(panel):
    return len(panel.finetune.plot.points("loss")) if panel.finetune.plot is not None else 0


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


def test_a_run_that_another_slicer_trains_is_neither_resumed_nor_removed(host, panel, ui, logic, cases, tiny_base):
    import subprocess
    import sys

    start(ui, 100000)
    until(host, lambda: trained(panel) >= 3)
    ui.stopAndKeepButton.click()
    until(host, lambda: panel.finetune.finishedRun is not None)
    folder = logic.study.runs()[-1].folder
    assert logic.resumableRun() is not None and not (folder / "lock").exists()
    hold = "import sys; from DGSTSegmentLib.locks import try_lock; file = open(sys.argv[1], 'ab'); "
    hold += "print(try_lock(file), flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(folder / "lock")]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline().strip() == "True"
    assert logic.resumableRun() is None
    other.communicate()
    assert logic.resumableRun() is not None


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
    (folder / "result.json").write_text("{}")
    action.trigger()
    assert "is damaged; nothing of it can be shown" in answers.shown[-1]


def test_where_nothing_could_be_held_out_it_is_said_plainly(host, panel, ui, cases, tiny_base):
    ui.heldOutSpinBox.value = 0
    start(ui, 3)
    until(host, lambda: panel.finetune.finishedRun is not None)
    assert "Nothing was measured" in ui.resultLabel.text


def test_stop_and_keep_gives_a_model_that_can_go_on(host, panel, ui, logic, cases, tiny_base):
    start(ui, 100000)
    until(host, lambda: trained(panel) >= 3)
    ui.stopAndKeepButton.click()
    until(host, lambda: panel.finetune.finishedRun is not None)
    assert "stopped early" in ui.resultLabel.text
    assert ui.resumeButton.isVisibleTo(ui.finetuneSection)
    done = json.loads((panel.finetune.finishedRun / "result.json").read_text())["steps"]
    ui.resumeButton.click()
    until(host, lambda: trained(panel) >= 2)
    assert panel.finetune.plot.points("loss")[0][0] == done + 1
    ui.stopAndKeepButton.click()
    until(host, lambda: not logic.engine.busy)


def test_cancel_asks_and_leaves_nothing(host, panel, ui, logic, cases, tiny_base):
    from preview_host import answers

    start(ui, 100000)
    until(host, lambda: trained(panel) >= 1)
    answers.give("No")
    ui.cancelButton.click()
    assert logic.engine.busy
    answers.give("Yes")
    ui.cancelButton.click()
    until(host, lambda: not logic.engine.busy)
    assert logic.study.runs() == []
    assert not ui.resultFrame.isVisibleTo(ui.finetuneSection)
    assert not ui.resumeButton.isVisibleTo(ui.finetuneSection)
    assert ui.startButton.isVisibleTo(ui.finetuneSection)


@pytest.fixture
def stuck(host, logic, monkeypatch):
    """Call it, and the engine hears nothing any more; a user waits for it a moment only."""
    import os
    import signal

    from DGSTSegmentLib.panel import endnow

    if not hasattr(signal, "SIGSTOP"):
        pytest.skip("processes are not stopped on this system")
    monkeypatch.setattr(endnow, "PATIENCE_MSEC", 50)
    return lambda: os.kill(logic.engine.pid, signal.SIGSTOP)


@pytest.mark.parametrize("way", ["cancelButton", "stopAndKeepButton"])
def test_an_engine_that_does_not_listen_can_be_ended(host, panel, ui, logic, cases, tiny_base, stuck, way):
    from preview_host import answers

    start(ui, 100000)
    until(host, lambda: trained(panel) >= 3 and any((logic.study.folder / "runs" / "0001").glob("checkpoint*")))
    usual = ui.cancelButton.text
    stuck()
    answers.give("Yes")
    getattr(ui, way).click()
    assert not ui.cancelButton.enabled
    until(host, lambda: ui.cancelButton.enabled)
    assert ui.cancelButton.text == "End now" and logic.engine.busy
    if way == "stopAndKeepButton":
        assert not answers.asked
    else:
        assert len(answers.asked) == 1
    ui.cancelButton.click()
    until(host, lambda: not logic.engine.busy)
    assert len(answers.asked) == len(answers.shown) == 1 and "The engine was ended" in answers.shown[0]
    assert ("dropped" in answers.shown[0], len(logic.study.runs())) == (
        (True, 0) if way == "cancelButton" else (False, 1)
    )
    assert ("Resume" in answers.shown[0]) == (way == "stopAndKeepButton")
    assert ui.cancelButton.text == usual and ui.startButton.isVisibleTo(ui.finetuneSection)


def test_a_search_by_an_engine_that_does_not_listen_can_be_ended(host, panel, ui, logic, scan, tiny_models, stuck):
    from preview_host import answers

    logic.describe(logic.models.current.spec).wait(60)
    ui.findButton.click()
    stuck()
    ui.stopFindingButton.click()
    until(host, lambda: ui.stopFindingButton.text == "End now" or not logic.engine.busy)
    ui.stopFindingButton.click()
    until(host, lambda: not logic.engine.busy)
    assert "The engine was ended; nothing was changed" in answers.shown[0] and ui.findButton.enabled
    assert not ui.findProgressWidget.isVisibleTo(ui.scanSection) and ui.stopFindingButton.text != "End now"


def test_resuming_a_kept_run_makes_a_new_version_and_leaves_the_kept_one_as_it_is(
    host, panel, ui, logic, cases, tiny_base
):
    from preview_host import answers

    start(ui, 100000)
    until(host, lambda: trained(panel) >= 2)
    ui.stopAndKeepButton.click()
    until(host, lambda: panel.finetune.finishedRun is not None)
    kept = panel.finetune.finishedRun
    ui.useModelButton.click()
    delta = (kept / "delta.safetensors").read_bytes()
    ui.resumeButton.click()
    until(host, lambda: trained(panel) >= 2)
    answers.give("Yes")
    ui.cancelButton.click()
    until(host, lambda: not logic.engine.busy)
    assert [run.folder for run in logic.study.runs()] == [kept]
    ui.resumeButton.click()
    until(host, lambda: trained(panel) >= 2)
    ui.stopAndKeepButton.click()
    until(host, lambda: panel.finetune.finishedRun is not None)
    assert panel.finetune.finishedRun != kept
    assert (kept / "delta.safetensors").read_bytes() == delta
    assert logic.models.current.spec == str(kept)


def test_a_killed_engine_is_told_once_and_the_run_goes_on_to_the_same_end(host, panel, ui, logic, cases, tiny_base):
    from preview_host import answers

    start(ui, 400)
    until(host, lambda: any((logic.study.folder / "runs" / "0001").glob("checkpoint*")) or not logic.engine.busy)
    assert logic.engine.busy, "the run ended before it could be killed"
    logic.engine.kill()
    until(host, lambda: not logic.engine.busy)
    assert len(answers.shown) == 1 and "ended unexpectedly" in answers.shown[0] and "Resume" in answers.shown[0]
    assert ui.resumeButton.isVisibleTo(ui.finetuneSection)
    ui.resumeButton.click()
    until(host, lambda: panel.finetune.finishedRun is not None)
    assert panel.finetune.plot.points("loss")[0][0] > 1, "it went on where it was saved"
    assert panel.finetune.plot.points("loss")[-1][0] == 400


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

    new = open_scan(panel, host, tiny_case(2)[0], "New scan")
    node = roles.makeNode(new, roles.REJECTED, "No lymph nodes")
    box = tuple((0, n) for n in tiny_case(2)[1].array.shape)
    bridge.setSegmentMask(node, lymphnode.addLymphNode(node), tiny_case(2)[1].array > 0, box, bridge.geometryOf(new))
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


def test_a_module_reloaded_during_a_run_offers_to_resume_it(host, panel, ui, logic, cases, tiny_base):
    start(ui, 100000)
    until(host, lambda: any((logic.study.folder / "runs" / "0001").glob("checkpoint*")))
    reloaded = host.reload_module()
    assert not reloaded.logic.engine.busy
    assert reloaded.logic.resumableRun() is not None
    reloaded.panel.ui.finetuneSection.collapsed = False
    assert reloaded.panel.ui.resumeButton.isVisibleTo(reloaded.panel.ui.finetuneSection)
    reloaded.panel.ui.resumeButton.click()
    until(host, lambda: trained(reloaded.panel) >= 1)
    reloaded.panel.ui.stopAndKeepButton.click()
    until(host, lambda: not reloaded.logic.engine.busy)
