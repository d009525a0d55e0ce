"""Scenes that the imaging tests share: grids of every kind, and where real data lies."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from DGSTSegmentLib.imaging import Geometry, Volume


def _oblique(seed: int) -> np.ndarray:
    return Rotation.random(random_state=seed).as_matrix()


_PERMUTED = np.eye(3)[:, [2, 0, 1]]
_DIRECTIONS = {
    "along the axes": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "left-handed": np.diag([1.0, 1.0, -1.0]),
    "permuted": _PERMUTED,
    "permuted and flipped": _PERMUTED @ np.diag([1.0, -1.0, -1.0]),
    "oblique": _oblique(1),
    "oblique and left-handed": _oblique(2) @ np.diag([-1.0, 1.0, 1.0]),
    "oblique and permuted": _oblique(3) @ _PERMUTED,
    "nearly along the axes": Rotation.from_euler("xyz", [0.02, -0.03, 0.01]).as_matrix(),
}


@pytest.fixture(params=_DIRECTIONS, ids=lambda name: name.replace(" ", "-"))
def direction(request) -> np.ndarray:
    """A direction matrix of every kind that scanners and tools write."""
    return _DIRECTIONS[request.param]


@pytest.fixture
def geometry(direction) -> Geometry:
    """An anisotropic grid far from the world's origin, with the three sizes all different."""
    return Geometry.from_parts((4, 6, 9), (0.7, 0.9, 3.1), (-251.3, 87.9, -1402.7), direction)


@pytest.fixture
def volume(geometry) -> Volume:
    """A volume of HU in which no two voxels are alike."""
    return Volume(np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape) - 100, geometry)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real CTs, which the repository does not contain."""
    beside_the_repository = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    folder = Path(os.environ.get("DGST_DATA", beside_the_repository))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder} (DGST_DATA names another place)")
    return folder
