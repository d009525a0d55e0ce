"""What is known of each voxel of a case: node, background, or nothing."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..imaging.components import pieces_of
from ..imaging.volume import Volume
from .case import Case

UNKNOWN, NODE, BACKGROUND, TRUSTED, OUTSIDE, NEAR, REJECTED = 0, 1, 2, 3, 4, 5, 6
"""Codes of a knowledge map (uint8): nothing known; a marked node; background that the user's marks imply; background
because no lymph node has that density; no voxel of the scan (in patches that reach over its end); near a marked node,
and so background unless a model calls it node; background because the user rejected what a model called node there."""

RING_MM, RIM_MM = 8.0, 2.0
DARKEST_NODE_HU, BRIGHTEST_NODE_HU = -50.0, 300.0


def knowledge_of(case: Case) -> np.ndarray:
    """The knowledge map (uint8, k j i, on the image's grid) that a case's annotation and completeness give.

    ``all``: every voxel is known. ``region``: every voxel inside the region is; outside it, trusted background only.
    ``marked``: what is marked; background in a rim of 2 mm around it, which is where its contour was drawn, whatever
    a model says; ``NEAR`` from there to 8 mm; trusted background elsewhere. Rejected findings are ``REJECTED`` in all
    three, and what the annotation itself leaves open is unknown.
    """
    nodes = case.annotation.array > 0
    if case.completeness == "all":
        knowledge = np.full(nodes.shape, BACKGROUND, dtype=np.uint8)
    else:
        knowledge = np.full(nodes.shape, UNKNOWN, dtype=np.uint8)
        knowledge[beyond_node_density(case.image)] = TRUSTED
    if case.completeness == "region":
        knowledge[case.region.array] = BACKGROUND
    elif case.completeness == "marked":
        ring = ring_around(case.annotation)
        knowledge[ring] = np.where(knowledge[ring] == UNKNOWN, NEAR, BACKGROUND)
        knowledge[ring_around(case.annotation, RIM_MM)] = BACKGROUND
    if case.unknown is not None:
        knowledge[case.unknown.array] = UNKNOWN
    if case.rejected is not None:
        knowledge[case.rejected.array] = REJECTED
    knowledge[nodes] = NODE
    return knowledge


def settled(knowledge: np.ndarray, called_node: np.ndarray) -> np.ndarray:
    """A knowledge map in which ``NEAR`` was decided: unknown where a model calls the voxel node (bool, same grid), as
    it may be one that nobody marked; background elsewhere."""
    near, decided = knowledge == NEAR, knowledge.copy()
    decided[near] = np.where(called_node[near], UNKNOWN, BACKGROUND)
    return decided


def beyond_node_density(image: Volume) -> np.ndarray:
    """Voxels (bool) whose median HU over 3x3x3 neighbours is below -50 or above 300: air, fat, bone, dense contrast.

    But for those that lie in a square of 3x3 voxels of a slice none of which is: small nodes, and all nodes in thick
    slices, have mostly fat around them. Noise in fat seldom fills such a square. (The median of 27 values lies below a
    threshold exactly when 14 of them do, so a box filter gives it.)
    """
    dark, bright = image.array < DARKEST_NODE_HU, image.array > BRIGHTEST_NODE_HU
    in_slice = tuple(axis for axis in range(3) if axis != int(np.argmax(image.geometry.spacing_kji)))
    return np.logical_or(*(_most_neighbours(mask) & ~_squares(~mask, in_slice) for mask in (dark, bright)))


def ring_around(annotation: Volume, width_mm: float = RING_MM) -> np.ndarray:
    """Voxels (bool) outside the marked ones whose centre lies within ``width_mm`` of a marked one."""
    marked = annotation.array > 0
    ring = np.zeros(marked.shape, dtype=bool)
    spacing = np.asarray(annotation.geometry.spacing_kji)
    reach = np.ceil(width_mm / spacing).astype(int)
    for box, _ in pieces_of(marked):
        near = tuple(slice(max(0, part.start - n), part.stop + n) for part, n in zip(box, reach, strict=True))
        distance = ndimage.distance_transform_edt(~marked[near], sampling=spacing)
        ring[near] |= distance <= width_mm
    return ring & ~marked


def _squares(mask: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Voxels that lie in a square of 3x3 voxels of the mask along two axes: its opening."""
    return _grown(~_grown(~mask, axes), axes)


def _grown(mask: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The mask and its neighbours along the axes; plain shifts, which whole scans take many times less long with than
    with a general dilation."""
    for axis in axes:
        before, grown = np.moveaxis(mask, axis, 0), mask.copy()
        along = np.moveaxis(grown, axis, 0)
        along[1:] |= before[:-1]
        along[:-1] |= before[1:]
        mask = grown
    return mask


def _most_neighbours(mask: np.ndarray) -> np.ndarray:
    share = ndimage.uniform_filter(mask.astype(np.float32), size=3, mode="nearest")
    return share > 13.5 / 27
