"""Measurements of one region: volume, extent, centroid, and the radiologist's long and short axis.

The outline of a region runs half way between the centres of its voxels and of their neighbours outside, through the
middles of the voxels' faces. So a single voxel is as wide as its spacing, and neither blocky corners nor the rows of
centres bias the axes of a round node.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from .geometry import Geometry
from .orientation import to_lps_order
from .resample import resample_to
from .volume import Volume

_OBLIQUE_FROM_DEGREES = 1.0
_MOST_SAMPLES = 2_000_000

# The pieces of outline in a cell between four neighbouring centres, by which of them are inside (bits: corners
# (0,0), (0,1), (1,0), (1,1)); ends are offsets from corner (0,0) in half pixels. Inside corners that touch only
# diagonally stay connected.
_TOP, _LEFT, _RIGHT, _BOTTOM = (0, 1), (1, 0), (1, 2), (2, 1)
_PIECES = {
    0b0001: [(_TOP, _LEFT)],
    0b0010: [(_TOP, _RIGHT)],
    0b0011: [(_LEFT, _RIGHT)],
    0b0100: [(_LEFT, _BOTTOM)],
    0b0101: [(_TOP, _BOTTOM)],
    0b0110: [(_TOP, _LEFT), (_RIGHT, _BOTTOM)],
    0b0111: [(_RIGHT, _BOTTOM)],
    0b1000: [(_RIGHT, _BOTTOM)],
    0b1001: [(_TOP, _RIGHT), (_LEFT, _BOTTOM)],
    0b1010: [(_TOP, _BOTTOM)],
    0b1011: [(_LEFT, _BOTTOM)],
    0b1100: [(_LEFT, _RIGHT)],
    0b1101: [(_TOP, _RIGHT)],
    0b1110: [(_TOP, _LEFT)],
}


def axes_mm(region: Volume) -> tuple[float, float]:
    """Long and short axis (mm) of the region, as a radiologist measures a lymph node.

    On the slice of the patient's axial plane where the region's diameter is longest, the long axis is that diameter
    and the short axis the longest chord perpendicular to it inside the outline (holes count as inside). Oblique
    volumes are resampled to axial slices first.

    Args:
        region: boolean mask of one finding, with at least one voxel; best cropped to it.
    """
    axial = _axial(region)
    pixels = np.array(axial.geometry.spacing_kji[1:])
    k, long_axis = _longest_diameter(axial.array, pixels)
    outline = _outline(ndimage.binary_fill_holes(axial.array[k])) * pixels
    return float(np.linalg.norm(long_axis)), _longest_chord_across(outline, long_axis)


def extent_mm(region: Volume) -> tuple[float, float, float]:
    """Size (mm) of the region's box along the patient's axes x, y, z (LPS)."""
    ends = region.geometry.to_world(_row_ends(region.array))
    half_voxels = np.abs(region.geometry.ijk_to_world[:3, :3]).max(axis=1)
    return tuple(float(size) for size in np.ptp(ends, axis=0) + half_voxels)


def centroid(region: Volume) -> tuple[float, float, float]:
    """Mean position (LPS mm) of the region's voxels."""
    counts = [region.array.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    index = [float(count @ np.arange(len(count)) / count.sum()) for count in counts]
    return tuple(float(x) for x in region.geometry.to_world(index))


def _axial(region: Volume) -> Volume:
    """The region with k running through the patient's axial slices."""
    ordered = to_lps_order(region)
    slope = np.abs(ordered.geometry.direction[2, :2]).max()
    if slope <= np.sin(np.radians(_OBLIQUE_FROM_DEGREES)):
        return ordered
    padded = _padded(ordered)
    mask = padded.with_array(padded.array.astype(np.float32))
    grid = _axial_grid(padded.geometry, centroid(region))
    sampled = resample_to(mask, grid, "linear", outside=0.0).array >= 0.5
    if not sampled.any():
        sampled = resample_to(mask, grid, "nearest").array >= 0.5
    return Volume(sampled, grid)


def _axial_grid(geometry: Geometry, centre: tuple[float, float, float]) -> Geometry:
    """A grid along the patient's axes with a voxel at ``centre`` that covers ``geometry``'s box, twice as fine as it in
    plane, coarser where that would be too many voxels."""
    corners = geometry.corners()
    step = min(geometry.spacing)
    spacing = np.array([step / 2, step / 2, step])
    samples = np.prod(np.ptp(corners, axis=0) / spacing)
    spacing *= max(1.0, (samples / _MOST_SAMPLES) ** (1 / 3))
    before = np.ceil((np.array(centre) - corners.min(axis=0)) / spacing)
    after = np.ceil((corners.max(axis=0) - np.array(centre)) / spacing)
    shape = (before + after + 1).astype(int)
    return Geometry.from_parts(tuple(shape[::-1]), spacing, np.array(centre) - before * spacing)


def _padded(region: Volume) -> Volume:
    matrix = region.geometry.ijk_to_world.copy()
    matrix[:3, 3] = region.geometry.to_world([-1, -1, -1])
    array = np.pad(region.array, 1)
    return Volume(array, Geometry(array.shape, matrix))


def _row_ends(mask: np.ndarray) -> np.ndarray:
    """Indices (n, mask.ndim) of the first and last voxel of every row; they hold all the mask's extremes."""
    rows = np.argwhere(mask.any(axis=-1))
    lines = mask[tuple(rows.T)]
    first = lines.argmax(axis=1)
    last = mask.shape[-1] - 1 - lines[:, ::-1].argmax(axis=1)
    return np.concatenate([np.column_stack([rows, first]), np.column_stack([rows, last])])


def _longest_diameter(mask: np.ndarray, pixels: np.ndarray) -> tuple[int, np.ndarray]:
    """The slice with the longest diameter, and that diameter as a vector (mm) in the slice."""
    outer_points = {k: _edge_points(mask[k]) * pixels for k in np.flatnonzero(mask.any(axis=(1, 2)))}
    at_most = {k: np.linalg.norm(np.ptp(points, axis=0)) for k, points in outer_points.items()}
    slice_of_longest, longest = 0, np.zeros(2)
    for k in sorted(at_most, key=at_most.get, reverse=True):
        if at_most[k] <= np.linalg.norm(longest):
            break
        diameter = _diameter(outer_points[k])
        if np.linalg.norm(diameter) > np.linalg.norm(longest):
            slice_of_longest, longest = int(k), diameter
    return slice_of_longest, longest


def _edge_points(mask: np.ndarray) -> np.ndarray:
    """Middles (n, 2; pixels) of the pixels' edges at the ends of every row."""
    middles = np.array([(-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5)])
    return (_row_ends(mask)[:, None] + middles).reshape(-1, 2)


def _diameter(points: np.ndarray) -> np.ndarray:
    """The vector between the two of ``points`` that lie furthest apart."""
    hull = points[ConvexHull(points).vertices]
    vectors = hull[:, None] - hull
    return vectors.reshape(-1, 2)[int((vectors**2).sum(axis=-1).argmax())]


def _outline(mask: np.ndarray) -> np.ndarray:
    """Pieces (n, 2 ends, 2) of the outline of a 2D mask, in pixels."""
    inside = np.pad(mask, 1).astype(np.uint8)
    cells = inside[:-1, :-1] | inside[:-1, 1:] << 1 | inside[1:, :-1] << 2 | inside[1:, 1:] << 3
    pieces = [
        np.argwhere(cells == kind)[:, None] - 1 + np.array(piece) / 2
        for kind, of_kind in _PIECES.items()
        for piece in of_kind
    ]
    return np.concatenate(pieces)


def _longest_chord_across(outline: np.ndarray, long_axis: np.ndarray) -> float:
    """Length (mm) of the longest chord perpendicular to ``long_axis`` inside the outline's pieces (n, 2, 2; mm)."""
    along = long_axis / np.linalg.norm(long_axis)
    u, v = outline @ along, outline @ np.array([-along[1], along[0]])
    # Between neighbouring vertices the chords' lengths are linear, so the longest lies just beside a vertex.
    nearly = 1e-6 * np.linalg.norm(long_axis)
    lines = (np.unique(u)[:, None] + [-nearly, nearly]).ravel()[:, None]
    crossed = (u[:, 0] <= lines) != (u[:, 1] <= lines)
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = v[:, 0] + (lines - u[:, 0]) * (v[:, 1] - v[:, 0]) / (u[:, 1] - u[:, 0])
    heights = np.sort(np.where(crossed, heights, np.inf), axis=1)[:, : int(crossed.sum(axis=1).max())]
    with np.errstate(invalid="ignore"):
        chords = heights[:, 1::2] - heights[:, 0::2]
    return float(chords[np.isfinite(chords)].max())
