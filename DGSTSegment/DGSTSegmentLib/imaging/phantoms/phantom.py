"""One phantom from a domain and a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from ..geometry import Geometry
from ..volume import Volume
from .body import paint_body
from .canvas import Canvas
from .domains import DOMAINS, Domain
from .nodes import paint_lookalikes, paint_nodes

AIR_HU = -1000.0


@dataclass(frozen=True)
class Phantom:
    """A CT-like scan and every lymph node in it.

    Args:
        ct: int16, HU.
        nodes: uint8 on the same grid, one value (1, 2, ...) a node.
    """

    ct: Volume
    nodes: Volume


def make_phantom(domain: str | Domain, seed: int) -> Phantom:
    """The phantom number ``seed`` of a domain; the same number always gives the same voxels.

    Args:
        domain: ``source``, ``target`` or a ``Domain``.
        seed: 0 or greater.

    Raises:
        ValueError: no domain has that name.
    """
    if isinstance(domain, str):
        if domain not in DOMAINS:
            raise ValueError(f"A phantom's domain is one of {', '.join(DOMAINS)}, not {domain!r}.")
        domain = DOMAINS[domain]
    rng = np.random.default_rng([seed, *domain.name.encode()])
    pixel = rng.uniform(*domain.pixel_mm)
    spacing_kji = np.array([rng.uniform(*domain.slice_mm), pixel, pixel])
    shape = tuple(np.rint(np.asarray(domain.field_of_view_mm) / spacing_kji).astype(int))
    canvas = Canvas(shape, tuple(spacing_kji), AIR_HU)
    vessels = paint_body(canvas, domain, rng)
    labels = paint_nodes(canvas, domain, vessels, rng)
    paint_lookalikes(canvas, domain, vessels, labels, rng)
    hu = _scan(canvas, domain, rng)
    origin = -(np.array(shape[::-1]) - 1) * spacing_kji[::-1] / 2
    geometry = Geometry.from_parts(shape, spacing_kji[::-1], origin)
    return Phantom(Volume(hu, geometry), Volume(labels, geometry))


def _scan(canvas: Canvas, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    """What a scanner makes of the canvas: blur of the kernel and correlated noise, int16 HU."""
    kernel = rng.uniform(*domain.kernel_mm) / canvas.spacing * [0.5, 1, 1]
    noise = gaussian_filter(rng.standard_normal(canvas.hu.shape, dtype=np.float32), kernel)
    noise *= rng.uniform(*domain.noise_hu) / max(float(noise.std()), 1e-6)
    return np.clip(np.rint(gaussian_filter(canvas.hu, kernel) + noise), -1024, 3071).astype(np.int16)
