"""Random changes to patches, by MONAI, from a seed and a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.transforms import (
    Affined,
    Compose,
    RandAdjustContrast,
    RandFlipd,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandScaleIntensity,
    RandShiftIntensity,
    RandSimulateLowResolution,
)
from monai.utils import convert_to_tensor

from .knowledge import OUTSIDE
from .patches import Patch

KEYS = ("image", "knowledge")
ROTATIONS = (0.5, 0.1, 0.1)
"""Greatest angles (radians) about the axes k, j and i in a grid of equal spacings."""
ZOOM = 0.15
"""How much larger or smaller a patch is shown at most, along all axes alike."""

Shape = tuple[int, int, int]


class Augmentation:
    """Flips, rotation and zoom, and changes of intensity of a patch; the same generator state gives the same patch.

    Args:
        size: voxels (k, j, i) of the patch that comes out.
        spacing_kji: of its grid, mm. Rotations are of voxels, so that in a plane of unequal spacings they shear; there
            the angle is as much smaller as the spacings differ.
        warp_probability: how often a patch is rotated and zoomed; such a patch is cut with a ``margin``.
    """

    def __init__(self, size: Shape, spacing_kji: Sequence[float] = (1.0, 1.0, 1.0), warp_probability: float = 0.3):
        self.size = tuple(size)
        self.warp_probability = warp_probability
        more = [int(np.ceil(n * 1.2)) - n for n in size]
        self.margin = tuple((n // 2, n - n // 2) for n in more)
        self._rotations = _rotations(spacing_kji)
        self._flips = Compose([RandFlipd(KEYS, prob=0.5, spatial_axis=axis) for axis in range(3)])
        self._intensity = Compose(
            [
                RandGaussianNoise(prob=0.15, std=0.1),
                RandGaussianSmooth(prob=0.15, sigma_x=(0.5, 1.0), sigma_y=(0.5, 1.0), sigma_z=(0.5, 1.0)),
                RandScaleIntensity(factors=0.25, prob=0.3),
                RandShiftIntensity(offsets=0.1, prob=0.3),
                # By mean values: MONAI's default, the nearest voxel, would move the image off its marks.
                RandSimulateLowResolution(prob=0.15, zoom_range=(0.5, 1.0), downsample_mode="area"),
                RandAdjustContrast(prob=0.2, gamma=(0.7, 1.5), retain_stats=True),
            ]
        )

    def wants_warp(self, rng: np.random.Generator) -> bool:
        """Whether the next patch is to be cut with its margin and warped."""
        return bool(rng.random() < self.warp_probability)

    def __call__(self, patch: Patch, warp: bool, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """Tensors [1, k, j, i]: ``image`` float32, ``knowledge`` uint8."""
        data = {key: torch.from_numpy(np.array(getattr(patch, key), dtype=np.float32))[None] for key in KEYS}
        data["knowledge"] -= OUTSIDE  # so that the zeros that come in over the border mean no voxel of the scan
        if warp:
            data = self._warp(rng)(data)
        self._flips.set_random_state(seed=int(rng.integers(2**31)))
        data = self._flips(data)
        self._intensity.set_random_state(seed=int(rng.integers(2**31)))
        data["image"] = self._intensity(data["image"])
        data["knowledge"] += OUTSIDE
        # Without MONAI's meta data, which would follow the values through every layer of the network.
        plain = {key: convert_to_tensor(value, track_meta=False).contiguous() for key, value in data.items()}
        return {**plain, "knowledge": plain["knowledge"].to(torch.uint8)}

    def _warp(self, rng: np.random.Generator) -> Affined:
        angles = rng.uniform(-1, 1, 3) * self._rotations
        return Affined(
            KEYS,
            rotate_params=angles.tolist(),
            scale_params=[rng.uniform(1 - ZOOM, 1 + ZOOM)] * 3,
            spatial_size=self.size,
            mode=("bilinear", "nearest"),
            padding_mode=("border", "zeros"),
        )


def _rotations(spacing_kji: Sequence[float]) -> tuple[float, ...]:
    """Greatest angles about each axis, in voxels of this spacing (mm)."""
    k, j, i = spacing_kji
    planes = ((j, i), (k, i), (k, j))
    return tuple(angle * min(plane) / max(plane) for angle, plane in zip(ROTATIONS, planes, strict=True))
