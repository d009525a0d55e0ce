"""Where the voxels of a grid lie in the world."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From world coordinates as in ITK's files to those of MRML and NIfTI; the way back is the same."""
LPS_TO_RAS.setflags(write=False)


@dataclass(frozen=True, eq=False)
class Geometry:
    """A grid of voxels in the patient's world.

    Arrays are indexed ``[k, j, i]`` as SimpleITK, Slicer and nnU-Net do; points are ``(i, j, k)`` and ``(x, y, z)``.

    Args:
        shape: voxels along ``(k, j, i)``.
        ijk_to_world: 4x4 matrix from voxel indices (i, j, k, 1) to world coordinates in mm, LPS (as in ITK files).
            Voxel centres lie at whole indices. May be oblique, left-handed, permuted, anisotropic.

    Raises:
        ValueError: the shape is not three positive numbers, or the matrix is not an invertible 4x4 one.
    """

    shape: tuple[int, int, int]
    ijk_to_world: np.ndarray

    def __post_init__(self):
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"A grid has three positive sizes (k, j, i), not {self.shape}.")
        matrix = np.array(self.ijk_to_world, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise ValueError(f"A grid needs an invertible 4x4 IJK-to-world matrix, not {matrix.tolist()}.")
        matrix.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "ijk_to_world", matrix)

    @classmethod
    def from_parts(cls, shape, spacing, origin=(0.0, 0.0, 0.0), direction=None) -> Geometry:
        """From ITK's parts: ``shape`` (k, j, i), ``spacing`` (i, j, k) mm, ``origin`` LPS mm, ``direction`` 3x3
        with the axes' unit vectors as columns (identity when None)."""
        matrix = np.eye(4)
        directions = np.eye(3) if direction is None else np.asarray(direction, dtype=np.float64).reshape(3, 3)
        matrix[:3, :3] = directions * np.asarray(spacing, dtype=np.float64)
        matrix[:3, 3] = origin
        return cls(shape, matrix)

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along (i, j, k), mm."""
        return tuple(float(s) for s in np.linalg.norm(self.ijk_to_world[:3, :3], axis=0))

    @property
    def spacing_kji(self) -> tuple[float, float, float]:
        """Spacing in the order of the array's axes, mm."""
        return self.spacing[::-1]

    @property
    def origin(self) -> tuple[float, float, float]:
        """World coordinates (LPS, mm) of the centre of voxel (0, 0, 0)."""
        return tuple(float(x) for x in self.ijk_to_world[:3, 3])

    @cached_property
    def direction(self) -> np.ndarray:
        """3x3 matrix; column a is the unit world vector (LPS) of index axis a."""
        return self.ijk_to_world[:3, :3] / np.asarray(self.spacing)

    @cached_property
    def shear(self) -> float:
        """The largest cosine between two axes: 0 where all are perpendicular, as they are not with a tilted gantry."""
        return shear_of(self.ijk_to_world)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel, mL."""
        return float(abs(np.linalg.det(self.ijk_to_world[:3, :3]))) / 1000.0

    def to_world(self, kji: np.ndarray) -> np.ndarray:
        """World coordinates (..., 3; LPS mm) of voxel indices (..., 3) given as (k, j, i), fractions allowed."""
        ijk = np.asarray(kji, dtype=np.float64)[..., ::-1]
        return ijk @ self.ijk_to_world[:3, :3].T + self.ijk_to_world[:3, 3]

    def to_index(self, world: np.ndarray) -> np.ndarray:
        """Voxel indices (..., 3) as (k, j, i), with fractions, of world coordinates (..., 3; LPS mm)."""
        inverse = np.linalg.inv(self.ijk_to_world)
        ijk = np.asarray(world, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
        return ijk[..., ::-1]

    def corners(self) -> np.ndarray:
        """World coordinates (8, 3; LPS mm) of the grid's outer corners, at the voxels' edges."""
        ends = [(-0.5, n - 0.5) for n in self.shape]
        return self.to_world(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(8, 3))

    def cropped(self, box: tuple[slice, slice, slice]) -> Geometry:
        """The grid of the voxels in ``box``, slices (k, j, i) with a start and a stop that may lie outside of it."""
        return self._from_voxel([part.start for part in box], tuple(part.stop - part.start for part in box))

    def padded(self, voxels: int) -> Geometry:
        """The grid with ``voxels`` more on every side."""
        return self._from_voxel([-voxels] * 3, tuple(n + 2 * voxels for n in self.shape))

    def _from_voxel(self, first_kji: list[int], shape: tuple[int, int, int]) -> Geometry:
        matrix = self.ijk_to_world.copy()
        matrix[:3, 3] = self.to_world(first_kji)
        return Geometry(shape, matrix)

    def same_grid(self, other: Geometry, tolerance_mm: float = 1e-3) -> bool:
        """Whether both have the same shape and no voxel lies further than ``tolerance_mm`` from its counterpart."""
        return self.shape == other.shape and bool(np.abs(self.corners() - other.corners()).max() <= tolerance_mm)


def shear_of(matrix: np.ndarray) -> float:
    """The largest cosine between two axes of a 4x4 matrix from indices to world points; an axis without length has
    none with any other."""
    sizes = np.linalg.norm(matrix[:3, :3], axis=0)
    directions = matrix[:3, :3] / np.where(sizes > 0, sizes, 1)
    cosines = directions.T @ directions
    np.fill_diagonal(cosines, 0)
    return float(np.abs(cosines).max())
