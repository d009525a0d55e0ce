"""Lymph nodes: their sizes, shapes and places along the vessels."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from .body import Vessel, smooth_noise
from .canvas import Canvas, Ellipsoid
from .domains import Domain

# Soft tissue may cover this much of a place at most before a node is put elsewhere: nodes lie in fat.
MOST_TISSUE = 0.35
MOST_TRIES = 60


def paint_nodes(canvas: Canvas, domain: Domain, vessels: list[Vessel], rng: np.random.Generator) -> np.ndarray:
    """Paint nodes; returns their label values (uint8, k j i), one a node, 0 elsewhere."""
    labels = np.zeros(canvas.hu.shape, dtype=np.uint8)
    if rng.random() < domain.empty_scans:
        return labels
    wanted = int(rng.integers(domain.node_count[0], domain.node_count[1] + 1))
    placed: list[Ellipsoid] = []
    while len(placed) < wanted:
        beside = placed[-1] if placed and rng.random() < 0.2 else None
        node = _place(canvas, labels, _sample_shape(domain, rng), vessels, beside, rng)
        if node is None:
            wanted -= 1
            continue
        placed.append(node)
        _paint_node(canvas, domain, node, labels, len(placed), rng)
    return labels


def paint_lookalikes(
    canvas: Canvas, domain: Domain, vessels: list[Vessel], labels: np.ndarray, rng: np.random.Generator
) -> None:
    """Paint round structures that are no nodes beside the vessels, off the nodes in ``labels``."""
    if domain.lookalike_count[1] == 0:
        return
    taken = labels.copy()
    for _ in range(rng.integers(domain.lookalike_count[0], domain.lookalike_count[1] + 1)):
        lookalike = _place(canvas, taken, _sample_shape(domain, rng), vessels, None, rng)
        if lookalike is None:
            continue
        coverage, box = canvas.cover(lookalike)
        texture = domain.node_texture_hu * smooth_noise(coverage.shape, canvas.spacing, 2.5, rng)
        canvas.paint(coverage * (labels[box] == 0), box, rng.uniform(*domain.lookalike_hu) + texture)
        taken[box][coverage > 0.5] = 255


def _sample_shape(domain: Domain, rng: np.random.Generator) -> Ellipsoid:
    if rng.random() < domain.small_nodes:
        long_axis = rng.uniform(4.0, 9.0)
    else:
        long_axis = float(np.clip(domain.long_axis_mm * np.exp(rng.normal(0, 0.32)), 9.0, 34.0))
    semi_axes = long_axis / 2 * np.array([rng.uniform(0.75, 1.25), rng.uniform(0.55, 0.95), 1.0])
    upright_turn = Rotation.from_rotvec([rng.uniform(0, np.pi), *rng.normal(0, 0.35, 2)]).as_matrix()
    return Ellipsoid(np.zeros(3), semi_axes, upright_turn, 0.06, rng.uniform(0, 6))


def _place(
    canvas: Canvas,
    labels: np.ndarray,
    shape: Ellipsoid,
    vessels: list[Vessel],
    beside: Ellipsoid | None,
    rng: np.random.Generator,
) -> Ellipsoid | None:
    """``shape`` moved to a place in fat beside a vessel, or touching the node ``beside``; None if none is free."""
    for _ in range(MOST_TRIES):
        center = _beside_vessel(canvas, shape, vessels, rng) if beside is None else _beside_node(beside, shape, rng)
        node = Ellipsoid(center, shape.semi_axes, shape.rotation, shape.bumps, shape.phase)
        if _is_within(canvas, node) and _is_free(canvas, labels, node, touching=beside is not None):
            return node
    return None


def _is_within(canvas: Canvas, node: Ellipsoid) -> bool:
    low, high = node.bounds()
    return bool((low >= canvas.spacing).all() and (high <= canvas.extent_mm - 2 * canvas.spacing).all())


def _is_free(canvas: Canvas, labels: np.ndarray, node: Ellipsoid, touching: bool) -> bool:
    """Whether a node can lie there: in the body, in fat, not in air or bone, and off other nodes but one it touches."""
    coverage, box = canvas.cover(node)
    inside = coverage > 0.5
    if inside.sum() < 4 or np.min((canvas.limits(box) * inside)[inside]) < 1:
        return False
    if (labels[box][inside] > 0).mean() > (0.15 if touching else 0):
        return False
    around = canvas.hu[box][inside]
    if (around < -200).mean() > 0.05 or (around > 300).mean() >= 0.02:
        return False
    return touching or bool((around > -20).mean() <= MOST_TISSUE)


def _beside_vessel(canvas: Canvas, shape: Ellipsoid, vessels: list[Vessel], rng: np.random.Generator) -> np.ndarray:
    vessel = vessels[rng.integers(len(vessels))]
    k = int(rng.integers(canvas.hu.shape[0]))
    away = vessel.radius[k] + shape.semi_axes[1:].mean() + rng.uniform(-0.5, 8.0)
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([k * canvas.spacing[0], *(vessel.course[k] + away * np.array([np.sin(angle), np.cos(angle)]))])


def _beside_node(other: Ellipsoid, shape: Ellipsoid, rng: np.random.Generator) -> np.ndarray:
    direction = rng.normal(0, 1, 3) * [0.5, 1, 1]
    direction /= np.linalg.norm(direction)
    return other.center + direction * (_reach(other, direction) + _reach(shape, direction)) * rng.uniform(0.92, 1.0)


def _reach(shape: Ellipsoid, direction: np.ndarray) -> float:
    return float(1 / np.linalg.norm(shape.rotation @ direction / shape.semi_axes))


def _paint_node(
    canvas: Canvas, domain: Domain, node: Ellipsoid, labels: np.ndarray, value: int, rng: np.random.Generator
) -> None:
    """Paint a node, some with a dark core or a fatty hilum, and enter it in ``labels`` as ``value``."""
    coverage, box = canvas.cover(node)
    free = labels[box] == 0
    texture = smooth_noise(coverage.shape, canvas.spacing, 2.5, rng)
    density = rng.uniform(*domain.node_hu)
    canvas.paint(coverage * free, box, density + domain.node_texture_hu * texture)
    is_large = node.semi_axes.min() > 4
    if is_large and rng.random() < domain.necrotic_nodes:
        core, core_box = canvas.cover(node.shrunk(rng.uniform(0.4, 0.65)))
        canvas.paint(core * (labels[core_box] == 0), core_box, density - rng.uniform(25, 40))
    elif is_large and rng.random() < 0.25:
        hilum = Ellipsoid(node.center, node.semi_axes * [0.35, 0.2, 0.35], node.rotation)
        hilum_cover, hilum_box = canvas.cover(hilum)
        canvas.paint(hilum_cover, hilum_box, -40.0)
    labels[box][free & (coverage > 0.5)] = value
