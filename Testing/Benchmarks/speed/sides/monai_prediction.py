"""MONAI's half of the prediction, as its tutorials write it; runs in an environment that has MONAI, not this project.

``python monai_prediction.py MODEL DEVICE PRECISION [IMAGE OUT]``, MODEL being a folder with ``network.json`` and
``weights.pt``. Dictionary transforms bring the CT to the model's spacing and HU range, ``SlidingWindowInferer`` runs
the network on half overlapping windows with Gaussian weights, ``Invertd`` brings the scores back, ``SaveImaged``
writes.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from answering import answer_requests
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from monai.data import decollate_batch, list_data_collate
from monai.inferers import SlidingWindowInferer
from monai.transforms import (
    AsDiscreted,
    Compose,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    Orientationd,
    SaveImaged,
    ScaleIntensityRanged,
    Spacingd,
)
from torch import nn

WINDOWS_AT_ONCE = {"cpu": 1, "cuda": 4}


def network_of(folder: Path, description: dict[str, Any]) -> nn.Module:
    """The network with its weights, ready to predict."""
    modules = {"conv_op": nn.Conv3d, "norm_op": nn.InstanceNorm3d, "nonlin": nn.LeakyReLU}
    network = PlainConvUNet(**{**description["arguments"], **modules, "deep_supervision": False})
    network.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return network.eval()


def before(plan: dict[str, Any]) -> Compose:
    """From a file to what the network wants, axes (x, y, z)."""
    low, high = ((plan[edge] - plan["mean"]) / plan["std"] for edge in ("lower", "upper"))
    return Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            Orientationd("image", axcodes="LPS"),
            ScaleIntensityRanged("image", plan["lower"], plan["upper"], low, high, clip=True),
            Spacingd("image", pixdim=plan["spacing_kji"][::-1], mode=plan["image_order"], padding_mode="nearest"),
        ]
    )


def after(transforms: Compose, folder: Path) -> Compose:
    """From scores to a file in ``folder``, named as the image."""
    return Compose(
        [
            Invertd("scores", transforms, orig_keys="image", nearest_interp=False, to_tensor=True),
            AsDiscreted("scores", argmax=True),
            SaveImaged(
                "scores",
                output_dir=folder,
                output_postfix="",
                separate_folder=False,
                output_dtype="uint8",
                print_log=False,
            ),
        ]
    )


def main(model: str, device_name: str, precision: str, *files: str) -> None:
    folder, device = Path(model), torch.device(device_name)
    description = json.loads((folder / "network.json").read_text())
    plan = description["plan"]
    network = network_of(folder, description).to(device)
    inferer = SlidingWindowInferer(
        roi_size=plan["patch_size_kji"][::-1],
        sw_batch_size=WINDOWS_AT_ONCE[device.type],
        overlap=0.5,
        mode="gaussian",
    )
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    load = before(plan)

    def scores_of(windows: torch.Tensor) -> torch.Tensor:
        """The network was trained on axes (z, y, x)."""
        return network(windows.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2).float()

    @torch.inference_mode()
    def predict(image: str, out: str) -> str:
        batch = list_data_collate([load({"image": image})])
        with nullcontext() if half is None else torch.autocast(device.type, dtype=half):
            batch["scores"] = inferer(batch["image"].to(device), scores_of)
        for item in decollate_batch(batch):
            after(load, Path(out).parent)(item)
        os.replace(Path(out).parent / Path(image).name, out)
        return out

    if files:
        predict(*files)
    else:
        answer_requests({"predict": predict})


if __name__ == "__main__":
    main(*sys.argv[1:])
