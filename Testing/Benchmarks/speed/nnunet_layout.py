"""A model and scans written down as nnU-Net v2 expects them, so that nnU-Net and this project open the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from DGSTSegmentLib.atomic import atomic_path, write_text
from DGSTSegmentLib.imaging.files import write_volume
from DGSTSegmentLib.imaging.volume import Volume
from DGSTSegmentLib.networks.model import FoundationModel
from DGSTSegmentLib.networks.plan import Plan

CONFIGURATION, PLANS, TRAINER = "3d_fullres", "nnUNetPlans", "nnUNetTrainer"
ENDING = ".nii.gz"
_RESAMPLING = "resample_data_or_seg_to_shape"
_MODULES = {
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "nonlin": "torch.nn.LeakyReLU",
}


def write_results(folder: Path, dataset: str, model: FoundationModel, batch_size: int = 2) -> Path:
    """A results folder that nnU-Net's predictor opens, with the model's weights as fold 0; returns it.

    Args:
        folder: nnU-Net's folder of results.
        dataset: ``Dataset901_Name``.
        model: a single PlainConvUNet.
        batch_size: of the plans.
    """
    results = folder / dataset / f"{TRAINER}__{PLANS}__{CONFIGURATION}"
    (results / "fold_0").mkdir(parents=True, exist_ok=True)
    plans = plans_of(dataset, model.plan, model.architecture, batch_size)
    description = dataset_of(model.labels, 0)
    checkpoint = {
        "network_weights": model.network().state_dict(),
        "trainer_name": TRAINER,
        "inference_allowed_mirroring_axes": (0, 1, 2),
        "init_args": {"plans": plans, "configuration": CONFIGURATION, "fold": 0, "dataset_json": description},
    }
    for name, content in (("plans", plans), ("dataset", description)):
        write_text(results / f"{name}.json", json.dumps(content, indent=2))
    with atomic_path(results / "fold_0" / "checkpoint_final.pth") as partial:
        torch.save(checkpoint, partial)
    return results


def write_raw(folder: Path, dataset: str, labels: Mapping[str, int], scans: Sequence[tuple[Volume, Volume]]) -> Path:
    """A raw data set of (CT in HU, mask) in nnU-Net's folder of raw data; returns it."""
    raw = folder / dataset
    for name in ("imagesTr", "labelsTr"):
        (raw / name).mkdir(parents=True, exist_ok=True)
    for n, (image, mask) in enumerate(scans):
        write_volume(image, raw / "imagesTr" / f"scan{n}_0000{ENDING}")
        write_volume(mask, raw / "labelsTr" / f"scan{n}{ENDING}")
    write_text(raw / "dataset.json", json.dumps(dataset_of(labels, len(scans)), indent=2))
    return raw


def dataset_of(labels: Mapping[str, int], scans: int) -> dict[str, Any]:
    """``dataset.json`` of a CT data set."""
    return {
        "channel_names": {"0": "CT"},
        "labels": {name.replace(" ", "_"): value for name, value in labels.items()},
        "numTraining": scans,
        "file_ending": ENDING,
        "overwrite_image_reader_writer": "SimpleITKIO",
    }


def plans_of(dataset: str, plan: Plan, architecture: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    """nnU-Net's plans for a plan of ours and its network.

    Raises:
        ValueError: the plan normalises otherwise than nnU-Net does CTs.
    """
    if plan.normalization != "ct":
        raise ValueError(f"Plans are written for the normalization ct, not {plan.normalization}.")
    clip = {"percentile_00_5": plan.lower, "percentile_99_5": plan.upper, "min": plan.lower, "max": plan.upper}
    return {
        "dataset_name": dataset,
        "plans_name": PLANS,
        "original_median_spacing_after_transp": list(plan.spacing_kji),
        "original_median_shape_after_transp": list(plan.patch_size_kji),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(plan.transpose),
        "transpose_backward": [plan.transpose.index(axis) for axis in range(3)],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {"mean": plan.mean, "median": plan.mean, "std": plan.std, **clip}
        },
        "configurations": {CONFIGURATION: _configuration(plan, architecture, batch_size)},
    }


def _configuration(plan: Plan, architecture: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    resampling = {
        f"resampling_fn_{what}{suffix}": value
        for what, is_seg, order in (
            ("data", False, plan.image_order),
            ("seg", True, 1),
            ("probabilities", False, plan.score_order),
        )
        for suffix, value in (
            ("", _RESAMPLING),
            ("_kwargs", {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": plan.separate_z}),
        )
    }
    return {
        "data_identifier": f"{PLANS}_{CONFIGURATION}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": batch_size,
        "patch_size": list(plan.patch_size_kji),
        "median_image_size_in_voxels": list(plan.patch_size_kji),
        "spacing": list(plan.spacing_kji),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        **resampling,
        "architecture": _network(architecture),
        "batch_dice": False,
    }


def _network(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The network as nnU-Net's plans name it: a kernel and a stride for each stage and axis, modules by full name."""
    arguments = dict(architecture["arguments"])
    stages = arguments["n_stages"]
    for name in ("input_channels", "num_classes", "deep_supervision"):
        arguments.pop(name)
    arguments |= {
        "kernel_sizes": [[arguments["kernel_sizes"]] * 3] * stages,
        "strides": [[stride] * 3 for stride in arguments["strides"]],
        "n_conv_per_stage": [arguments["n_conv_per_stage"]] * stages,
        "n_conv_per_stage_decoder": [arguments["n_conv_per_stage_decoder"]] * (stages - 1),
        "dropout_op": None,
        "dropout_op_kwargs": None,
        **_MODULES,
    }
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": arguments,
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
