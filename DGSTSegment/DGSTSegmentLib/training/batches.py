"""Batches of a fine-tuning: the same seed and step always give the same batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..networks.plan import Plan
from .augmentation import Augmentation
from .patches import NO_MARGIN, PreparedCase, draw_patch

KINDS = ("node", "background", "any")
"""Of patches; see ``draw_patch``."""


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
    ``draw_patch``: so that a third and more of all patches hold a node, and the rest of the body is seen too. A
    batch of one patch has either the one or the other, each as likely.

    Args:
        cases: at least one.
        plan: of the foundation model; its patch size and spacing.
        batch_size: patches of a batch.
        seed: of all randomness, with the number of the batch.
    """

    def __init__(self, cases: list[PreparedCase], plan: Plan, batch_size: int, seed: int):
        self.cases, self.batch_size, self.seed = cases, batch_size, seed
        self.augmentation = Augmentation(plan.patch_size_kji, plan.spacing_kji)

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, step])
        kinds = ["node", *rng.choice(KINDS, self.batch_size - 1)]
        if self.batch_size == 1 and rng.random() < 0.5:
            kinds = list(rng.choice(KINDS, 1))
        patches = [self._patch(str(kind), rng) for kind in kinds]
        return Batch(*(torch.stack([patch[key] for patch in patches]) for key in ("image", "knowledge")))

    def _patch(self, kind: str, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        warp = self.augmentation.wants_warp(rng)
        margin = self.augmentation.margin if warp else NO_MARGIN
        return self.augmentation(draw_patch(self.cases, kind, self.augmentation.size, rng, margin), warp, rng)
