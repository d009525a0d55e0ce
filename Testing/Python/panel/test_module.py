"""The module as Slicer sees it: what starting it loads, its own test, and its life from scene to scene."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from ..conftest import tiny_case
from .conftest import MODULE, mark, open_scan

HOST = Path(__file__).resolve().parents[2] / "Host"


def test_starting_the_module_imports_neither_torch_nor_what_slicer_does_not_bring(running_host):
    script = f"""
        import sys
        sys.path.insert(0, {str(HOST)!r})
        from preview_host.start import start
        host = start()
        host.load_module({str(MODULE)!r})
        host.process_events()
        unwanted = ["torch", "monai", "SimpleITK", "safetensors", "rich", "jinja2", "PIL", "psutil", "scipy"]
        loaded = sorted(set(unwanted) & set(sys.modules))
        host.leave()
        host.widget.cleanup()
        sys.exit(", ".join(loaded) or 0)
    """
    answer = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-2000:]


def test_the_modules_own_test_passes(host, widget):
    from DGSTSegment import DGSTSegmentTest

    DGSTSegmentTest().runTest()


def test_the_logic_serves_a_script_without_the_widget(host, widget, tmp_path, tiny_models, adapted_model):
    from DGSTSegment import DGSTSegmentLogic
    from DGSTSegmentLib.panel import bridge

    logic = DGSTSegmentLogic(str(tmp_path / "script"))
    try:
        logic.models.use(str(adapted_model))
        scan = bridge.addVolume(tiny_case(0)[0], "Scripted")
        prediction = logic.findLymphNodes(scan).wait(120)
        logic.review(scan).accept(prediction.findings()[0].number)
        assert logic.review(scan).apply().annotated == 1
        assert logic.addToTrainingSet(scan).marked == 1
    finally:
        logic.close()


def test_the_sample_data_is_a_made_up_scan_computed_here(widget):
    import slicer

    from DGSTSegmentLib.imaging.phantoms import make_phantom
    from DGSTSegmentLib.panel import bridge, sampledata

    node = sampledata.loadPhantom()
    assert (bridge.volumeOf(node).array == make_phantom("target", sampledata.SEED).ct.array).all()
    red = slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceCompositeNode()
    assert red.GetBackgroundVolumeID() == node.GetID()


def test_settings_of_the_panel_come_back_with_the_scene(host, panel, ui, tmp_path):
    import slicer

    scan = open_scan(panel, host, tiny_case(0)[0])
    chosen = {ui.strategySelector: "static", ui.updateSelector: "rms", ui.layersSelector: "encoder"}
    for selector, name in chosen.items():
        selector.setCurrentIndex(selector.findData(name))
    ui.learningRateSpinBox.value = 0.05
    ui.minutesSpinBox.value = 17
    ui.leastShortAxisSpinBox.value = 7.5
    ui.outlineCheckBox.setChecked(True)
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    name = scan.GetName()
    host.close_scene()
    assert ui.minutesSpinBox.value == 5
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    host.process_events()
    assert panel.state.scan.GetName() == name
    assert [selector.itemData(selector.currentIndex) for selector in chosen] == list(chosen.values())
    assert panel.finetune.options()["lr"] == 0.05
    assert ui.minutesSpinBox.value == 17
    assert ui.leastShortAxisSpinBox.value == 7.5
    assert ui.outlineCheckBox.checked


def test_the_panels_own_plot_view_is_saved_with_no_scene(host, panel, tmp_path):
    import slicer

    open_scan(panel, host, tiny_case(0)[0])
    nodes = slicer.util.getNodesByClass("vtkMRMLPlotViewNode")
    own = [node for node in nodes if node.GetSingletonTag() == "DGSTSegmentPlot"]
    assert len(own) == 1
    assert not own[0].GetSaveWithScene() and not own[0].GetDoPropagatePlotChartSelection()


def test_a_closed_scene_leaves_an_empty_panel_that_works_on(host, panel, ui, logic):
    scan = open_scan(panel, host, tiny_case(0)[0])
    mark(logic, scan, tiny_case(0)[1].array > 0)
    panel.annotate.showScan()
    host.close_scene()
    assert panel.state.scan is None
    assert not ui.findButton.enabled and not ui.newNodeButton.enabled
    open_scan(panel, host, tiny_case(1)[0])
    ui.newNodeButton.click()
    assert ui.segmentEditor.segmentationNode() is not None


def test_a_deleted_scan_leaves_no_finding_and_no_button_that_would_fail(host, panel, ui, logic):
    import slicer

    scan = open_scan(panel, host, tiny_case(0)[0])
    ui.newNodeButton.click()
    slicer.mrmlScene.RemoveNode(scan)
    host.process_events()
    assert panel.state.scan is None
    assert not ui.addCaseButton.enabled and not ui.newNodeButton.enabled
    assert ui.segmentEditor.segmentationNode() is None


def test_a_reloaded_module_works_on_with_the_scene(host, panel, logic, widget):
    scan = open_scan(panel, host, tiny_case(0)[0])
    folder = str(logic.study.folder)
    reloaded = host.reload_module()
    assert reloaded is not widget
    assert reloaded.panel.state.scan is scan
    assert str(reloaded.logic.study.folder) == folder
    reloaded.panel.ui.newNodeButton.click()
    assert reloaded.panel.ui.addCaseButton.enabled
    assert reloaded.panel.shortcuts._shortcuts, "the keys live without leaving the module and coming back"
