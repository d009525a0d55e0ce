"""Batches of a fine-tuning: the same seed and step always give the same batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .augmentation import Augmentation
from .patches import NO_MARGIN, PreparedCase, draw_patch


@dataclass(frozen=True)
class Batch:
    """Tensors [n, 1, k, j, i]: image float32, knowledge uint8 (codes of ``training.knowledge``)."""

    image: torch.Tensor
    knowledge: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(self.image.to(device), self.knowledge.to(device))


class Batches:
    """Draws batches from prepared cases.

    The first patch of a batch centres on a marked voxel; the others are, each as likely, of the three kinds of
    ``draw_patch``: so that a third and more of all patches hold a node, and the rest of the body is seen too.
    """

    def __init__(self, cases: list[PreparedCase], size: tuple[int, int, int], batch_size: int, seed: int):
        self.cases, self.batch_size, self.seed = cases, batch_size, seed
        self.augmentation = Augmentation(size)

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, step])
        kinds = ["node", *rng.choice(["node", "background", "any"], self.batch_size - 1)]
        patches = [self._patch(str(kind), rng) for kind in kinds]
        return Batch(*(torch.stack([patch[key] for patch in patches]) for key in ("image", "knowledge")))

    def _patch(self, kind: str, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        warp = self.augmentation.wants_warp(rng)
        margin = self.augmentation.margin if warp else NO_MARGIN
        return self.augmentation(draw_patch(self.cases, kind, self.augmentation.size, rng, margin), warp, rng)
