"""How far a picture of the preview has come: each step drives the module's own widgets, as a user would."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

SEED = 7
MINUTES_TO_LEARN = 1
STEPS_SHOWN = 18
PATIENCE_SECONDS = 600


def open_scan(host, widget):
    """A made-up scan is open and chosen; returns its volume node."""
    from DGSTSegmentLib.panel.sampledata import loadPhantom

    scan = loadPhantom(SEED)
    host.layout_manager.resetThreeDViews()
    widget.panel.ui.inputVolumeSelector.setCurrentNode(scan)
    return scan


def annotate(host, widget) -> None:
    """After ``open_scan``: three of its lymph nodes are marked, and the brush is taken for one more."""
    from DGSTSegmentLib.imaging.phantoms import make_phantom
    from DGSTSegmentLib.panel import bridge, lymphnode, roles
    from DGSTSegmentLib.panel.placed import PlacedMask
    from DGSTSegmentLib.panel.review import jumpTo

    scan = open_scan(host, widget)
    ui, nodes = widget.panel.ui, make_phantom("target", SEED).nodes
    annotation = widget.logic.annotation(scan)
    sizes = np.bincount(nodes.array[nodes.array > 0])
    for value in np.argsort(sizes)[::-1][:3]:
        segment = lymphnode.addLymphNode(annotation)
        bridge.setSegmentMask(annotation, segment, PlacedMask.of(nodes.array == value), nodes.geometry)
    ui.scanSection.collapsed = True
    ui.newNodeButton.click()
    assert roles.nodeOf(scan, roles.ANNOTATION) is annotation
    jumpTo(bridge.toRas(nodes.geometry.to_world(np.argwhere(nodes.array == np.argmax(sizes)).mean(axis=0))))
    annotation.CreateClosedSurfaceRepresentation()


def finetune(host, widget) -> None:
    """After ``annotate``: the scan is in the training set, and the model learns from it."""
    annotate(host, widget)
    panel, ui = widget.panel, widget.panel.ui
    ui.addCaseButton.click()
    ui.annotateSection.collapsed = True
    ui.minutesSpinBox.value = MINUTES_TO_LEARN
    ui.startButton.click()
    _until(host, lambda: len(panel.finetune.plot.points("loss")) >= STEPS_SHOWN)


def review(host, widget) -> None:
    """After ``finetune``: the new model is in use, and its findings are being gone through."""
    finetune(host, widget)
    panel, ui = widget.panel, widget.panel.ui
    _until(host, lambda: panel.finetune.finishedRun is not None)
    ui.useModelButton.click()
    ui.findButton.click()
    _until(host, lambda: not widget.logic.engine.busy)
    for section in (ui.scanSection, ui.annotateSection, ui.finetuneSection):
        section.collapsed = True
    accepted = panel.review.table.chosen
    ui.acceptButton.click()
    ui.nextButton.click()
    ui.nextButton.click()
    ui.rejectButton.click()
    panel.review.goTo(accepted)


def _until(host, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        host.process_events()
        time.sleep(0.01)
        if time.monotonic() > end:
            raise TimeoutError(f"The engine has not come that far in {PATIENCE_SECONDS} seconds.")
    host.process_events()


STEPS: dict[str, Callable] = {"open": open_scan, "annotate": annotate, "finetune": finetune, "review": review}
