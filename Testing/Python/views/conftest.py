"""A patient made of three balls, stored on grids of every kind."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.views.picture import Overlay, Picture
from DGSTSegmentLib.views.pictures import Drawing

BODY_MM = 62.0
NODE_CENTER = np.array([22.0, -18.0, 14.0])  # to the patient's left, front and head (LPS)
NODE_MM = 13.0


def rotation(axis, degrees: float) -> np.ndarray:
    return Rotation.from_rotvec(np.asarray(axis) / np.linalg.norm(axis) * degrees, degrees=True).as_matrix()


DIRECTIONS = {
    "LPS order": np.eye(3),
    "oblique": rotation((1, 2, 3), 25),
    "left-handed": np.diag([1.0, 1.0, -1.0]),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "permuted": np.eye(3)[:, [2, 0, 1]],
    "permuted, left-handed and oblique": rotation((0, 1, 1), 15) @ np.eye(3)[:, [1, 0, 2]],
}


def patient_on(direction: np.ndarray, spacing=(2.0, 1.7, 3.0), reach_mm: float = 72.0) -> tuple[Volume, Volume]:
    """A CT (HU) of a body ball of water with a bright ball in it, and the bright ball's segmentation."""
    shape_ijk = np.ceil(2 * reach_mm / np.array(spacing)).astype(int)
    centered = -direction @ ((shape_ijk - 1) / 2 * spacing)
    geometry = Geometry.from_parts(shape_ijk[::-1], spacing, centered, direction)
    world = geometry.to_world(np.stack(np.indices(geometry.shape), axis=-1))
    hu = np.full(geometry.shape, -1000, dtype=np.int16)
    hu[np.linalg.norm(world, axis=-1) < BODY_MM] = 0
    node = np.linalg.norm(world - NODE_CENTER, axis=-1) < NODE_MM
    hu[node] = 200
    return Volume(hu, geometry), Volume(node.astype(np.uint8), geometry)


def picture_of(ct: Volume, node: Volume | None, path: Path | str = "unused.png", **options) -> Picture:
    overlays = () if node is None else (Overlay(node, "Reference", "blue", "fill"),)
    settings = {"width": 480, "center": tuple(NODE_CENTER), **options}
    return Picture(str(path), ct, overlays, **settings)


def slices_of(picture: Picture) -> Drawing:
    """The picture's drawing without the 3D panel, which takes the longest to draw."""
    drawing = Drawing.of(picture)
    panels = tuple(panel for panel in drawing.order.panels if panel.name != "3D")
    return replace(drawing, order=replace(drawing.order, panels=panels))


def centroid(mask: np.ndarray) -> np.ndarray:
    """Mean pixel (x, y) of a mask."""
    assert mask.any()
    return np.argwhere(mask).mean(axis=0)[::-1]


def colored(pixels: np.ndarray) -> np.ndarray:
    """Pixels that are not grey."""
    return pixels.max(axis=-1).astype(int) - pixels.min(axis=-1) > 40


@pytest.fixture(scope="session")
def slicer_can_draw():
    """Skips where Slicer's views cannot be had; run.py installs what they need."""
    if importlib.util.find_spec("slicer_core") is None:
        pytest.skip("slicer-core is not installed")
    if sys.platform.startswith("linux"):
        try:
            ctypes.CDLL("libEGL.so.1")
        except OSError:
            pytest.skip("libEGL.so.1 is not installed")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("LP_NUM_THREADS", "1")
