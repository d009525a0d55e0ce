"""Painting soft shapes into a volume of HU: each shape covers a voxel by a fraction, so that edges are partial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Axes = list[np.ndarray]
"""Coordinates (mm) along z, y and x of the planes of a grid."""


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with a slightly uneven surface.

    Args:
        center: (z, y, x) mm.
        semi_axes: half lengths along its own axes, mm.
        rotation: 3x3, rows are its own axes.
        bumps: height of the unevenness as a fraction of the distance from the centre.
        phase: where the bumps sit.
    """

    center: np.ndarray
    semi_axes: np.ndarray
    rotation: np.ndarray
    bumps: float = 0.0
    phase: float = 0.0

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest (z, y, x), mm, that the shape reaches."""
        reach = np.sqrt(((self.rotation * self.semi_axes[:, None]) ** 2).sum(axis=0)) * (1 + self.bumps)
        return self.center - reach, self.center + reach

    def distance(self, axes: Axes) -> np.ndarray:
        """Signed distance (mm, near the surface; negative inside) of each point (k, j, i) of the grid of ``axes``."""
        own = self._own(axes)
        radius = _length(own)
        slopes = [along / semi for along, semi in zip(own, self.semi_axes, strict=True)]
        steepness = np.maximum(_length(slopes), 1e-6)
        if self.bumps:
            first, second, third = (
                np.sin(4 * along + self.phase + later) for along, later in zip(own, (0.0, 2.0, 4.0), strict=True)
            )
            radius = radius * (1 + 2 * self.bumps * (first * second * third))
        return radius * (radius - 1) / steepness

    def _own(self, axes: Axes) -> list[np.ndarray]:
        """Coordinates along the own axes, in semi-axes: three arrays that broadcast to the grid of ``axes``.

        Where the own axes are the grid's, each has one value a plane; the large shapes of a body are such.
        """
        if np.array_equal(self.rotation, np.eye(3)):
            grid = np.ix_(*axes)
            return [(grid[n] - self.center[n]) / self.semi_axes[n] for n in range(3)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        turned = (points - self.center) @ self.rotation.T
        return [turned[..., n] / self.semi_axes[n] for n in range(3)]

    def shrunk(self, factor: float) -> Ellipsoid:
        return Ellipsoid(self.center, self.semi_axes * factor, self.rotation, self.bumps, self.phase)


def _length(vectors: list[np.ndarray]) -> np.ndarray:
    """Lengths of vectors whose three components these are."""
    first, second, third = vectors
    return np.sqrt(first * first + second * second + third * third)


class Canvas:
    """HU on a grid of ``shape`` (k, j, i) with ``spacing_kji`` mm, starting as ``fill``."""

    def __init__(self, shape: tuple[int, int, int], spacing_kji: tuple[float, float, float], fill: float):
        self.hu = np.full(shape, fill, dtype=np.float32)
        self.spacing = np.asarray(spacing_kji)
        self.edge_mm = float(np.prod(self.spacing) ** (1 / 3))
        self.extent_mm = self.spacing * shape
        self.within: np.ndarray | float = 1.0

    def paint(self, coverage: np.ndarray, box: tuple[slice, ...], hu: float | np.ndarray) -> None:
        """Mix ``hu`` into ``box`` by ``coverage`` (0 to 1), within the limits set."""
        here = self.hu[box]
        here += coverage * self.limits(box) * (hu - here)

    def limit(self, coverage: np.ndarray, box: tuple[slice, ...]) -> None:
        """Let nothing be painted outside ``coverage`` from now on."""
        self.within = np.zeros_like(self.hu)
        self.within[box] = coverage

    def limits(self, box: tuple[slice, ...]) -> np.ndarray | float:
        """The fraction of each voxel of ``box`` that may be painted."""
        return self.within if isinstance(self.within, float) else self.within[box]

    def cover(self, shape: Ellipsoid) -> tuple[np.ndarray, tuple[slice, ...]]:
        """The fraction of each voxel within ``shape``, and the box of voxels that this speaks of."""
        box = self.box_of(shape)
        return self.cover_in(box, shape), box

    def cover_in(self, box: tuple[slice, ...], shape: Ellipsoid) -> np.ndarray:
        """The fraction of each voxel of ``box`` within ``shape``."""
        return self._fraction(shape.distance(self._axes(box)))

    def box_of(self, shape: Ellipsoid) -> tuple[slice, ...]:
        """The voxels that ``shape`` can touch."""
        return self._box(*shape.bounds())

    def paint_shape(self, shape: Ellipsoid, hu: float) -> None:
        coverage, box = self.cover(shape)
        self.paint(coverage, box, hu)

    def paint_tube(self, course: np.ndarray, radius: np.ndarray, hu: float, wall: tuple[float, float] | None = None):
        """A tube through the slices.

        Args:
            course: (slices, 2) centre (y, x) mm in each slice.
            radius: (slices,) mm; 0 where the tube is absent.
            wall: thickness (mm) and HU of a wall around it.
        """
        beyond = self.edge_mm + (0.0 if wall is None else wall[0])
        for k in np.flatnonzero(radius > 0):
            box = (slice(k, k + 1), *self._square(course[k], radius[k] + beyond))
            _, y, x = self._axes(box)
            distance = np.hypot(y[:, None] - course[k, 0], x - course[k, 1]) - radius[k]
            if wall is not None:
                self.paint(self._fraction(distance - wall[0]), box, wall[1])
            self.paint(self._fraction(distance), box, hu)

    def _square(self, center: np.ndarray, reach_mm: float) -> tuple[slice, ...]:
        """The rows and columns of pixels within ``reach_mm`` of ``center`` (y, x) mm."""
        return self._box(np.array([0.0, *(center - reach_mm)]), np.array([0.0, *(center + reach_mm)]))[1:]

    def _box(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, ...]:
        """The voxels between ``low`` and ``high`` (z, y, x) mm, and one or two beside them."""
        first = np.clip(np.floor(low / self.spacing).astype(int) - 1, 0, self.hu.shape)
        stop = np.clip(np.ceil(high / self.spacing).astype(int) + 2, 0, self.hu.shape)
        return tuple(slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))

    def slice_heights(self) -> np.ndarray:
        """z of each slice, mm."""
        return np.arange(self.hu.shape[0]) * self.spacing[0]

    def _fraction(self, distance: np.ndarray) -> np.ndarray:
        return np.clip(0.5 - distance / self.edge_mm, 0.0, 1.0).astype(np.float32)

    def _axes(self, box: tuple[slice, ...]) -> Axes:
        return [np.arange(part.start, part.stop) * step for part, step in zip(box, self.spacing, strict=True)]
