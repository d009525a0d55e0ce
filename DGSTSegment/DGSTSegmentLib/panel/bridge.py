"""Volumes and segmentations between MRML nodes and ``imaging.Volume``, in exact geometry.

World coordinates are RAS in MRML and LPS in a ``Volume``; arrays are ``[k, j, i]`` on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..errors import InputError
from ..imaging.finding import Box
from ..imaging.geometry import LPS_TO_RAS, Geometry
from ..imaging.volume import Volume
from ..views.slicer_data import image_data, vtk_matrix
from .placed import PlacedMask

_SAME_MM = 1e-3


def geometryOf(volumeNode) -> Geometry:
    """The grid of a volume node, LPS mm.

    Raises:
        InputError: the node holds no voxels, or a transform moves it.
    """
    image = volumeNode.GetImageData()
    if image is None or 0 in image.GetDimensions():
        raise InputError(_("{name} holds no voxels; load the scan again.").format(name=volumeNode.GetName()))
    refuseMoved(volumeNode)
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return Geometry(image.GetDimensions()[::-1], LPS_TO_RAS @ slicer.util.arrayFromVTKMatrix(matrix))


def gridShapeOf(volumeNode) -> tuple[int, int, int] | None:
    """Voxels of a volume node along k, j, i, wherever it lies; None where it holds none, or is None."""
    image = volumeNode.GetImageData() if volumeNode is not None else None
    return image.GetDimensions()[::-1] if image is not None else None


def refuseMoved(*nodes) -> None:
    """Raises:
    InputError: a transform moves one of the nodes (None for one that there is not), whose voxels alone are taken.
    """
    problem = whyMoved(*nodes)
    if problem is not None:
        raise InputError(problem)


def whyMoved(*nodes) -> str | None:
    """The sentence about the first of the nodes that a transform moves (None for one that there is not), if any."""
    moved = next((node for node in nodes if node is not None and node.GetParentTransformNode() is not None), None)
    if moved is None:
        return None
    return _("{name} is moved by the transform {transform}; harden the transform on it first (module Data).").format(
        name=moved.GetName(), transform=moved.GetParentTransformNode().GetName()
    )


def volumeOf(volumeNode) -> Volume:
    """Voxels and grid of a scalar volume node. The array is the node's own memory: do not write to it.

    Raises:
        InputError: the node holds no voxels, several values a voxel, or a transform moves it.
    """
    geometry = geometryOf(volumeNode)
    array = slicer.util.arrayFromVolume(volumeNode)
    if array.ndim != 3:
        raise InputError(
            _("{name} holds several values a voxel; a CT has one, so choose another scan.").format(
                name=volumeNode.GetName()
            )
        )
    return Volume(array, geometry)


def addVolume(volume: Volume, name: str):
    """A new scalar volume node with the voxels and the grid of ``volume``."""
    array = volume.array if volume.array.dtype in (np.uint8, np.int16, np.float32) else volume.array.astype(np.float32)
    ijkToRAS = vtk_matrix(LPS_TO_RAS @ volume.geometry.ijk_to_world)
    node = slicer.util.addVolumeFromArray(array, ijkToRAS, name, "vtkMRMLScalarVolumeNode")
    node.CreateDefaultDisplayNodes()
    return node


def importNumbers(numbers: Volume, segmentationNode, referenceVolumeNode, present: Sequence[int]) -> dict[int, str]:
    """Make each number of ``numbers`` a segment; returns the segments' ids by number.

    Args:
        numbers: labelmap of numbers from 1, else 0.
        segmentationNode: takes the segments.
        referenceVolumeNode: whose grid the segmentation gets.
        present: the numbers that are there; looking for them in every voxel of a large scan takes seconds.
    """
    segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(referenceVolumeNode)
    if not present:
        return {}
    before = set(segmentIds(segmentationNode))
    image = orientedImage(numbers.array.astype(np.int16), numbers.geometry)
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(image, segmentationNode)
    new = [id_ for id_ in segmentIds(segmentationNode) if id_ not in before]
    # They come in the order of the numbers; their own label values depend on how this version of Slicer stores them.
    return dict(zip(sorted(present), new, strict=True))


def orientedImage(array: np.ndarray, geometry: Geometry, box: Box | None = None):
    """Voxels with their place, outside the scene.

    Args:
        array: [k, j, i], all voxels of ``box``.
        geometry: the grid that the box lies in.
        box: first voxel and the one after the last, along k, j, i; the whole grid where None.
    """
    (k0, k1), (j0, j1), (i0, i1) = box or tuple((0, n) for n in geometry.shape)
    image = slicer.vtkOrientedImageData()
    image.SetExtent(i0, i1 - 1, j0, j1 - 1, k0, k1 - 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True))
    image.SetImageToWorldMatrix(vtk_matrix(LPS_TO_RAS @ geometry.ijk_to_world))
    return image


def imageOf(placed: PlacedMask, geometry: Geometry):
    """1 where a mask on a grid of ``geometry`` holds, else 0; an image of the mask's box, outside the scene."""
    return orientedImage(placed.mask.astype(np.uint8), geometry, placed.box)


