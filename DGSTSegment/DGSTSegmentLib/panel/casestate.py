"""Whether a scan and its marks are still as they were: quickly in one scene, and by a digest from scene to scene."""

from __future__ import annotations

import hashlib

import numpy as np
import slicer
import vtk

from . import bridge, roles


def digestOf(scan) -> str:
    """Names what ``save`` would write; the same in every scene that holds the same."""
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    place = np.round(bridge.geometryOf(scan).ijk_to_world, 4).tolist()
    digest = hashlib.sha256(repr((roles.completenessOf(annotation), _box(annotation), place)).encode())
    for node in (annotation, roles.nodeOf(scan, roles.REJECTED)):
        for _id, mask, first in bridge.tightMasks(node, scan) if node is not None else ():
            digest.update(repr((first, mask.shape)).encode())
            digest.update(np.packbits(mask).tobytes())
    return digest.hexdigest()


def _box(annotation) -> tuple:
    roi = roles.regionOf(annotation) if annotation is not None else None
    return () if roi is None else tuple(round(x, 3) for x in (*roi.GetCenter(), *roi.GetSize()))


def stateOf(scan) -> tuple:
    """Quick to tell, good for one scene: changes with the annotation, the refusals, the completeness and the box."""
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    rejected = roles.nodeOf(scan, roles.REJECTED)
    painted = [bridge.paintedState(node) for node in (annotation, rejected) if node is not None]
    return (*painted, roles.completenessOf(annotation), _box(annotation), imageState(scan))


def imageState(scan) -> tuple:
    """Changes with the scan's voxels and its place, as when a transform is hardened on it."""
    image = scan.GetImageData()
    matrix = vtk.vtkMatrix4x4()
    scan.GetIJKToRASMatrix(matrix)
    return (image.GetMTime() if image is not None else 0, *slicer.util.arrayFromVTKMatrix(matrix).ravel().tolist())


def imageDigest(scan) -> str:
    """Tells the voxels of a scan from any others'."""
    array = slicer.util.arrayFromVolume(scan)
    return hashlib.blake2b(np.ascontiguousarray(array), digest_size=16).hexdigest()
