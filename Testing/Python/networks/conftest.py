"""Small networks, and results folders as nnU-Net v2 lays them out."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from DGSTSegmentLib.networks.architectures import build
from DGSTSegmentLib.networks.card import ModelCard
from DGSTSegmentLib.networks.package import write_delta, write_full
from DGSTSegmentLib.networks.plan import Plan

CONFIGURATION = "3d_fullres"
TRAINER_FOLDER = f"nnUNetTrainer__nnUNetPlans__{CONFIGURATION}"
ARCH_KWARGS = {
    "n_stages": 3,
    "features_per_stage": [4, 6, 8],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "n_conv_per_stage": [1, 1, 1],
    "n_conv_per_stage_decoder": [1, 1],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
RESIDUAL_KWARGS = {
    **{name: value for name, value in ARCH_KWARGS.items() if name != "n_conv_per_stage"},
    "n_blocks_per_stage": [1, 1, 1],
}
PLANS = {
    "dataset_name": "Dataset201_Nodes",
    "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "transpose_backward": [0, 1, 2],
    "foreground_intensity_properties_per_channel": {
        "0": {"mean": 51.5, "std": 43.25, "percentile_00_5": -87.0, "percentile_99_5": 199.0, "min": -900.0}
    },
    "configurations": {
        "2d": {"patch_size": [64, 64], "spacing": [1.0, 1.0]},
        CONFIGURATION: {
            "data_identifier": "nnUNetPlans_3d_fullres",
            "preprocessor_name": "DefaultPreprocessor",
            "patch_size": [8, 16, 16],
            "spacing": [3.0, 1.25, 1.25],
            "normalization_schemes": ["CTNormalization"],
            "use_mask_for_norm": [False],
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
            "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": ARCH_KWARGS,
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            },
        },
    },
}
DATASET = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "lymph node": 1},
    "numTraining": 12,
    "name": "Nodes of the neck",
    "file_ending": ".nii.gz",
}


def plain_architecture(deep_supervision: bool = True) -> dict:
    arguments = {"input_channels": 1, "num_classes": 2, "deep_supervision": deep_supervision, **ARCH_KWARGS}
    return {"class": "PlainConvUNet", "arguments": copy.deepcopy(arguments)}


def residual_architecture() -> dict:
    arguments = {"input_channels": 1, "num_classes": 2, "deep_supervision": True, **RESIDUAL_KWARGS}
    return {"class": "ResidualEncoderUNet", "arguments": copy.deepcopy(arguments)}


def swin_architecture(use_v2: bool = False) -> dict:
    arguments = {"in_channels": 1, "out_channels": 2, "feature_size": 12, "use_v2": use_v2, "img_size": [64, 64, 64]}
    return {"class": "SwinUNETR", "arguments": arguments}


def made(architecture: dict, seed: int = 0) -> torch.nn.Module:
    """A network with the weights that ``seed`` draws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(architecture).eval()


def write_results(
    folder: Path,
    networks: dict[str, torch.nn.Module],
    *,
    plans: dict | None = PLANS,
    dataset: dict | None = DATASET,
    trainer: str = "nnUNetTrainer",
    configuration: str = CONFIGURATION,
    checkpoint: str = "checkpoint_final.pth",
    carried: bool = False,
) -> Path:
    """What nnU-Net leaves: ``plans.json``, ``dataset.json`` and a checkpoint for each of ``networks`` (by fold).

    With ``carried`` plans and data set description stand in the checkpoints too, as nnU-Net's trainer puts them there.
    """
    for fold, network in networks.items():
        (folder / f"fold_{fold}").mkdir(parents=True, exist_ok=True)
        init_args = {"configuration": configuration, "fold": fold, "device": torch.device("cpu")}
        if carried:
            init_args.update(plans=PLANS, dataset_json=DATASET)
        content = {
            "network_weights": network.state_dict(),
            "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
            "grad_scaler_state": None,
            "logging": {
                "mean_fg_dice": [np.float32(0.5), np.float64(0.75)],
                "dice_per_class_or_region": [[np.float32(1)]],
            },
            "_best_ema": np.float64(0.8),
            "current_epoch": 1000,
            "init_args": init_args,
            "trainer_name": trainer,
            "inference_allowed_mirroring_axes": (0, 1, 2),
        }
        torch.save(content, folder / f"fold_{fold}" / checkpoint)
    for name, part in (("plans.json", plans), ("dataset.json", dataset)):
        if part is not None:
            (folder / name).write_text(json.dumps(part))
    return folder


@pytest.fixture
def workshop() -> SimpleNamespace:
    """What tests make models with."""
    return SimpleNamespace(
        made=made,
        patch=patch_of,
        plain=plain_architecture,
        residual=residual_architecture,
        swin=swin_architecture,
        write_results=write_results,
        plans=lambda: copy.deepcopy(PLANS),
        dataset=lambda: copy.deepcopy(DATASET),
    )


@pytest.fixture
def results(tmp_path) -> Path:
    """A configuration's folder inside its data set's inside ``nnUNet_results``, with one fold."""
    folder = tmp_path / "nnUNet_results" / "Dataset201_Nodes" / TRAINER_FOLDER
    return write_results(folder, {"0": made(plain_architecture())})


@pytest.fixture
def package(tmp_path) -> Path:
    """One of our packages with full weights in fp32."""
    folder = tmp_path / "base"
    plan = Plan((3.0, 1.25, 1.25), (8, 16, 16), lower=-87.0, upper=199.0, mean=51.5, std=43.25)
    card = ModelCard("base", "For tests.", {"background": 0, "lymph node": 1})
    write_full(folder, made(plain_architecture()), card, plan, plain_architecture())
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Zips are unpacked into the test's own folder."""
    monkeypatch.setenv("DGST_CACHE", str(tmp_path / "cache"))


def patch_of(shape: tuple[int, ...] = (1, 1, 8, 16, 16), seed: int = 3) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def same_answer(network, other, patch) -> bool:
    with torch.no_grad():
        first, second = network(patch), other(patch)
    pairs = zip(first, second, strict=True) if isinstance(first, list) else [(first, second)]
    return all(torch.equal(a, b) for a, b in pairs)


def changed(model, seed=1):
    """The model's network after something like fine-tuning: a few weights of every tensor moved."""
    network = model.network()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            place = torch.randint(parameter.numel(), (1,), generator=generator)
            parameter.view(-1)[place] += 0.1
    return network


def fine_tuned(model, folder, seed=1, name="tuned"):
    network = changed(model, seed)
    write_delta(folder, model.delta_to(network), replace(model.card, name=name), model.plan, model)
    return network


def identical(network, other) -> bool:
    state, other_state = network.state_dict(), other.state_dict()
    return state.keys() == other_state.keys() and all(torch.equal(state[name], other_state[name]) for name in state)
