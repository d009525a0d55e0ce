"""Four tiny networks, and what a reader of their code knows of each of their parameters."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from monai.networks.nets import SwinUNETR
from torch import Tensor, nn

GAMMA = 2


@dataclass(frozen=True)
class TinyNetwork:
    """A network to train, and the names by which a test (never the code under test) tells its parameters apart.

    Args:
        kind_of: parameter name -> "row", "norm", "bias", "silent" (a bias that a norm cancels) or "head".
        in_decoder: whether a parameter name belongs to the decoder.
        transposed: whether a parameter name is the weight of a transposed convolution.
    """

    original: nn.Module
    image_shape: tuple[int, ...]
    head: list[str]
    decoder: list[str]
    kind_of: Callable[[str], str]
    in_decoder: Callable[[str], bool]
    transposed: Callable[[str], bool]

    def fresh(self) -> nn.Module:
        return copy.deepcopy(self.original).train()

    def loss(self, network: nn.Module, batch: int) -> Tensor:
        """Of the batch with this number: a smooth function of all outputs but the last of several, so that the lowest
        deep-supervision head gets no gradient, as in nnU-Net."""
        generator = torch.Generator().manual_seed(batch)
        outputs = network(torch.randn(self.image_shape, generator=generator))
        outputs = outputs[:-1] if isinstance(outputs, list) else [outputs]
        targets = [torch.randn(output.shape, generator=generator) for output in outputs]
        return sum((output - target).square().mean() for output, target in zip(outputs, targets, strict=True))

    def rows(self, name: str, tensor: Tensor) -> Tensor:
        """One row an output channel; the tiny networks have no groups."""
        tensor = tensor.detach().clone()
        return (tensor.transpose(0, 1) if self.transposed(name) else tensor).flatten(1)


def plain_conv_unet() -> TinyNetwork:
    network = PlainConvUNet(
        1, 3, [4, 6, 8], nn.Conv3d, 3, [1, 2, 2], 2, 2, 2, deep_supervision=True, **_nnunet_arguments()
    )
    return TinyNetwork(network, (2, 1, 8, 8, 8), **_nnunet_description())


def residual_encoder_unet() -> TinyNetwork:
    network = ResidualEncoderUNet(
        1, 3, [4, 6, 8], nn.Conv3d, 3, [1, 2, 2], [1, 2, 1], 2, 1, deep_supervision=True, **_nnunet_arguments()
    )
    return TinyNetwork(network, (2, 1, 8, 8, 8), **_nnunet_description())


def _nnunet_arguments() -> dict:
    return {
        "conv_bias": True,
        "norm_op": nn.InstanceNorm3d,
        "norm_op_kwargs": {"affine": True, "eps": 1e-5},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
    }


def _nnunet_description() -> dict:
    def kind_of(name: str) -> str:
        if "seg_layers" in name:
            return "head"
        if ".norm." in name or ".all_modules.1." in name:
            return "norm"
        if name.endswith("weight"):
            return "row"
        return "bias" if "transpconvs" in name else "silent"

    return {
        "head": ["decoder.seg_layers"],
        "decoder": ["decoder"],
        "kind_of": kind_of,
        "in_decoder": lambda name: name.startswith("decoder.") and not name.startswith("decoder.encoder."),
        "transposed": lambda name: "transpconvs" in name and name.endswith("weight"),
    }


def swin_unetr(spatial_dims: int = 2) -> TinyNetwork:
    network = SwinUNETR(
        in_channels=1, out_channels=2, feature_size=12, depths=(1, 1, 1, 1), window_size=2, spatial_dims=spatial_dims
    )

    def kind_of(name: str) -> str:
        if name.startswith("out."):
            return "head"
        if ".norm" in name:
            return "norm"
        return "bias" if name.endswith("bias") else "row"

    return TinyNetwork(
        network,
        (1, 1, 64, 32, 32)[: 2 + spatial_dims],
        head=["out"],
        decoder=["decoder1", "decoder2", "decoder3", "decoder4", "decoder5"],
        kind_of=kind_of,
        in_decoder=lambda name: name.startswith("decoder"),
        transposed=lambda name: "transp_conv" in name,
    )


class PatchTransformer(nn.Module):
    """Patches of an image, a table of positions, one attention block as torch has it, a linear head."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 12, 4, stride=4)
        self.position = nn.Parameter(torch.randn(16, 12) * 0.02)
        self.block = nn.TransformerEncoderLayer(12, 3, 24, dropout=0.0, batch_first=True)
        self.classes = nn.Linear(12, 2)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.patches(image).flatten(2).transpose(1, 2) + self.position
        return self.classes(self.block(tokens))


def transformer() -> TinyNetwork:
    def kind_of(name: str) -> str:
        if name.startswith("classes"):
            return "head"
        if ".norm" in name:
            return "norm"
        return "bias" if name.endswith("bias") else "row"

    return TinyNetwork(
        PatchTransformer(),
        (2, 1, 16, 16),
        head=["classes"],
        decoder=["block.linear1", "block.linear2"],
        kind_of=kind_of,
        in_decoder=lambda name: ".linear" in name,
        transposed=lambda name: False,
    )


MAKERS = {
    "PlainConvUNet": plain_conv_unet,
    "ResidualEncoderUNet": residual_encoder_unet,
    "SwinUNETR": swin_unetr,
    "transformer": transformer,
}


@pytest.fixture(scope="session")
def tiny_networks() -> dict[str, TinyNetwork]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {name: make() for name, make in MAKERS.items()}


@pytest.fixture(params=MAKERS)
def tiny(request, tiny_networks) -> TinyNetwork:
    """Each of the four networks in turn."""
    return tiny_networks[request.param]


@pytest.fixture
def unet(tiny_networks) -> TinyNetwork:
    return tiny_networks["PlainConvUNet"]


@pytest.fixture(scope="session")
def swin_in_3d() -> TinyNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return swin_unetr(spatial_dims=3)


def backward(tiny, network, batches: list[int], bf16: bool = False) -> None:
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext():
            loss = tiny.loss(network, batch)
        loss.backward()


def snapshot(network) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def largest_by_stable_order(gradient: Tensor) -> Tensor:
    """Brute force: a mask of the GAMMA largest |g| of each row, the lower index first among equals."""
    order = np.argsort(-gradient.abs().numpy(), axis=1, kind="stable")[:, :GAMMA]
    return torch.zeros_like(gradient, dtype=torch.bool).scatter_(1, torch.from_numpy(order), True)
