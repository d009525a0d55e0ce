"""A fine-tuning that is stopped, cancelled, killed or left, and what goes on from there."""

from __future__ import annotations

import json

import pytest

from .conftest import start, trained, until


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

    start(ui, 200)
    until(host, lambda: any((logic.study.folder / "runs" / "0001").glob("checkpoint*")) or not logic.engine.busy)
    assert logic.engine.busy, "the run ended before it could be killed"
    logic.engine.kill()
    until(host, lambda: not logic.engine.busy)
    assert len(answers.shown) == 1 and "ended unexpectedly" in answers.shown[0] and "Resume" in answers.shown[0]
    assert ui.resumeButton.isVisibleTo(ui.finetuneSection)
    ui.resumeButton.click()
    until(host, lambda: panel.finetune.finishedRun is not None)
    assert panel.finetune.plot.points("loss")[0][0] > 1, "it went on where it was saved"
    assert panel.finetune.plot.points("loss")[-1][0] == 200


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


def test_a_run_that_is_stopped_before_its_scans_were_read_leaves_nothing_to_resume(
    host, panel, ui, logic, cases, tiny_base
):
    from preview_host import answers

    start(ui, 100000)
    ui.stopAndKeepButton.click()
    until(host, lambda: not logic.engine.busy)
    assert not logic.study.runs()
    assert "no model yet" in answers.shown[0] and "nothing to resume" in answers.shown[0]
    assert not ui.resumeButton.isVisibleTo(ui.finetuneSection) and ui.startButton.enabled
