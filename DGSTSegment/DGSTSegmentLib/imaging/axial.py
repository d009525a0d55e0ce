"""A region in the patient's axial slices, whatever the directions of the grid that it was marked on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .components import pieces_of
from .geometry import Geometry
from .orientation import to_lps_order
from .resample import resample_to
from .volume import Volume

HALF = 0.5
_OBLIQUE_FROM_DEGREES = 1.0
_MOST_SAMPLES = 2_000_000


@dataclass(frozen=True)
class Part:
    """Where something of the region lies.

    Args:
        first: index (k, j, i) of the part's first point on the grid that all parts share.
        share: float32 [k, j, i], how much of each point lies in the region, 0 to 1.
    """

    first: np.ndarray
    share: np.ndarray


@dataclass(frozen=True)
class AxialSlices:
    """How much of each point of the patient's axial slices lies in a region; 0 outside of the parts.

    Args:
        pixels: spacing (j, i) of the points in a slice, mm.
        parts: they may lie beside each other in a slice.
    """

    pixels: np.ndarray
    parts: list[Part]

    def sizes(self) -> dict[int, np.ndarray]:
        """Of each slice k in which a point is at least half inside, the rows and columns (2) from the first such point
        to the last."""
        ends: dict[int, list[np.ndarray]] = {}
        for part in self.parts:
            inside = part.share >= HALF
            for k in np.flatnonzero(inside.any(axis=(1, 2))):
                places = [np.flatnonzero(inside[k].any(axis=axis))[[0, -1]] for axis in (1, 0)]
                ends.setdefault(int(k + part.first[0]), []).append(np.transpose(places) + part.first[1:])
        return {k: np.ptp(np.concatenate(places), axis=0) for k, places in ends.items()}

    def share(self, k: int) -> np.ndarray:
        """The share of each point [j, i] in slice ``k``, around all parts that it meets."""
        met = [part for part in self.parts if 0 <= k - part.first[0] < len(part.share)]
        if len(met) == 1:
            return met[0].share[k - met[0].first[0]]
        low = np.min([part.first[1:] for part in met], axis=0)
        high = np.max([part.first[1:] + part.share.shape[1:] for part in met], axis=0)
        whole = np.zeros(high - low, dtype=np.float32)
        for part in met:
            (j, i), one = part.first[1:] - low, part.share[k - part.first[0]]
            place = whole[j : j + one.shape[0], i : i + one.shape[1]]
            np.maximum(place, one, out=place)
        return whole


def axial_slices(region: Volume) -> AxialSlices:
    """The region in slices along the patient's axes: its own where they run so, else sampled linearly between its
    voxels, as finely as its finest axis unless that makes too many points.

    Args:
        region: boolean mask with at least one voxel.

    Returns:
        Slices of which at least one holds a point that is wholly inside.
    """
    ordered = to_lps_order(region)
    slope = np.abs(ordered.geometry.direction[2, :2]).max()
    if slope <= np.sin(np.radians(_OBLIQUE_FROM_DEGREES)):
        share = ordered.array.astype(np.float32)
        return AxialSlices(np.array(ordered.geometry.spacing_kji[1:]), [Part(np.zeros(3, dtype=int), share)])
    finest = min(region.geometry.spacing)
    pieces = [ordered] if _samples(ordered.geometry, finest) <= _MOST_SAMPLES else _pieces(ordered)
    most = max(_samples(piece.geometry, finest) for piece in pieces)
    spacing = finest * max(1.0, (most / _MOST_SAMPLES) ** (1 / 3))
    point = _middle_voxel(ordered)
    return AxialSlices(np.full(2, spacing), [_sampled(piece, point, spacing) for piece in pieces])


def _samples(geometry: Geometry, spacing: float) -> float:
    """About how many points ``spacing`` (mm) apart fill the grid's box along the patient's axes."""
    return float(np.prod(np.ptp(geometry.corners(), axis=0) / spacing))


def _pieces(region: Volume) -> list[Volume]:
    """Each 26-connected component, cropped to itself. No point between voxels has voxels of two as neighbours."""
    return [Volume(piece, region.geometry.cropped(box)) for box, piece in pieces_of(region.array)]


def _middle_voxel(region: Volume) -> np.ndarray:
    """Where (LPS mm) a voxel of the region lies: near its middle, so that one of the slices cuts it there."""
    in_slice = region.array.sum(axis=(1, 2))
    slices = np.flatnonzero(in_slice)
    k = slices[np.abs(slices - np.average(slices, weights=in_slice[slices])).argmin()]
    rows_columns = np.argwhere(region.array[k])
    places = region.geometry.to_world(np.column_stack([np.full(len(rows_columns), k), rows_columns]))
    return places[np.linalg.norm(places - places.mean(axis=0), axis=1).argmin()]


def _sampled(piece: Volume, point: np.ndarray, spacing: float) -> Part:
    """The share on the grid along the patient's axes that has a point at ``point`` (LPS mm), around the piece."""
    padded = Volume(np.pad(piece.array.astype(np.float32), 1), piece.geometry.padded(1))
    corners = (padded.geometry.corners() - point) / spacing
    first, last = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    grid = Geometry.from_parts(tuple((last - first + 1)[::-1]), np.full(3, spacing), point + first * spacing)
    return Part(first[::-1], resample_to(padded, grid, "linear", outside=0.0).array)
