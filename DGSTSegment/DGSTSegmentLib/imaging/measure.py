"""Measurements of one region: volume, extent, centroid, and the radiologist's long and short axis.

The outline of a region runs half way between the centres of its voxels and of their neighbours outside, that is through
the middles of the voxels' edges. So a row of voxels is as long as its voxels together and a single one as wide as its
spacing, and a round node is not made larger by the corners of its voxels.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from .axial import HALF, AxialSlices, axial_slices
from .volume import Volume

_LINES_AT_ONCE = 64

# Pieces of outline in a cell between four neighbouring centres, by which of them are inside (bits 0 to 3 for the
# corners below); each runs from a side to a side, and a side is a pair of corners. Corners inside that touch only
# diagonally stay connected.
_CORNERS = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
_TOP, _LEFT, _RIGHT, _BOTTOM = (0, 1), (0, 2), (1, 3), (2, 3)
_NONE = ((-1, -1), (-1, -1))
_PIECES = np.array(
    [
        (_NONE, _NONE),
        ((_TOP, _LEFT), _NONE),
        ((_TOP, _RIGHT), _NONE),
        ((_LEFT, _RIGHT), _NONE),
        ((_LEFT, _BOTTOM), _NONE),
        ((_TOP, _BOTTOM), _NONE),
        ((_TOP, _LEFT), (_RIGHT, _BOTTOM)),
        ((_RIGHT, _BOTTOM), _NONE),
        ((_RIGHT, _BOTTOM), _NONE),
        ((_TOP, _RIGHT), (_LEFT, _BOTTOM)),
        ((_TOP, _BOTTOM), _NONE),
        ((_LEFT, _BOTTOM), _NONE),
        ((_LEFT, _RIGHT), _NONE),
        ((_TOP, _RIGHT), _NONE),
        ((_TOP, _LEFT), _NONE),
        (_NONE, _NONE),
    ]
)


def axes_mm(region: Volume) -> tuple[float, float]:
    """Long and short axis (mm) of the region, as a radiologist measures a lymph node.

    On the slice of the patient's axial plane where the region's diameter is longest, the long axis is that diameter
    and the short axis the longest chord perpendicular to it inside the outline (holes count as inside). Oblique
    volumes are resampled to axial slices first. Pieces that lie beside each other in a slice are measured across.

    Args:
        region: boolean mask of one finding, with at least one voxel; best cropped to it.
    """
    outline, long_axis = _longest_diameter(axial_slices(region))
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


def _row_ends(mask: np.ndarray) -> np.ndarray:
    """Indices (n, mask.ndim) of the first and last voxel of every row; they hold all the mask's extremes."""
    rows = np.argwhere(mask.any(axis=-1))
    lines = mask[tuple(rows.T)]
    first = lines.argmax(axis=1)
    last = mask.shape[-1] - 1 - lines[:, ::-1].argmax(axis=1)
    return np.concatenate([np.column_stack([rows, first]), np.column_stack([rows, last])])


def _longest_diameter(slices: AxialSlices) -> tuple[np.ndarray, np.ndarray]:
    """Of the slice with the longest diameter, the outline (n pieces, 2 ends, 2; mm) and that diameter as a vector."""
    at_most = {k: np.linalg.norm((size + 2) * slices.pixels) for k, size in slices.sizes().items()}
    best, longest = np.empty((0, 2, 2)), np.zeros(2)
    for k in sorted(at_most, key=at_most.get, reverse=True):
        if at_most[k] <= np.linalg.norm(longest):
            break
        outline = _outline(slices.share(k)) * slices.pixels
        diameter = _diameter(outline.reshape(-1, 2))
        if np.linalg.norm(diameter) > np.linalg.norm(longest):
            best, longest = outline, diameter
    return best, longest


def _diameter(points: np.ndarray) -> np.ndarray:
    """The vector between the two of ``points`` that lie furthest apart."""
    hull = points[ConvexHull(points).vertices]
    vectors = hull[:, None] - hull
    return vectors.reshape(-1, 2)[int((vectors**2).sum(axis=-1).argmax())]


def _outline(share: np.ndarray) -> np.ndarray:
    """Pieces (n, 2 ends, 2) of the outer line, in pixels, along which the share in a slice passes one half."""
    share = np.pad(share, 1)
    inside = share >= HALF
    share[ndimage.binary_fill_holes(inside) & ~inside] = 1
    inside = (share >= HALF).astype(np.uint8)
    cells = inside[:-1, :-1] | inside[:-1, 1:] << 1 | inside[1:, :-1] << 2 | inside[1:, 1:] << 3
    where = np.argwhere((cells > 0) & (cells < 0b1111))
    sides = _PIECES[cells[tuple(where.T)]]
    corners = (where[:, None, None, None] + _CORNERS[sides])[sides[:, :, 0, 0] >= 0]
    return _crossings(share, corners[:, :, 0], corners[:, :, 1]) - 1


def _crossings(share: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Between the pixels ``start`` and ``end`` (..., 2), where the share, linear between them, is one half."""
    at_start, at_end = share[start[..., 0], start[..., 1]], share[end[..., 0], end[..., 1]]
    # Kept off the pixels' centres, so that a share of exactly one half still has an outline around it.
    fraction = np.clip((HALF - at_start) / (at_end - at_start), 0.01, 0.99)
    return start + fraction[..., None] * (end - start)


def _longest_chord_across(outline: np.ndarray, long_axis: np.ndarray) -> float:
    """Length (mm) of the longest chord perpendicular to ``long_axis`` inside the outline's pieces (n, 2, 2; mm)."""
    along = long_axis / np.linalg.norm(long_axis)
    u, v = outline @ along, outline @ np.array([-along[1], along[0]])
    # Between neighbouring vertices the chords' lengths are linear, so the longest lies just beside a vertex.
    nearly = 1e-6 * np.linalg.norm(long_axis)
    lines = np.sort((np.unique(u)[:, None] + [-nearly, nearly]).ravel())
    first, last = u.min(axis=1), u.max(axis=1)
    longest = 0.0
    for some in np.array_split(lines, math.ceil(len(lines) / _LINES_AT_ONCE)):
        met = (first <= some[-1]) & (last >= some[0])
        longest = max(longest, _longest_chord_on(some[:, None], u[met], v[met]))
    return longest


def _longest_chord_on(lines: np.ndarray, u: np.ndarray, v: np.ndarray) -> float:
    """Of the chords on lines (n, 1) of equal u between pieces whose ends (m, 2) lie at ``u`` and ``v``."""
    crossed = (u[:, 0] <= lines) != (u[:, 1] <= lines)
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = v[:, 0] + (lines - u[:, 0]) * (v[:, 1] - v[:, 0]) / (u[:, 1] - u[:, 0])
    heights = np.sort(np.where(crossed, heights, np.inf), axis=1)[:, : int(crossed.sum(axis=1).max())]
    with np.errstate(invalid="ignore"):
        chords = heights[:, 1::2] - heights[:, 0::2]
    return float(chords[np.isfinite(chords)].max(initial=0.0))
