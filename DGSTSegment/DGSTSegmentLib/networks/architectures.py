"""Networks from plain descriptions, and which of their modules are head, decoder, encoder and its first stages.

A description is JSON: ``{"class": "PlainConvUNet", "arguments": {"features_per_stage": [...], ...}}``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from dynamic_network_architectures.architectures import unet
from dynamic_network_architectures.building_blocks import residual
from dynamic_network_architectures.building_blocks.unet_decoder import UNetDecoder
from torch import nn
from torch.overrides import TorchFunctionMode

from ..errors import InputError
from .nnunet_plans import MODULE_ARGUMENTS


def _swin_unetr() -> type[nn.Module]:
    # Importing monai takes seconds, so it waits for a model that needs it.
    from monai.networks.nets import SwinUNETR

    return SwinUNETR


ARCHITECTURES: dict[str, Callable[[], type[nn.Module]]] = {
    "PlainConvUNet": lambda: unet.PlainConvUNet,
    "ResidualEncoderUNet": lambda: unet.ResidualEncoderUNet,
    "SwinUNETR": _swin_unetr,
}
"""Networks by the last part of their class's name; calling gives the class."""


def build(architecture: Mapping[str, Any]) -> nn.Module:
    """A network with fresh weights, initialised as its authors do.

    Classes are found by the last part of their name, since modules moved between versions of the libraries; module
    arguments (``conv_op``, ``norm_op``, ...) are names too.

    Raises:
        InputError: an unknown network or module, or arguments that the network does not take.
    """
    name = str(architecture.get("class", "")).rsplit(".", 1)[-1]
    if name not in ARCHITECTURES:
        raise InputError(f"The network {name!r} is not one of {', '.join(ARCHITECTURES)}; choose another model.")
    network_class = ARCHITECTURES[name]()
    arguments = _resolved(network_class, architecture.get("arguments") or {})
    try:
        network = network_class(**arguments)
    except (TypeError, ValueError, AssertionError, IndexError) as error:
        raise InputError(f"The model's {name} cannot be built from its description: {error}.") from error
    if hasattr(network, "initialize"):
        network.apply(network.initialize)
    return network


def build_blank(architecture: Mapping[str, Any]) -> nn.Module:
    """The network for its names and shapes, or to be filled by ``state.load_state_``; no random number is used up.

    Its weights are whatever the memory held: drawing fresh ones takes most of the time of opening a large model.

    Raises:
        InputError: as ``build``.
    """
    with torch.random.fork_rng(devices=[]), _NoDraws():
        return build(architecture)


