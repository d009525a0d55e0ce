"""The unchanged module in the preview host, with the real engine and models small enough for a test.

One host, one module and one engine serve all tests; each test gets an empty scene and a study folder of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import write_volume
from DGSTSegmentLib.imaging.findings import find as measure
from DGSTSegmentLib.training.study import ANNOTATION_FILE, IMAGE_FILE, StudyCase

from ..conftest import eager_worker, tiny_case
from ..host.conftest import host, running_host  # noqa: F401 fixtures

MODULE = Path(__file__).resolve().parents[3] / "DGSTSegment" / "DGSTSegment.py"
PATIENCE_SECONDS = 120


@pytest.fixture(scope="session")
def adapted_model(tiny_model, tiny_study, engine, tmp_path_factory):
    """The tiny model after a real fine-tuning that is long enough for it to find the balls of the tiny scans."""
    out = tmp_path_factory.mktemp("adapted") / "adapted"
    cases = [{"image": str(ct), "annotation": str(seg), "completeness": "all"} for ct, seg in tiny_study]
    engine.finetune(
        {
            "model": str(tiny_model),
            "cases": cases,
            "out": str(out),
            "strategy": "full",
            "lr": 0.02,
            "steps": 150,
            "holdout": 0,
            "device": "cpu",
            "threads": 1,
            "precision": "fp32",
        }
    )
    return out


@pytest.fixture(scope="session")
def module(running_host):  # noqa: F811
    """The module, loaded once; its engine ends with the tests, and keeps checkpoints sooner than a user's does."""
    from DGSTSegmentLib.engine import transport

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "worker_command", lambda: eager_worker(0.05))
        module = running_host.load_module(MODULE)
    yield module
    running_host.leave()
    running_host.widget.cleanup()


@pytest.fixture
def widget(host, module, tmp_path):  # noqa: F811
    """The module's widget on an empty scene and an empty study; its engine lives on from test to test."""
    host.enter()
    current = host.widget
    current.logic.settings.addedModels = []
    current.logic.settings.device = "cpu"
    current.logic.setStudyFolder(str(tmp_path / "study"))
    yield current
    if host.widget.logic.engine.busy:
        host.widget.logic.engine.kill()
        until(host, lambda: not host.widget.logic.engine.busy)


@pytest.fixture
def panel(widget):
    return widget.panel


@pytest.fixture
def ui(panel):
    return panel.ui


@pytest.fixture
def logic(widget):
    return widget.logic


@pytest.fixture
def tiny_models(logic, tiny_model, adapted_model):
    """The tiny model and what it learned, on the module's list; the adapted one is the current model."""
    from DGSTSegmentLib.networks.description import read_description

    for folder in (tiny_model, adapted_model):
        logic.models.add(str(folder), {"card": read_description(folder).card.to_json()})
    logic.models.use(str(adapted_model))
    return str(tiny_model), str(adapted_model)


@pytest.fixture
def scan(panel, host):  # noqa: F811
    """A tiny scan as a volume node, chosen in the panel."""
    return open_scan(panel, host, tiny_case(0)[0])


@pytest.fixture
def refusal():
    """What the module raises: another class once it was reloaded."""
    from DGSTSegmentLib.errors import InputError

    return InputError


def open_scan(panel, host, volume, name="Tiny scan"):  # noqa: F811
    """Put a volume into the scene and choose it."""
    from DGSTSegmentLib.panel import bridge

    node = bridge.addVolume(volume, name)
    panel.ui.inputVolumeSelector.setCurrentNode(node)
    until(host, lambda: panel.state.scan is node and not panel.logic.engine.busy)
    return node


def press(host, key):  # noqa: F811
    """Press a key in Slicer's main window, which is in front."""
    import slicer
    from PySide6.QtTest import QTest

    slicer.util.mainWindow().activateWindow()
    host.process_events()
    QTest.keyClick(slicer.util.mainWindow(), key)
    host.process_events()


def until(host, condition, seconds=PATIENCE_SECONDS):  # noqa: F811
    """Let the host work until something is so."""
    import time

    end = time.monotonic() + seconds
    while not condition():
        host.process_events()
        time.sleep(0.01)
        assert time.monotonic() < end, "waited in vain"
    host.process_events()


def mark(logic, scan, mask):
    """Mark the voxels of a bool array as a lymph node; returns the segment's id."""
    from DGSTSegmentLib.panel import bridge, lymphnode
    from DGSTSegmentLib.panel.placed import PlacedMask

    annotation = logic.annotation(scan)
    id_ = lymphnode.addLymphNode(annotation)
    bridge.setSegmentMask(annotation, id_, PlacedMask.of(mask), bridge.geometryOf(scan))
    return id_


def save_as(ui, kind, what="Model's findings"):
    """Save by the entry of the three buttons' menus that begins so: the reviewed result or the model's findings."""
    buttons = (ui.exportSegmentationButton, ui.exportFindingsButton, ui.exportReportButton)
    actions = [action for button in buttons for action in button.menu().actions() if action.visible]
    action = next(action for action in actions if action.text.startswith(f"{what}: {kind}"))
    assert action.enabled
    action.trigger()


def stored_marks(logic):
    """How many nodes are marked in each case of the training set."""
    return [case.marked for case in logic.trainingSet.cases()]


def ball():
    """The marked nodes of the tiny scan, as a bool array."""
    return tiny_case(0)[1].array > 0


def find(host, panel):  # noqa: F811
    """Press *Find lymph nodes* and wait; returns the prediction."""
    found = []
    panel.logic.predicted.connect(found.append)
    panel.ui.findButton.click()
    until(host, lambda: not panel.logic.engine.busy)
    panel.logic.predicted.disconnect(found.append)
    assert found, "no prediction came"
    return found[0]


def balls(shape, centers, radius):
    axes = np.ogrid[tuple(map(slice, shape))]
    array = np.zeros(shape, np.uint16)
    for n, (center, r) in enumerate(zip(centers, radius, strict=True), start=1):
        array[sum((axis - middle) ** 2 for axis, middle in zip(axes, center, strict=True)) <= r * r] = n
    return array


def predicted(panel, host, numbers, name="Scan", role="before"):  # noqa: F811
    """A prediction with the given nodes on a scan of its own, chosen in the panel."""
    from DGSTSegmentLib.panel.prediction import makePrediction

    hu = np.where(numbers.array > 0, 60, -80).astype(np.int16)
    scan = open_scan(panel, host, numbers.with_array(hu), name)
    found = measure(
        numbers, numbers.with_array(hu), numbers.with_array((numbers.array > 0) * np.float32(0.9)), "values"
    )
    items = [item.to_json() for item in found.items]
    made = makePrediction(scan, role, found.instances, items, "starter", "Starter", f"token{name}")
    panel.logic.predicted(made)
    host.process_events()
    return made


@pytest.fixture
def review(panel, host):  # noqa: F811
    """Five findings of falling size, one below 5 mm, on a scan of 1 mm voxels."""
    shape = (40, 60, 60)
    centers = [(20, 15, 15), (20, 15, 45), (20, 45, 15), (20, 45, 45), (6, 30, 30)]
    array = balls(shape, centers, [8, 6, 5, 3.5, 2])
    geometry = Geometry.from_parts(shape, (1, 1, 1), (-30, -30, 0))
    predicted(panel, host, Volume(array, geometry))
    return panel.review


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
