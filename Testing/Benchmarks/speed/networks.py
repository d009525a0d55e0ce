"""The networks that are timed: the shapes that the lymph-node foundation models have, with fresh weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from DGSTSegmentLib.networks.architectures import build, plain_unet

from .part import Context

PLAIN, RESENC, SWIN = "PlainConvUNet 31 M", "ResEnc M", "SwinUNETR"
_FEATURES = [32, 64, 128, 256, 320, 320]


@dataclass(frozen=True)
class Subject:
    """A network to time.

    Args:
        name: for tables.
        architecture: as ``DGSTSegmentLib.networks.architectures.build`` takes it.
        patch: voxels along each axis of a training patch.
        batch_size: patches a step.
    """

    name: str
    architecture: dict[str, Any]
    patch: int
    batch_size: int = 2

    @property
    def setting(self) -> dict[str, Any]:
        """What a row says of it."""
        return {"network": self.name, "patch": [self.patch] * 3, "batch": self.batch_size}

    def build(self, device: torch.device) -> nn.Module:
        """The network, always with the same fresh weights, ready to train."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build(self.architecture).to(device).train()


def residual_unet(features: list[int], blocks: list[int]) -> dict[str, Any]:
    """As nnU-Net's plain network, with a residual encoder of so many blocks a stage and a thinner decoder."""
    description = plain_unet(features, convolutions=1)
    arguments = dict(description["arguments"])
    del arguments["n_conv_per_stage"]
    return {"class": "ResidualEncoderUNet", "arguments": {**arguments, "n_blocks_per_stage": blocks}}


def swin_unetr(feature_size: int, patch: int) -> dict[str, Any]:
    """MONAI's SwinUNETR, CT in, background and one label out."""
    arguments = {"img_size": [patch] * 3, "in_channels": 1, "out_channels": 2, "feature_size": feature_size}
    return {"class": "SwinUNETR", "arguments": arguments}


def subjects(context: Context) -> list[Subject]:
    """The networks of a full run, or small ones of the same kinds."""
    if context.quick:
        return [
            Subject("PlainConvUNet small", plain_unet([8, 16, 32, 64], convolutions=2), 32),
            Subject("ResEnc small", residual_unet([8, 16, 32, 64], [1, 2, 2, 2]), 32),
            Subject("SwinUNETR small", swin_unetr(12, 64), 64, batch_size=1),
        ]
    return [plain(64), resenc(64), swin(64)]


def plain(patch: int) -> Subject:
    """nnU-Net's usual 3d_fullres network of six stages."""
    return Subject(PLAIN, plain_unet(_FEATURES, convolutions=2), patch)


def resenc(patch: int) -> Subject:
    """nnU-Net's residual encoder preset M."""
    return Subject(RESENC, residual_unet(_FEATURES, [1, 3, 4, 6, 6, 6]), patch)


def swin(patch: int) -> Subject:
    """SwinUNETR as the lymph-node models use it."""
    return Subject(SWIN, swin_unetr(48, patch), patch)


def small(patch: int) -> Subject:
    """What a quick run takes for the usual network."""
    return Subject("PlainConvUNet small", plain_unet([8, 16, 32, 64], convolutions=2), patch)
