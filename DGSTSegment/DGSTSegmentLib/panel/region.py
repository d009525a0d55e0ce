"""The box inside which every lymph node is marked: a ROI node that cannot be turned."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from . import bridge


def makeRegion(name: str, box: list[float]):
    """A box (ROI node) from opposite corners ``[x0, y0, z0, x1, y1, z1]``, LPS mm. It cannot be turned."""
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", _("{scan}: box").format(scan=name))
    roi.CreateDefaultDisplayNodes()
    low, high = box[:3], box[3:]
    roi.SetCenter(*bridge.toRas([(a + b) / 2 for a, b in zip(low, high, strict=True)]))
    roi.SetSize(*[abs(b - a) for a, b in zip(low, high, strict=True)])
    display = roi.GetDisplayNode()
    display.SetFillVisibility(False)
    display.SetHandlesInteractive(True)
    display.SetRotationHandleVisibility(False)
    return roi


def boxOf(roi) -> list[float]:
    """Opposite corners ``[x0, y0, z0, x1, y1, z1]`` of a box, LPS mm.

    Raises:
        InputError: there is no box, it is empty, or it is turned.
    """
    if roi is None or min(roi.GetSize()) <= 0:
        raise InputError(
            _("There is no box to say where every lymph node is marked; place it, or choose another sentence.")
        )
    toWorld = slicer.util.arrayFromVTKMatrix(roi.GetObjectToWorldMatrix())[:3, :3]
    if abs(abs(toWorld) - abs(toWorld).round()).max() > 1e-3:
        raise InputError(
            _("The box {name} is turned; make a new one that lies straight in the patient.").format(name=roi.GetName())
        )
    bounds = [0.0] * 6
    roi.GetBounds(bounds)
    return np.sort([bridge.toRas(bounds[::2]), bridge.toRas(bounds[1::2])], axis=0).ravel().tolist()


def refuseEmpty(box: list[float], annotation, scan) -> None:
    """Raises:
    InputError: none of the marks lies in the box.
    """
    points = bridge.geometryOf(scan).to_world(np.argwhere(bridge.unionMask(annotation, scan)))
    if not ((points >= box[:3]) & (points <= box[3:])).all(axis=1).any():
        raise InputError(
            _("None of the marked lymph nodes lies in the box of {scan}; move it over them, or place it anew.").format(
                scan=scan.GetName()
            )
        )