class _NoDraws(TorchFunctionMode):
    """Leaves tensors as they are where they would be filled with random numbers."""

    DRAWS = (torch.Tensor.normal_, torch.Tensor.uniform_, nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in self.DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def plain_unet(features: Sequence[int], convolutions: int) -> dict[str, Any]:
    """Description of a 3D PlainConvUNet with one input channel, background and one label.

    Args:
        features: channels of each stage; every stage after the first halves the resolution.
        convolutions: of each stage, in encoder and decoder.
    """
    return {
        "class": "PlainConvUNet",
        "arguments": {
            "input_channels": 1,
            "n_stages": len(features),
            "features_per_stage": list(features),
            "conv_op": "Conv3d",
            "kernel_sizes": 3,
            "strides": [1] + [2] * (len(features) - 1),
            "n_conv_per_stage": convolutions,
            "n_conv_per_stage_decoder": convolutions,
            "num_classes": 2,
            "conv_bias": True,
            "norm_op": "InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin": "LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
            "deep_supervision": True,
        },
    }


def head_modules(network: nn.Module) -> list[str]:
    """Names of the modules that turn features into class scores.

    Raises:
        ValueError: the network is of a kind whose head is not known.
    """
    if _is_swin_unetr(network):
        return ["out"]
    return [f"{_unet_decoder(network)}seg_layers"]


def decoder_modules(network: nn.Module) -> list[str]:
    """Names of the modules after the bottleneck, head included, encoder not.

    U-Nets of dynamic_network_architectures hold the encoder a second time inside the decoder; its parts are named one
    by one here, so that it stays out.

    Raises:
        ValueError: the network is of a kind whose decoder is not known.
    """
    if _is_swin_unetr(network):
        return [name for name, _ in network.named_children() if name.startswith("decoder")] + ["out"]
    decoder = _unet_decoder(network)
    return [f"{decoder}{part}" for part in ("stages", "transpconvs", "seg_layers")]


def encoder_modules(network: nn.Module) -> list[str]:
    """Names of the modules before the decoder, bottleneck included: with ``decoder_modules``, the whole network.

    Raises:
        ValueError: the network is of a kind whose encoder is not known.
    """
    if _is_swin_unetr(network):
        return [name for name, _ in network.named_children() if name.startswith(("swinViT", "encoder"))]
    return [_unet_encoder(network)]


def early_modules(network: nn.Module) -> list[str]:
    """Names of the modules of the encoder's first two stages: full resolution and the one below, stem included.

    SwinUNETR's are its patch embedding, its first Swin layer and the convolutions on the two highest resolutions.

    Raises:
        ValueError: the network is of a kind whose encoder is not known.
    """
    if _is_swin_unetr(network):
        early = ("swinViT.patch_embed", "swinViT.layers1", "swinViT.layers1c", "encoder1", "encoder2")
        return [name for name, _ in network.named_modules() if name in early]
    encoder = _unet_encoder(network)
    early = (f"{encoder}.stem", f"{encoder}.stages.0", f"{encoder}.stages.1")
    return [name for name, _ in network.named_modules() if name in early]


def layer_modules(network: nn.Module, layers: str) -> list[str] | None:
    """Names of the modules that ``dgst.registry.LAYERS`` calls so; None for all.

    Raises:
        ValueError: the network is of a kind whose encoder is not known.
    """
    return None if layers == "all" else {"encoder": encoder_modules, "early": early_modules}[layers](network)


def outputs(result: torch.Tensor | Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What a network returned, as a list of score maps [n, c, k, j, i], highest resolution first."""
    return [result] if isinstance(result, torch.Tensor) else list(result)


def set_deep_supervision(network: nn.Module, enabled: bool) -> None:
    """Whether a U-Net also returns the score maps of its lower resolutions; other networks stay as they are."""
    for module in network.modules():
        if isinstance(module, UNetDecoder):
            module.deep_supervision = enabled


def _is_swin_unetr(network: nn.Module) -> bool:
    nets = sys.modules.get("monai.networks.nets")
    return nets is not None and isinstance(network, nets.SwinUNETR)


def _unet_decoder(network: nn.Module) -> str:
    for name, module in network.named_modules():
        if isinstance(module, UNetDecoder):
            return f"{name}." if name else ""
    raise ValueError(f"The parts of a {type(network).__name__} are not known; name the modules yourself.")


def _unet_encoder(network: nn.Module) -> str:
    """Its own name where it has one beside that within the decoder."""
    encoder = network.get_submodule(f"{_unet_decoder(network)}encoder")
    return next(name for name, module in network.named_modules() if module is encoder)


def _resolved(network_class: type[nn.Module], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with names of modules replaced by the modules. SwinUNETR takes ``img_size`` before monai 1.5 only."""
    accepted = inspect.signature(network_class).parameters
    return {
        name: _module(value) if name in MODULE_ARGUMENTS and isinstance(value, str) else value
        for name, value in arguments.items()
        if name != "img_size" or name in accepted
    }


def _module(path: str) -> type[nn.Module]:
    name = path.rsplit(".", 1)[-1]
    found = getattr(nn, name, None) or getattr(residual, name, None)
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise InputError(f"The model's network uses {path!r}, which is not a known module; choose another model.")
    return found
