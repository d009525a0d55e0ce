"""The whole story by clicks and keys, with the starter and a made-up scan: from an open CT to reviewed findings."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from DGSTSegmentLib.imaging.files import read_segmentation
from DGSTSegmentLib.imaging.phantoms import make_phantom

from .conftest import find, press, save_as, until

SEED = 7
STEPS = 4


@pytest.fixture
def phantom():
    return make_phantom("target", SEED)


def largest_node(nodes):
    return int(np.bincount(nodes.array[nodes.array > 0]).argmax())


def ras_of(nodes, value):
    from DGSTSegmentLib.panel import bridge

    kji = np.argwhere(nodes.array == value).mean(axis=0).round()
    return bridge.toRas(nodes.geometry.to_world(kji))


def test_from_an_open_ct_to_reviewed_findings(host, panel, ui, logic, phantom, tmp_path):
    import slicer
    from preview_host import answers
    from preview_host.probes import click_in_slice, pixels

    from DGSTSegmentLib.panel import bridge, roles

    # 1. a CT is opened and chosen
    scan = bridge.addVolume(phantom.ct, "Chest")
    ui.inputVolumeSelector.setCurrentNode(scan)
    slicer.util.setSliceViewerLayers(background=scan, fit=True)
    until(host, lambda: not logic.engine.busy)
    assert panel.nextStep.step().button == "findButton"

    # 2. a lymph node is painted
    value = largest_node(phantom.nodes)
    point = ras_of(phantom.nodes, value)
    ui.newNodeButton.click()
    for name in ("Red", "Green", "Yellow"):
        slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode().JumpSliceByCentering(*point)
    click_in_slice("Red", point)
    host.process_events()
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    painted = bridge.unionMask(annotation, scan)
    assert painted[phantom.nodes.array == value].any()
    hu = phantom.ct.array[painted]
    assert hu.min() >= -50 and hu.max() <= 250, "the brush sticks to soft tissue"

    # 3. it becomes a case of the training set
    until(host, lambda: ui.addCaseButton.enabled)
    assert ui.addCaseButton.text == "Add to training set"
    ui.addCaseButton.click()
    assert ui.caseTable.rowCount == 1 and ui.caseTable.item(0, 1).text() == "1"
    assert not ui.addCaseButton.enabled

    # 4. the starter learns for a few steps, and is stopped and kept
    ui.stepsSpinBox.value = 2000
    ui.startButton.click()
    assert not ui.startButton.isVisibleTo(ui.finetuneSection)
    until(host, lambda: len(panel.finetune.plot.points("loss")) >= STEPS)
    assert ui.trainingProgressBar.maximum == 2000 and ui.trainingProgressBar.value >= 1
    assert "loss" in ui.trainingLabel.text
    ui.stopAndKeepButton.click()
    until(host, lambda: panel.finetune.finishedRun is not None)
    assert logic.models.current.spec == "starter"
    assert "Nothing was measured" in ui.resultLabel.text
    ui.useModelButton.click()
    assert logic.models.current.title == "Adapted model 1 (demonstration, trained on phantoms)"

    # 5. it finds lymph nodes, and they are walked through by keyboard
    before = bridge.unionMask(annotation, scan)
    plain = pixels("Red").astype(int)
    prediction = find(host, panel)
    np.testing.assert_array_equal(bridge.unionMask(annotation, scan), before)
    assert prediction.role == roles.AFTER and len(prediction.findings()) > 2
    assert np.abs(pixels("Red").astype(int) - plain).max() > 30
    first = panel.review.table.chosen
    assert first
    press(host, "a")
    press(host, "n")
    second = panel.review.table.chosen
    assert second not in (0, first)
    press(host, "x")
    states = {item.number: item.state for item in prediction.findings()}
    assert (states[first], states[second]) == ("accepted", "rejected")

    # 6. the decisions become annotation, here of the node that was painted, and known background, and are taken back
    ui.applyButton.click()
    mask = bridge.segmentMask(prediction.node, prediction.finding(first).segmentId, scan)
    ids = bridge.segmentIds(annotation)
    assert len(ids) == 1
    np.testing.assert_array_equal(bridge.unionMask(annotation, scan), before | mask)
    assert logic.trainingSet.cases()[0].rejected == 1
    ui.segmentEditor.undo()
    host.process_events()
    np.testing.assert_array_equal(bridge.unionMask(annotation, scan), before)
    assert [item.number for item in panel.review.review.pending()] == [first]
    until(host, lambda: ui.applyButton.enabled)  # voxels that change are looked at when the brush has rested
    ui.applyButton.click()

    # 7. findings are saved
    answers.give(str(tmp_path / "found.seg.nrrd"), str(tmp_path / "found.csv"), str(tmp_path / "report.html"))
    save_as(ui, "Slicer")
    save_as(ui, "CSV")
    save_as(ui, "HTML")
    numbers = panel.review.table.numbers
    saved = read_segmentation(tmp_path / "found.seg.nrrd")
    assert len(np.unique(saved.array)) - 1 == len(numbers) - 1, "all but the rejected one"
    with open(tmp_path / "found.csv", newline="") as file:
        assert sorted(int(row["number"]) for row in csv.DictReader(file)) == sorted(numbers)
    assert (tmp_path / "report.html").read_text().count("<figure>") == min(len(numbers), 12)

    # 8. the scene is saved, closed and opened again, and everything is back
    decisions = {item.number: item.state for item in prediction.findings()}
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    host.close_scene()
    assert panel.state.scan is None and ui.findingsTable.rowCount == 0
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    until(host, lambda: panel.state.scan is not None)
    restored = panel.review.review.prediction
    assert {item.number: item.state for item in restored.findings()} == decisions
    assert panel.review.table.numbers == numbers
    assert not panel.review.review.pending()
    assert logic.trainingSet.caseOf(panel.state.scan) is not None
    reopened = roles.nodeOf(panel.state.scan, roles.ANNOTATION)
    assert len(bridge.segmentIds(reopened)) == 1