def volumeOfImage(image) -> Volume:
    """Voxels (the image's own memory) and place of what ``orientedImage`` makes."""
    array, first = _voxelsOf(image)
    return Volume(array, placeOf(image, first, array.shape))


def placeOf(image, first: Sequence[int], shape: Sequence[int]) -> Geometry:
    """The grid of so many voxels of an image from its voxel ``first`` (k, j, i) on."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    grid = Geometry((1, 1, 1), LPS_TO_RAS @ slicer.util.arrayFromVTKMatrix(matrix))
    return grid.cropped(tuple(slice(low, low + n) for low, n in zip(first, shape, strict=True)))


def labelmapOf(values: np.ndarray, volumeNode):
    """A labelmap node outside the scene, on the volume's grid; a single value fills it."""
    geometry = geometryOf(volumeNode)
    labelmap = slicer.vtkMRMLLabelMapVolumeNode()
    labelmap.SetIJKToRASMatrix(vtk_matrix(LPS_TO_RAS @ geometry.ijk_to_world))
    labelmap.SetAndObserveImageData(image_data(np.broadcast_to(values, geometry.shape)))
    return labelmap


def segmentIds(segmentationNode) -> list[str]:
    segmentation = segmentationNode.GetSegmentation()
    return [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]


def segmentMask(segmentationNode, segmentId: str, volumeNode) -> np.ndarray:
    """Bool [k, j, i] on the volume's grid: where the segment lies."""
    return numbersOf(segmentationNode, [segmentId], volumeNode) > 0


def tightMasks(segmentationNode, volumeNode) -> Iterator[tuple[str, PlacedMask]]:
    """Where each segment that holds a voxel lies on the volume's grid, in the smallest box around it, by its id. Much
    faster than ``segmentMask`` where they are stored on that grid."""
    geometry, isMoved = geometryOf(volumeNode), segmentationNode.GetParentTransformNode() is not None
    for id_, stored in storedMasks(segmentationNode).items():
        if not isMoved and _isInside(stored, geometry):
            yield id_, stored
        elif (mask := segmentMask(segmentationNode, id_, volumeNode)).any():
            yield id_, PlacedMask.of(mask).tight()


@dataclass(frozen=True, eq=False)
class StoredMask(PlacedMask):
    """Where a segment lies on the grid of the labelmap that it shares with others, in the smallest box around it."""

    labelmap: Any


def storedMasks(segmentationNode) -> dict[str, StoredMask]:
    """The segments that hold a voxel, by their ids and in their order. Each layer is gone through once, however many
    segments share it."""
    from scipy import ndimage  # Slicer has it, but starting the module does not wait for it

    segmentation, masks = segmentationNode.GetSegmentation(), {}
    for labelmap, ids in _layers(segmentation):
        whole, first = _voxelsOf(labelmap)
        boxes = ndimage.find_objects(whole) if whole.size else []
        for id_ in ids:
            value = segmentation.GetSegment(id_).GetLabelValue()
            box = boxes[value - 1] if value <= len(boxes) else None
            if box is not None:
                start = tuple(low + part.start for low, part in zip(first, box, strict=True))
                masks[id_] = StoredMask(whole[box] == value, start, labelmap)
    return {id_: masks[id_] for id_ in segmentIds(segmentationNode) if id_ in masks}


