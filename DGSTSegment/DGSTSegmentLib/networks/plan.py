"""What a foundation model wants its input to look like. No torch here."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import InputError

NORMALIZATIONS = {
    "ct": "clip to the model's HU range, subtract its mean, divide by its standard deviation",
    "zscore": "subtract the volume's own mean, divide by its own standard deviation",
    "rescale01": "the volume's own range to 0..1",
    "none": "HU as they are",
}
ORIENTATIONS = {
    "lps": "axes permuted and flipped to LPS order first, so that the answer does not depend on how a file is stored",
    "ras": "as lps, in RAS order, for models trained on volumes that a reader brought to RAS",
    "as-stored": "axes as the file stores them, as nnU-Net does",
}


@dataclass(frozen=True)
class Plan:
    """The whole preprocessing of a foundation model.

    Args:
        spacing_kji: voxel spacing the network works at, mm, along the axes of the prepared array.
        patch_size_kji: voxels of a window along the same axes.
        transpose: the prepared array's axes, as positions in the oriented array (nnU-Net's ``transpose_forward``).
        normalization: a name in ``NORMALIZATIONS``.
        lower, upper, mean, std: HU, for ``ct``.
        within_nonzero: for ``zscore``: mean and standard deviation of the nonzero region only, outside left at 0.
        crop_to_nonzero: leave out the border of zeros before everything else.
        orientation: a name in ``ORIENTATIONS``.
        image_order, score_order: spline order of resampling the image and the scores.
        separate_z: resample the coarsest axis by nearest neighbour, the two others by spline: True, False, or None for
            nnU-Net's rule (where that axis is more than three times coarser than the finest one).

    Raises:
        ValueError: sizes that are not three positive numbers, or an unknown name.
    """

    spacing_kji: tuple[float, float, float]
    patch_size_kji: tuple[int, int, int]
    transpose: tuple[int, int, int] = (0, 1, 2)
    normalization: str = "ct"
    lower: float = -1024.0
    upper: float = 3071.0
    mean: float = 0.0
    std: float = 1.0
    within_nonzero: bool = False
    crop_to_nonzero: bool = True
    orientation: str = "lps"
    image_order: int = 3
    score_order: int = 1
    separate_z: bool | None = None

    def __post_init__(self):
        object.__setattr__(self, "spacing_kji", tuple(float(s) for s in self.spacing_kji))
        object.__setattr__(self, "patch_size_kji", tuple(int(n) for n in self.patch_size_kji))
        object.__setattr__(self, "transpose", tuple(int(axis) for axis in self.transpose))
        for name in ("spacing_kji", "patch_size_kji"):
            value = getattr(self, name)
            if len(value) != 3 or not all(math.isfinite(n) and n > 0 for n in value):
                raise ValueError(f"A plan's {name} is three positive numbers, not {value}.")
        if sorted(self.transpose) != [0, 1, 2]:
            raise ValueError(f"A plan's transpose is an order of the axes 0, 1, 2, not {self.transpose}.")
        if self.normalization not in NORMALIZATIONS:
            raise ValueError(f"A normalization is one of {', '.join(NORMALIZATIONS)}, not {self.normalization!r}.")
        if self.orientation not in ORIENTATIONS:
            raise ValueError(f"An orientation is one of {', '.join(ORIENTATIONS)}, not {self.orientation!r}.")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; ``from_json`` reads them back to an equal plan."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """Read a plan. A field this program does not know would change the answer, so it is refused.

        Raises:
            InputError: a field is missing, unknown or out of its range.
        """
        unknown = set(data) - {f.name for f in fields(cls)}
        if unknown:
            raise InputError(
                f"The model's preprocessing plan has {', '.join(sorted(unknown))}, which this version does not know; "
                "update DGSTSegment."
            )
        try:
            return cls(**data)
        except (TypeError, ValueError) as error:
            raise InputError(f"The model's preprocessing plan cannot be used: {error}") from error
