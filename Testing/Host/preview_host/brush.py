"""Which voxels a brush of Slicer's segment editor covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonMath import vtkMatrix4x4


@dataclass(frozen=True)
class Brush:
    """A ball, or a disk as thick as a slice.

    Attributes:
        radius: mm.
        normal: unit vector across the disk; None for a ball.
        half_thickness: of the disk, mm.
    """

    radius: float
    normal: np.ndarray | None = None
    half_thickness: float = 0.0

    def covers(self, offsets: np.ndarray) -> np.ndarray:
        """Bool (...): which points, given as mm (..., 3) from the brush's middle, are inside."""
        squared = (offsets**2).sum(-1)
        if self.normal is None:
            return squared <= self.radius**2
        along = offsets @ self.normal
        return (squared - along**2 <= self.radius**2) & (np.abs(along) <= self.half_thickness)

    @property
    def reach(self) -> float:
        """No covered point is farther away, mm."""
        return float(np.hypot(self.radius, self.half_thickness))


def stamp(labelmap, brush: Brush, centers) -> bool:
    """Set to 1 the voxels of a vtkOrientedImageData that the brush covers at any of the world points.

    Returns:
        whether there were any.
    """
    extent = np.array(labelmap.GetExtent()).reshape(3, 2)
    shape = (extent[:, 1] - extent[:, 0] + 1)[::-1]
    voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(shape)
    to_world = _image_to_world(labelmap)
    touched = [_stamp_one(voxels, extent, to_world, brush, np.asarray(center)) for center in centers]
    labelmap.GetPointData().GetScalars().Modified()
    labelmap.Modified()
    return any(touched)


def _stamp_one(voxels: np.ndarray, extent: np.ndarray, to_world: np.ndarray, brush: Brush, center: np.ndarray) -> bool:
    inverse = np.linalg.inv(to_world)
    middle = inverse[:3, :3] @ center + inverse[:3, 3]
    reach = brush.reach * np.linalg.norm(inverse[:3, :3], axis=1)
    low = np.maximum(np.ceil(middle - reach), extent[:, 0]).astype(int)
    high = np.minimum(np.floor(middle + reach), extent[:, 1]).astype(int) + 1
    if (low >= high).any():
        return False
    ijk = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    inside = brush.covers((ijk - middle) @ to_world[:3, :3].T).transpose(2, 1, 0)
    (i0, j0, k0), (i1, j1, k1) = low - extent[:, 0], high - extent[:, 0]
    voxels[k0:k1, j0:j1, i0:i1][inside] = 1
    return bool(inside.any())


def _image_to_world(labelmap) -> np.ndarray:
    matrix = vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
