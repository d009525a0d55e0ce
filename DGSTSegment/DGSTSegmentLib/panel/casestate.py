"""Whether a scan and its marks are still as they were: quickly in one scene, and by a digest from scene to scene."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from ..errors import InputError
from . import bridge, roles

_PIECE_BYTES = 1 << 24


def digestOf(scan) -> str:
    """Names what ``save`` would write; the same in every scene that holds the same."""
    annotation, rejected = roles.markNodesOf(scan)
    place = np.round(bridge.geometryOf(scan).ijk_to_world, 4).tolist()
    digest = hashlib.sha256(repr((roles.completenessOf(annotation), _box(annotation), place)).encode())
    for node in (annotation, rejected):
        for _id, placed in bridge.tightMasks(node, scan) if node is not None else ():
            digest.update(repr((placed.first, placed.mask.shape)).encode())
            digest.update(np.packbits(placed.mask).tobytes())
    return digest.hexdigest()


def _box(annotation) -> tuple:
    roi = roles.regionOf(annotation) if annotation is not None else None
    return () if roi is None else tuple(round(x, 3) for x in (*roi.GetCenter(), *roi.GetSize()))


def stateOf(scan) -> tuple:
    """Quick to tell, good for one scene: changes with marks, rejected findings, the completeness and the box."""
    annotation, rejected = roles.markNodesOf(scan)
    painted = [bridge.paintedState(node) for node in (annotation, rejected) if node is not None]
    return (*painted, roles.completenessOf(annotation), _box(annotation), imageState(scan))


def imageState(scan) -> tuple:
    """Changes with the scan's voxels and its place, as when a transform is hardened on it."""
    image = scan.GetImageData()
    matrix = vtk.vtkMatrix4x4()
    scan.GetIJKToRASMatrix(matrix)
    return (image.GetMTime() if image is not None else 0, *slicer.util.arrayFromVTKMatrix(matrix).ravel().tolist())


def marksBeside(scan) -> list[str]:
    """Names of the annotation and the rejected findings of a scan that do not lie on its voxels, as after a transform
    was hardened on one of the two only. Of what a transform still moves nothing is said."""
    nodes = [node for node in roles.markNodesOf(scan) if node is not None]
    if scan.GetImageData() is None or bridge.whyMoved(scan, *nodes) is not None:
        return []
    return [node.GetName() for node in nodes if bridge.isBeside(node, scan)]


def refuseBeside(scan) -> None:
    """Raises:
    InputError: ``marksBeside`` names some.
    """
    beside = marksBeside(scan)
    if beside:
        problem = _(
            "{marks}: does not lie on the voxels of {scan}, as after a transform was hardened on one of them only; "
            "harden the same transform on both (module Data)."
        )
        raise InputError(problem.format(marks=", ".join(beside), scan=scan.GetName()))


class ImageDigests:
    """Tells the voxels of a scan from any others'. Each scan is gone through once, at once or in pieces."""

    def __init__(self):
        self._begun: dict[str, _BegunDigest] = {}

    def of(self, scan) -> str:
        """The digest; all that is missing of it is worked out now."""
        while not self.advance(scan):
            pass
        return self._begun[scan.GetID()].digest

    def isKnown(self, scan) -> bool:
        begun = self._begun.get(scan.GetID())
        return begun is not None and begun.state == imageState(scan) and bool(begun.digest)

    def advance(self, scan) -> bool:
        """Go on by a piece, which takes no time that anybody notices; whether the digest is known."""
        begun, state = self._begun.get(scan.GetID()), imageState(scan)
        if begun is None or begun.state != state:
            begun = self._begun[scan.GetID()] = _BegunDigest(state)
        if not begun.digest:
            voxels = np.ascontiguousarray(slicer.util.arrayFromVolume(scan)).reshape(-1).view(np.uint8)
            begun.sum.update(voxels[begun.done : begun.done + _PIECE_BYTES])
            begun.done += _PIECE_BYTES
            begun.digest = begun.sum.hexdigest() if begun.done >= voxels.size else ""
        return bool(begun.digest)

    def forget(self) -> None:
        """The scene closes: other scans may get the same ids."""
        self._begun.clear()


@dataclass
class _BegunDigest:
    """So far as it has come.

    Args:
        state: of the image that it is of.
    """

    state: tuple
    sum: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))
    done: int = 0
    digest: str = ""
