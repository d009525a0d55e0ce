"""How far a picture of the preview has come: each step drives the module's own widgets, as a user would."""

from __future__ import annotations

from collections.abc import Callable

SEED = 7


def annotate(host, widget) -> None:
    """A made-up scan is loaded and chosen."""
    from DGSTSegmentLib.panel.sampledata import loadPhantom

    scan = loadPhantom(SEED)
    host.layout_manager.resetThreeDViews()
    widget.panel.ui.inputVolumeSelector.setCurrentNode(scan)


def finetune(host, widget) -> None:
    """After ``annotate``: a fine-tuning has run."""
    annotate(host, widget)


def review(host, widget) -> None:
    """After ``finetune``: what the model finds is reviewed."""
    finetune(host, widget)


STEPS: dict[str, Callable] = {"annotate": annotate, "finetune": finetune, "review": review}
