"""What fine-tuning minimises: Dice and cross-entropy where something is known, the foundation model elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional

from .knowledge import NEAR, NODE, OUTSIDE, UNKNOWN


@dataclass(frozen=True)
class LossParts:
    """The loss to minimise and, detached, what it is made of."""

    total: torch.Tensor
    known: float
    distillation: float


class FewShotLoss(nn.Module):
    """Dice + cross-entropy over known voxels at every resolution, plus distillation over unknown ones at the highest.

    Dice and cross-entropy as in nnU-Net (foreground Dice over the batch; halved weight with each halved resolution,
    none for the lowest of several; targets of the nearest voxel), with unknown voxels left out of both. Where nothing
    is known the network is held to the foundation model by the Kullback-Leibler divergence of its probability from the
    foundation model's on the very same patch (ours, after knowledge distillation, arXiv 1503.02531; the same view for
    both, arXiv 2106.05237). What lies near a marked node is background unless the foundation model calls it node.

    Args:
        distillation: weight of the divergence.
    """

    def __init__(self, distillation: float = 1.0):
        super().__init__()
        self.distillation = distillation
        self._dice = DiceLoss(include_background=False, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)

    def asks_teacher(self, knowledge: torch.Tensor) -> bool:
        """Whether the loss depends on what the foundation model says of a patch with this knowledge."""
        return bool((knowledge == NEAR).any()) or (self.distillation > 0 and bool((knowledge == UNKNOWN).any()))

    def forward(
        self, scores: Sequence[torch.Tensor], knowledge: torch.Tensor, teacher: torch.Tensor | None = None
    ) -> LossParts:
        """
        Args:
            scores: logits [n, 2, k, j, i] (background, node), highest resolution first.
            knowledge: codes [n, 1, k, j, i]; voxels outside the scan count nowhere.
            teacher: the foundation model's node probability, same shape; None where it is not asked.
        """
        if teacher is not None:
            knowledge = knowledge.masked_fill((knowledge == NEAR) & (teacher > 0.5), UNKNOWN)
        scores = [score.float() for score in scores]
        known = sum(
            weight
            * self._known(score, functional.interpolate(knowledge.float(), score.shape[2:], mode="nearest-exact"))
            for weight, score in zip(_weights(len(scores)), scores, strict=True)
            if weight
        )
        divergence = self._divergence(scores[0], knowledge, teacher)
        total = known + self.distillation * divergence
        return LossParts(total, float(known.detach()), float(divergence.detach()))

    def _known(self, scores: torch.Tensor, knowledge: torch.Tensor) -> torch.Tensor:
        is_known = (knowledge != UNKNOWN) & (knowledge != OUTSIDE)
        if not is_known.any():
            return scores.sum() * 0.0
        node = (knowledge == NODE).long()
        entropy = functional.cross_entropy(scores, node.squeeze(1), reduction="none").unsqueeze(1)
        probability = scores.softmax(1) * is_known
        one_hot = torch.cat([1 - node, node], 1) * is_known
        return entropy[is_known].mean() + self._dice(probability, one_hot)

    def _divergence(self, scores: torch.Tensor, knowledge: torch.Tensor, teacher: torch.Tensor | None) -> torch.Tensor:
        unknown = knowledge == UNKNOWN
        if self.distillation == 0 or not unknown.any():
            return scores.sum() * 0.0
        expected = torch.cat([1 - teacher, teacher], 1).clamp(1e-6, 1)
        divergence = functional.kl_div(scores.log_softmax(1), expected, reduction="none").sum(1, keepdim=True)
        return divergence[unknown].mean()


def _weights(resolutions: int) -> list[float]:
    weights = [0.5**n for n in range(resolutions)]
    if resolutions > 1:
        weights[-1] = 0.0
    return [weight / sum(weights) for weight in weights]
