"""The body around the nodes: fat, muscles, bone, airway, vessels, glands, lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from .canvas import Canvas, Ellipsoid
from .domains import Domain


@dataclass(frozen=True)
class Vessel:
    """A vessel's centre (y, x) mm and radius (mm) in each slice."""

    course: np.ndarray
    radius: np.ndarray


def paint_body(canvas: Canvas, domain: Domain, rng: np.random.Generator) -> list[Vessel]:
    """Paint a body onto a canvas of air; the vessels along which lymph nodes lie are returned."""
    middle = canvas.extent_mm / 2
    _paint_trunk(canvas, domain, rng, middle)
    if domain.lungs:
        _paint_lungs(canvas, rng, middle)
    _paint_muscles(canvas, domain, rng, middle)
    _paint_glands(canvas, domain, rng, middle)
    _paint_spine(canvas, rng, middle)
    _paint_airway(canvas, rng, middle)
    return _paint_vessels(canvas, domain, rng, middle)


def smooth_noise(shape: tuple[int, ...], spacing: np.ndarray, grain_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of standard deviation 1 whose grains are about ``grain_mm`` wide."""
    noise = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), grain_mm / spacing, mode="wrap")
    return noise / max(float(noise.std()), 1e-6)


def _upright(center: np.ndarray, semi_yx: tuple[float, float], height: float, turn: float = 0.0) -> Ellipsoid:
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = np.array([[1.0, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return Ellipsoid(np.asarray(center, float), np.array([height, *semi_yx]), rotation)


def _paint_trunk(canvas: Canvas, domain: Domain, rng: np.random.Generator, middle: np.ndarray) -> None:
    semi = canvas.extent_mm[1:] / 2 * rng.uniform(0.90, 0.96, 2)
    far = canvas.extent_mm[0] * 4
    trunk = _upright(middle, tuple(semi), far)
    coverage, box = canvas.cover(trunk)
    texture = smooth_noise(canvas.hu.shape, canvas.spacing, 6.0, rng)[box]
    canvas.paint(coverage, box, rng.uniform(*domain.fat_hu) + 8 * texture)
    skin = np.clip(coverage - canvas.cover_in(box, _upright(middle, tuple(semi - 2.0), far)), 0, 1)
    canvas.paint(skin, box, 25.0)
    canvas.limit(canvas.cover_in(box, _upright(middle, tuple(semi - 4.0), far)), box)
    ring = rng.uniform(8, 13)
    outer = canvas.cover_in(box, _upright(middle, tuple(semi - ring), far))
    inner = canvas.cover_in(box, _upright(middle, tuple(semi - ring - rng.uniform(5, 8)), far))
    gaps = smooth_noise(canvas.hu.shape, canvas.spacing, 12.0, rng)[box] > -0.6
    canvas.paint(np.clip(outer - inner, 0, 1) * gaps, box, rng.uniform(*domain.muscle_hu))


def _paint_lungs(canvas: Canvas, rng: np.random.Generator, middle: np.ndarray) -> None:
    for side in (-1, 1):
        center = middle + [rng.uniform(-8, 8), rng.uniform(-4, 8), side * canvas.extent_mm[2] * rng.uniform(0.29, 0.32)]
        lung = _upright(
            center,
            (canvas.extent_mm[1] * rng.uniform(0.27, 0.32), canvas.extent_mm[2] * rng.uniform(0.115, 0.14)),
            canvas.extent_mm[0] * rng.uniform(0.8, 1.2),
            side * rng.uniform(-0.15, 0.15),
        )
        coverage, box = canvas.cover(lung)
        branches = smooth_noise(canvas.hu.shape, canvas.spacing, 2.5, rng)[box]
        canvas.paint(coverage, box, np.where(branches > 2.2, 20.0, -840 + 25 * branches))


def _paint_muscles(canvas: Canvas, domain: Domain, rng: np.random.Generator, middle: np.ndarray) -> None:
    for _ in range(rng.integers(5, 9)):
        side = rng.choice([-1, 1])
        lateral = rng.uniform(0.08, 0.20 if domain.lungs else 0.33)
        center = middle + [
            rng.uniform(-30, 30),
            rng.uniform(-0.30, 0.38) * canvas.extent_mm[1],
            side * lateral * canvas.extent_mm[2],
        ]
        tilt = rng.normal(0, 0.25)
        muscle = _upright(center, (rng.uniform(4, 8), rng.uniform(7, 14)), rng.uniform(35, 90), rng.uniform(0, np.pi))
        tilted = muscle.rotation @ np.array(
            [[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]]
        )
        canvas.paint_shape(
            Ellipsoid(center, muscle.semi_axes, tilted, 0.05, rng.uniform(0, 6)), rng.uniform(*domain.muscle_hu)
        )


def _paint_glands(canvas: Canvas, domain: Domain, rng: np.random.Generator, middle: np.ndarray) -> None:
    height, forward, out = rng.uniform(-25, 25), rng.uniform(-0.28, -0.18), rng.uniform(0.07, 0.16)
    density = rng.uniform(*domain.gland_hu)
    for side in (-1, 1):
        center = middle + [height + rng.normal(0, 4), forward * canvas.extent_mm[1], side * out * canvas.extent_mm[2]]
        gland = Ellipsoid(center, rng.uniform([13, 8, 7], [22, 13, 11]), np.eye(3), 0.12, rng.uniform(0, 6))
        coverage, box = canvas.cover(gland)
        lobules = smooth_noise(coverage.shape, canvas.spacing, 2.0, rng)
        canvas.paint(coverage, box, density + 14 * lobules)


def _paint_spine(canvas: Canvas, rng: np.random.Generator, middle: np.ndarray) -> None:
    z = canvas.slice_heights()
    course = np.stack([np.full_like(z, middle[1] * rng.uniform(1.32, 1.42)), np.full_like(z, middle[2])], axis=1)
    course[:, 0] += 4 * np.sin(z / 60 + rng.uniform(0, 6))
    level = np.sin(2 * np.pi * z / rng.uniform(18, 24))
    radius, disc = rng.uniform(13, 16) * (1 + 0.06 * level), level > 0.8
    canvas.paint_tube(course, np.where(disc, 0, radius - 1.8), 190.0, wall=(1.8, 620.0))
    canvas.paint_tube(course, np.where(disc, radius, 0), 85.0)
    canvas.paint_tube(course + [radius.mean() + 6, 0], np.full_like(z, 7.0), 28.0, wall=(1.5, 500.0))


def _paint_airway(canvas: Canvas, rng: np.random.Generator, middle: np.ndarray) -> None:
    z = canvas.slice_heights()
    course = np.stack([middle[1] * rng.uniform(0.78, 0.9) + 0.03 * z, middle[2] + 3 * np.sin(z / 50)], axis=1)
    canvas.paint_tube(course, np.full_like(z, rng.uniform(7, 9.5)), -1000.0, wall=(1.6, 55.0))
    gullet = course + [rng.uniform(15, 18), rng.uniform(-5, 5)]
    canvas.paint_tube(gullet, np.full_like(z, rng.uniform(4.5, 7)) * (1 + 0.2 * np.sin(z / 9)), rng.uniform(38, 55))


def _paint_vessels(canvas: Canvas, domain: Domain, rng: np.random.Generator, middle: np.ndarray) -> list[Vessel]:
    z = canvas.slice_heights()
    vessels = []
    for n in range(rng.integers(7, 11)):
        side = 1 if n % 2 else -1
        reach = 0.17 if domain.lungs else 0.30
        start = middle[1:] + [
            rng.uniform(-0.2, 0.14) * canvas.extent_mm[1],
            side * rng.uniform(0.06, reach) * canvas.extent_mm[2],
        ]
        lean = rng.normal(0, 0.16, 2)
        sway = rng.uniform(1, 5, 2) * np.sin(z[:, None] / rng.uniform(18, 40, 2) + rng.uniform(0, 6, 2))
        course = start + (z[:, None] - z.mean()) * lean + sway
        radius = np.full_like(z, rng.choice([rng.uniform(1.4, 3.0), rng.uniform(3.0, 6.0), rng.uniform(5.0, 9.5)]))
        plain = rng.random() < domain.plain_vessels
        density = rng.uniform(*(domain.plain_vessel_hu if plain else domain.vessel_hu))
        canvas.paint_tube(course, radius * (1 + 0.1 * np.sin(z / 13)), density)
        vessels.append(Vessel(course, radius))
    return vessels
