"""A made-up scan for Slicer's Sample Data module: computed on the spot, nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from .window import SOFT_TISSUE, setWindow

NAME = "DGSTSegmentPhantom"
SEED = 7


def register() -> None:
    """Offer the made-up scan in Sample Data, where that module is there."""
    if not hasattr(slicer.modules, "sampledata"):
        return
    import SampleData

    icon = Path(__file__).resolve().parents[2] / "Resources" / "Icons" / "DGSTSegment.png"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="DGSTSegment",
        sampleName=NAME,
        uris=[],
        fileNames=[],
        thumbnailFileName=str(icon),
        customDownloader=lambda _source: loadPhantom(),
    )


def loadPhantom(seed: int = SEED, name: str = ""):
    """A made-up CT of the kind that the starter was not trained on, as a new volume node.

    Args:
        seed: which one; the same seed gives the same voxels.
        name: of the node.
    """
    try:
        from ..imaging.phantoms import make_phantom
    except ImportError as error:
        raise InputError(
            _("The made-up scan needs the Python package {name}; install it first.").format(name=error.name)
        ) from error
    from . import bridge

    phantom = make_phantom("target", seed)
    node = bridge.addVolume(phantom.ct, name or _("Made-up scan {seed}").format(seed=seed))
    setWindow(node, SOFT_TISSUE)
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node
