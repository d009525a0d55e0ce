"""The foundation model as it was before training: it says what is likely where nobody marked anything."""

from __future__ import annotations

import torch
from torch import nn

from ..networks.architectures import outputs
from .devices import autocast


class Teacher:
    """Node probabilities of patches by an unchanged network.

    Args:
        network: the foundation model's, not the one in training.
        device: where it computes.
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """

    def __init__(self, network: nn.Module, device: torch.device, precision: str):
        self._network, self._device, self._precision = network.to(device).eval(), device, precision

    @torch.no_grad()
    def probability(self, image: torch.Tensor) -> torch.Tensor:
        """float32 [n, 1, k, j, i], how likely each voxel is a node, of patches [n, 1, k, j, i]."""
        scores = self._scores(image, self._precision)
        if self._precision == "fp16" and not torch.isfinite(scores).all():  # beyond what fp16 holds
            scores = self._scores(image, "fp32")
        return scores.softmax(1)[:, 1:]

    def _scores(self, image: torch.Tensor, precision: str) -> torch.Tensor:
        with autocast(self._device, precision):
            return outputs(self._network(image))[0].float()