def liesOnGridOf(segmentationNode, volumeNode) -> bool:
    """Whether the segments are stored on the volume's grid, and none reaches over its end."""
    geometry = geometryOf(volumeNode)
    if not all(_liesOn(labelmap, geometry) for labelmap, _ids in _layers(segmentationNode.GetSegmentation())):
        return False
    return all(_isInside(stored, geometry) for stored in storedMasks(segmentationNode).values())


def isBeside(segmentationNode, volumeNode) -> bool:
    """Whether the segments lie on other voxels than the volume's, in either order of its slices, as after a transform
    was hardened on one of the two only. Finer voxels that fill the volume's are no others: the Segment Editor can
    draw on such."""
    geometry = geometryOf(volumeNode)
    turned = geometry.ijk_to_world @ np.diag([1.0, 1.0, -1.0, 1.0])
    turned[:3, 3] = geometry.to_world([geometry.shape[0] - 1, 0, 0])
    grids = (geometry, Geometry(geometry.shape, turned))
    labelmaps = [labelmap for labelmap, _ids in _layers(segmentationNode.GetSegmentation())]
    filled = [labelmap for labelmap in labelmaps if _voxelsOf(labelmap)[0].size]
    return not all(any(_fills(labelmap, grid) for grid in grids) for labelmap in filled)


def _isInside(stored: StoredMask, geometry: Geometry) -> bool:
    """Whether a segment is stored on the grid and does not reach over its end."""
    reaches = any(low < 0 or end > n for (low, end), n in zip(stored.box, geometry.shape, strict=True))
    return not reaches and _liesOn(stored.labelmap, geometry)


def _layers(segmentation) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The labelmaps that segments share, and the ids of those in each."""
    name = labelmapName()
    for layer in range(segmentation.GetNumberOfLayers(name)):
        yield segmentation.GetLayerDataObject(layer, name), segmentation.GetSegmentIDsForLayer(layer, name)


def _voxelsOf(labelmap) -> tuple[np.ndarray, tuple[int, ...]]:
    """Values [k, j, i] of a labelmap, its own memory, and its first voxel (k, j, i)."""
    scalars, extent = labelmap.GetPointData().GetScalars(), labelmap.GetExtent()
    first = (extent[4], extent[2], extent[0])
    if scalars is None or not scalars.GetNumberOfTuples():
        return np.zeros((0, 0, 0), dtype=np.uint8), first
    return vtk_to_numpy(scalars).reshape(labelmap.GetDimensions()[::-1]), first


def unionMask(segmentationNode, volumeNode) -> np.ndarray:
    """Bool [k, j, i] on the volume's grid: where any segment lies."""
    geometry = geometryOf(volumeNode)
    union = _unionOfLayers(segmentationNode, geometry)
    if union is not None:
        return union
    filled = list(storedMasks(segmentationNode))
    return numbersOf(segmentationNode, filled, volumeNode) > 0 if filled else np.zeros(geometry.shape, dtype=bool)


def paintedState(segmentationNode) -> tuple:
    """Changes with every brush stroke, which touches a segment's labelmap only, no segment and no segmentation."""
    segmentation = segmentationNode.GetSegmentation()
    segments = [(id_, segmentation.GetSegment(id_)) for id_ in segmentIds(segmentationNode)]
    labelmaps = [(id_, segment.GetRepresentation(labelmapName())) for id_, segment in segments]
    return tuple((id_, labelmap.GetMTime() if labelmap is not None else 0) for id_, labelmap in labelmaps)


