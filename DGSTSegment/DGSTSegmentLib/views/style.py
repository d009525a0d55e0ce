"""How both painters draw."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    rgb: tuple[int, int, int]
    opacity: float


BACKGROUND = (10, 12, 16)
SKIN = Look((170, 186, 204), 0.12)
BONE = Look((226, 214, 190), 0.6)
FILL_OPACITY = 0.38
OUTLINE_PIXELS = 3
OPACITY_3D = {"fill": 0.8, "outline": 0.45}
