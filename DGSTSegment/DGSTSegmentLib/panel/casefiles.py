"""The files of a case, by Slicer's own storage nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..atomic import flush_to_disk
from ..errors import InputError
from ..imaging.geometry import LPS_TO_RAS, Geometry
from ..imaging.text_header import nrrd_header
from . import bridge

_TO_LPS = {"left-posterior-superior": np.eye(4), "right-anterior-superior": LPS_TO_RAS}
"""From a file's world coordinates, by the name of its space; versions of Slicer write one or the other."""
_MOST_HEADER_BYTES = 1 << 24  # a segmentation's tells of each segment


def writeVolume(scan, path: Path) -> None:
    """Through a storage node of its own, so that the scan's own file stays where the user has it."""
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(False)
    if not storage.WriteData(scan):
        raise OSError(_("the scan could not be written, the disk may be full"))
    _refuseBroken(path, isScan=True)


def writeSegmentation(node, scan, path: Path) -> None:
    """An empty one has no place of its own; it is written as an empty labelmap on the scan's grid."""
    if not bridge.countMarked(node):
        storage, node = slicer.vtkMRMLNRRDStorageNode(), bridge.labelmapOf(np.uint8(0), scan)
    else:
        node.SetReferenceImageGeometryParameterFromVolumeNode(scan)
        storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(node):
        raise OSError(_("the segmentation could not be written, the disk may be full"))
    _refuseBroken(path, isScan=False)


def _refuseBroken(path: Path, isScan: bool) -> None:
    """Raises:
    OSError: the disk does not take the file, which Slicer's writer does not hear of where it fills at the end.
    InputError: the file cannot be read, or holds what cannot be learned from.
    """
    from ..imaging.files import read_segments, read_volume

    flush_to_disk(path)
    (read_volume if isScan else read_segments)(path)


def _hasHeader(path: Path) -> bool:
    """Whether the file begins with a whole NRRD header; Slicer's reader ends the program where it does not."""
    with open(path, "rb") as file:
        beginning = file.read(_MOST_HEADER_BYTES)
    return beginning.startswith(b"NRRD") and any(end in beginning for end in (b"\n\n", b"\r\n\r\n"))


def gridOf(path: Path) -> Geometry | None:
    """Where the voxels of a stored scan lie, by the head of its file alone; None where that does not say it."""
    try:
        with open(path, "rb") as file:
            fields = nrrd_header(file)
    except OSError:
        return None
    sizes = [int(text) for text in re.findall(r"\d+", fields.get("sizes", ""))]
    axes, origin = _numbers(fields.get("space directions", "")), _numbers(fields.get("space origin", ""))
    toLps = _TO_LPS.get(fields.get("space", ""))
    if (len(sizes), len(axes), len(origin)) != (3, 9, 3) or toLps is None:
        return None
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.reshape(axes, (3, 3)).T, origin
    try:
        return Geometry(tuple(sizes[::-1]), toLps @ matrix)
    except ValueError:
        return None


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", text)]


@contextmanager
def removedOnFailure() -> Iterator[list]:
    """A list for ``readInto``, whose nodes leave the scene again where what they are read for fails."""
    made: list = []
    try:
        yield made
    except InputError:
        for node in made:
            slicer.mrmlScene.RemoveNode(node)
        raise


def readInto(nodeClass: str, name: str, path: Path, made: list):
    """A new node with what a file holds; it is noted in ``made`` before it is read."""
    if not path.exists():
        raise InputError(_("{path} is gone; the case cannot be opened.").format(path=path))
    node = slicer.mrmlScene.AddNewNodeByClass(nodeClass, slicer.mrmlScene.GenerateUniqueName(name))
    made.append(node)
    isScan = nodeClass == "vtkMRMLScalarVolumeNode"
    storage = slicer.vtkMRMLNRRDStorageNode() if isScan else slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not _hasHeader(path) or not storage.ReadData(node):
        raise InputError(_("{path} is damaged; the case cannot be opened.").format(path=path))
    node.CreateDefaultDisplayNodes()
    return node