def labelmapName() -> str:
    """How Slicer calls the representation of segments by voxels."""
    return slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def _unionOfLayers(segmentationNode, geometry: Geometry) -> np.ndarray | None:
    """Where any segment lies, read from the labelmaps that segments share, whose number hardly grows with theirs:
    merging them one by one takes seconds on a large scan. None where they lie on another grid than ``geometry``."""
    segmentation, name = segmentationNode.GetSegmentation(), labelmapName()
    if segmentationNode.GetParentTransformNode() is not None or not segmentation.ContainsRepresentation(name):
        return None
    union = np.zeros(geometry.shape, dtype=bool)
    for labelmap, ids in _layers(segmentation):
        if not _liesOn(labelmap, geometry):
            return None
        values = [segmentation.GetSegment(id_).GetLabelValue() for id_ in ids]
        _mark(union, labelmap, values)
    return union


def _liesOn(labelmap, geometry: Geometry) -> bool:
    """Whether a labelmap's voxels are those of the grid."""
    toWorld = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(toWorld)
    return bool(np.abs(slicer.util.arrayFromVTKMatrix(toWorld) - LPS_TO_RAS @ geometry.ijk_to_world).max() <= _SAME_MM)


def _fills(labelmap, geometry: Geometry) -> bool:
    """Whether a labelmap's voxels are those of the grid, or such as they are divided into along their axes."""
    toWorld = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(toWorld)
    inGrid = np.linalg.inv(LPS_TO_RAS @ geometry.ijk_to_world) @ slicer.util.arrayFromVTKMatrix(toWorld)
    sizes = np.diag(inGrid)[:3]
    wanted = np.diag([*sizes, 1.0])
    wanted[:3, 3] = (sizes - 1) / 2  # they begin where the first voxel of the grid does
    off = np.abs(inGrid - wanted)[:3] * np.asarray(geometry.spacing)[:, None]
    return bool((sizes > 0).all() and off.max() <= _SAME_MM)


def _mark(union: np.ndarray, labelmap, values: list[int]) -> None:
    """Set ``union`` where a labelmap, which may reach over its borders, has one of the values."""
    whole, firsts = _voxelsOf(labelmap)
    inner = [
        (max(first, 0), min(first + n, end)) for first, n, end in zip(firsts, whole.shape, union.shape, strict=True)
    ]
    if all(low < high for low, high in inner):
        part = whole[tuple(slice(low - first, high - first) for (low, high), first in zip(inner, firsts, strict=True))]
        union[tuple(slice(low, high) for low, high in inner)] |= np.isin(
            part, np.asarray(values, dtype=np.int64), kind="table"
        )


def numbersOf(segmentationNode, ids: list[str], volumeNode) -> np.ndarray:
    """[k, j, i] on the volume's grid: 1 for the first segment of ``ids``, 2 for the second, ...; the later one wins."""
    shape = geometryOf(volumeNode).shape
    wanted = vtk.vtkStringArray()
    for id_ in ids:
        wanted.InsertNextValue(id_)
    merged = slicer.vtkOrientedImageData()
    slicer.vtkSlicerSegmentationsModuleLogic.GenerateMergedLabelmapInReferenceGeometry(
        segmentationNode, volumeNode, wanted, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY, merged
    )
    scalars = merged.GetPointData().GetScalars()
    if scalars is None or merged.GetDimensions()[::-1] != shape:
        return np.zeros(shape, dtype=np.int16)
    return vtk_to_numpy(scalars).reshape(shape).copy()


def countMarked(node) -> int:
    """How many segments hold a voxel; 0 of None."""
    return 0 if node is None else len(storedMasks(node))


def setSegmentMask(segmentationNode, segmentId: str, placed: PlacedMask, geometry: Geometry) -> None:
    """Fill a segment with a mask that lies on a grid of ``geometry``, in place of what it held."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    if not logic.SetBinaryLabelmapToSegment(imageOf(placed, geometry), segmentationNode, segmentId, logic.MODE_REPLACE):
        raise RuntimeError(f"Segment {segmentId} of {segmentationNode.GetName()} took no voxels.")


def toRas(lps) -> list[float]:
    """A world point LPS mm as RAS mm, and the other way round."""
    return (LPS_TO_RAS[:3, :3] @ lps).tolist()
