"""nnU-Net's plans and data set description for a model that nnU-Net did not plan. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError
from .nnunet_plans import MODULE_ARGUMENTS, NORMALIZATIONS, RAS_READERS
from .plan import Plan

CONFIGURATION, PLANS, TRAINER, ENDING = "3d_fullres", "nnUNetPlans", "nnUNetTrainer", ".nii.gz"
READER = "SimpleITKIO"
_RESAMPLING = "resample_data_or_seg_to_shape"
_RESIDUAL = "dynamic_network_architectures.building_blocks.residual"
_MODULES = {
    "Conv3d": "torch.nn.modules.conv.Conv3d",
    "InstanceNorm3d": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "BatchNorm3d": "torch.nn.modules.batchnorm.BatchNorm3d",
    "BasicBlockD": f"{_RESIDUAL}.BasicBlockD",
    "BottleneckD": f"{_RESIDUAL}.BottleneckD",
}
"""Modules by the last part of their names, as nnU-Net's plans have them in full; all others are torch's."""


def dataset_of(labels: Mapping[str, int], scans: int, reader: str = READER) -> dict[str, Any]:
    """``dataset.json`` of a CT data set.

    Args:
        labels: segment name -> value.
        scans: how many it trains on.
        reader: nnU-Net's class that reads its files.
    """
    return {
        "channel_names": {"0": "CT"},
        "labels": dict(labels),
        "numTraining": scans,
        "file_ending": ENDING,
        "overwrite_image_reader_writer": reader,
    }


def plans_of(dataset: str, plan: Plan, architecture: Mapping[str, Any], batch_size: int = 2) -> dict[str, Any]:
    """nnU-Net's plans for a plan of ours and its network.

    Args:
        dataset: its name, ``Dataset901_Name``.

    Raises:
        InputError: the network is none that plans describe.
    """
    clip = {"percentile_00_5": plan.lower, "percentile_99_5": plan.upper, "min": plan.lower, "max": plan.upper}
    return {
        "dataset_name": dataset,
        "plans_name": PLANS,
        "original_median_spacing_after_transp": list(plan.spacing_kji),
        "original_median_shape_after_transp": list(plan.patch_size_kji),
        "image_reader_writer": RAS_READERS[0] if plan.orientation == "ras" else READER,
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
        "normalization_schemes": [{ours: theirs for theirs, ours in NORMALIZATIONS.items()}[plan.normalization]],
        "use_mask_for_norm": [plan.within_nonzero],
        **resampling,
        "architecture": _network(architecture),
        "batch_dice": False,
    }


def _network(architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The network as nnU-Net's plans name it: a kernel and a stride for each stage and axis, modules by full name.

    Raises:
        InputError: it is no U-Net of dynamic_network_architectures.
    """
    name = str(architecture["class"]).rsplit(".", 1)[-1]
    if name not in ("PlainConvUNet", "ResidualEncoderUNet"):
        raise InputError(f"nnU-Net's plans describe no {name}; only its U-Nets are written for it.")
    arguments = {"dropout_op": None, "dropout_op_kwargs": None, **architecture["arguments"]}
    modules = [key for key in MODULE_ARGUMENTS if key in arguments]
    arguments |= {key: _in_full(arguments[key]) for key in modules}
    stages = arguments["n_stages"]
    for key in ("input_channels", "num_classes", "deep_supervision"):
        arguments.pop(key, None)
    for key, count in (
        ("n_conv_per_stage", stages),
        ("n_blocks_per_stage", stages),
        ("n_conv_per_stage_decoder", stages - 1),
    ):
        if key in arguments:
            arguments[key] = _each(arguments[key], count)
    for key in ("kernel_sizes", "strides"):
        arguments[key] = [_each(value, 3) for value in _each(arguments[key], stages)]
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
        "arch_kwargs": arguments,
        "_kw_requires_import": modules,
    }


def _in_full(module: str | None) -> str | None:
    """The name that nnU-Net imports it by, of the module that ``architectures.build`` takes."""
    if module is None:
        return None
    name = module.rsplit(".", 1)[-1]
    return _MODULES.get(name, f"torch.nn.{name}")


def _each(value: int | Sequence[Any], count: int) -> list[Any]:
    """A value for each, where one stands for all."""
    return list(value) if isinstance(value, Sequence) else [value] * count
