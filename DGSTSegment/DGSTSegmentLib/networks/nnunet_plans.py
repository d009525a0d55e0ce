"""From nnU-Net's plans and dataset description to our preprocessing plan, network description and labels.

Only facts of the format are used; what it allows and we do not support is refused in one sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from .grid_zoom import ANISOTROPY_THRESHOLD
from .plan import Plan

NORMALIZATIONS = {
    "CTNormalization": "ct",
    "ZScoreNormalization": "zscore",
    "RescaleTo01Normalization": "rescale01",
    "NoNormalization": "none",
}
"""nnU-Net's schemes -> names of ``plan.NORMALIZATIONS``."""
RAS_READERS = ("NibabelIOWithReorient", "SimpleITKIOWithReorient")
"""nnU-Net's classes that bring scans to RAS order; its others leave them as they are stored."""
MODULE_ARGUMENTS = ("conv_op", "norm_op", "dropout_op", "nonlin", "block")
"""Arguments of networks that are modules, by their names."""
_THRESHOLD = "separate_z_anisotropy_threshold"
_DEFAULT_RESAMPLING = "resample_data_or_seg_to_shape"


def configuration_of(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration of the plans, with what it inherits.

    Raises:
        InputError: it, or one it inherits from, is not in the plans, or they inherit in a circle.
    """
    configurations = plans.get("configurations") or {}
    chain: list[str] = []
    while name is not None:
        if name not in configurations or name in chain:
            raise InputError(f"The model's plans have no usable configuration {name!r}; copy the model again.")
        chain.append(name)
        name = configurations[name].get("inherits_from")
    merged: dict[str, Any] = {}
    for link in reversed(chain):
        merged.update(configurations[link])
    return merged


def labels_of(dataset: Mapping[str, Any]) -> dict[str, int]:
    """Segment name -> value, background first. nnU-Net's ``ignore`` label is no output of the network and is left out.

    Raises:
        InputError: labels are missing, not consecutive from 0, or regions of several values.
    """
    labels = {}
    for name, value in (dataset.get("labels") or {}).items():
        values = value if isinstance(value, list | tuple) else [value]
        if len(values) != 1:
            raise InputError(
                f"The model was trained on regions (label {name!r} stands for the values {list(values)}), which is not "
                "supported; choose a model with plain labels."
            )
        if name != "ignore":
            labels[name] = int(values[0])
    if sorted(labels.values()) != list(range(len(labels))) or len(labels) < 2:
        raise InputError(f"The model's labels must be numbered 0, 1, 2, ... with background 0, not {labels}.")
    return dict(sorted(labels.items(), key=lambda label: label[1]))


def ignored_value_of(dataset: Mapping[str, Any]) -> int | None:
    """The value of voxels on which nothing is known, nnU-Net's ``ignore`` label; None where the data set has none."""
    value = (dataset.get("labels") or {}).get("ignore")
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, int) else None


def plan_of(plans: Mapping[str, Any], dataset: Mapping[str, Any], name: str) -> Plan:
    """The preprocessing that belongs to the configuration ``name``.

    Raises:
        InputError: it is not supported (2D, cascade, several channels, other resampling), or a part is missing.
    """
    configuration = configuration_of(plans, name)
    try:
        _refuse_unsupported(configuration, dataset, name)
        return _supported_plan(plans, configuration)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"The model's plans are incomplete (configuration {name!r}: {error!r}); copy it again."
        ) from error


def architecture_of(plans: Mapping[str, Any], name: str, classes: int) -> dict[str, Any]:
    """Description of the configuration's network, as ``architectures.build`` takes it, for one channel.

    Raises:
        InputError: the plans describe no network.
    """
    configuration = configuration_of(plans, name)
    described = configuration.get("architecture")
    try:
        network, arguments = (
            (described["network_class_name"], described["arch_kwargs"]) if described else _old_style(configuration)
        )
    except (KeyError, TypeError) as error:
        raise InputError(
            f"The model's plans describe no network ({error!r} is missing); copy the model again."
        ) from error
    return {
        "class": network.rsplit(".", 1)[-1],
        "arguments": {"input_channels": 1, "num_classes": classes, **arguments},
    }


def _refuse_unsupported(configuration: Mapping[str, Any], dataset: Mapping[str, Any], name: str) -> None:
    channels = dataset.get("channel_names") or dataset.get("modality") or {"0": "CT"}
    resampling = {configuration.get(f"resampling_fn_{what}", _DEFAULT_RESAMPLING) for what in ("data", "probabilities")}
    preprocessor = configuration.get("preprocessor_name", "DefaultPreprocessor")
    refusals = {
        f"is a 2D configuration ({name})": len(configuration["patch_size"]) != 3,
        f"is the second stage of a cascade ({name})": bool(configuration.get("previous_stage")),
        f"wants {len(channels)} input channels": len(channels) != 1,
        f"resamples by {', '.join(sorted(resampling))}": resampling != {_DEFAULT_RESAMPLING},
        f"preprocesses by {preprocessor}": preprocessor != "DefaultPreprocessor",
    }
    for what, holds in refusals.items():
        if holds:
            raise InputError(
                f"The model {what}, which is not supported; choose a 3D model of one CT channel with nnU-Net's default "
                "preprocessing."
            )


def _supported_plan(plans: Mapping[str, Any], configuration: Mapping[str, Any]) -> Plan:
    image, scores = _resampling(configuration)
    scheme = configuration["normalization_schemes"][0]
    if scheme not in NORMALIZATIONS:
        raise InputError(f"The model normalises by {scheme}, which is not supported; choose another model.")
    reorients = plans.get("image_reader_writer") in RAS_READERS
    return Plan(
        spacing_kji=tuple(configuration["spacing"]),
        patch_size_kji=tuple(configuration["patch_size"]),
        transpose=tuple(plans.get("transpose_forward", (0, 1, 2))),
        normalization=NORMALIZATIONS[scheme],
        within_nonzero=bool(configuration["use_mask_for_norm"][0]),
        orientation="ras" if reorients else "lps",
        image_order=image.get("order", 3),
        score_order=scores.get("order", 1),
        separate_z=image.get("force_separate_z"),
        **(_intensities(plans) if scheme == "CTNormalization" else {}),
    )


def _resampling(configuration: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """How images, and how scores are resampled."""
    image, scores = (configuration.get(f"resampling_fn_{what}_kwargs") or {} for what in ("data", "probabilities"))
    unknown = sorted((set(image) | set(scores)) - {"is_seg", "order", "order_z", "force_separate_z", _THRESHOLD})
    thresholds = {part.get(_THRESHOLD, ANISOTROPY_THRESHOLD) for part in (image, scores)}
    separate_z = {part["force_separate_z"] for part in (image, scores) if "force_separate_z" in part}
    refusals = {
        "between slices by splines": image.get("order_z", 0) != 0 or scores.get("order_z", 0) != 0,
        f"by {', '.join(unknown)}": bool(unknown),
        f"by another {_THRESHOLD} than {ANISOTROPY_THRESHOLD:g}": thresholds != {ANISOTROPY_THRESHOLD},
        "scores otherwise than images between slices (force_separate_z)": len(separate_z) > 1,
    }
    for how, holds in refusals.items():
        if holds:
            raise InputError(f"The model resamples {how}, which is not supported; choose another model.")
    return image, scores


def _intensities(plans: Mapping[str, Any]) -> dict[str, float]:
    channels = plans.get("foreground_intensity_properties_per_channel")
    channels = channels or plans["foreground_intensity_properties_by_modality"]
    names = {"lower": "percentile_00_5", "upper": "percentile_99_5", "mean": "mean", "std": "std"}
    return {ours: float(channels["0"][theirs]) for ours, theirs in names.items()}


def _old_style(configuration: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Plans from before nnU-Net 2.4 describe the network by a few numbers and leave the rest to the program."""
    network = configuration["UNet_class_name"]
    depths = configuration["n_conv_per_stage_encoder"]
    first, most = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
    return network, {
        "n_stages": len(depths),
        "features_per_stage": [min(first * 2**stage, most) for stage in range(len(depths))],
        "conv_op": "Conv3d",
        "kernel_sizes": configuration["conv_kernel_sizes"],
        "strides": configuration["pool_op_kernel_sizes"],
        "n_conv_per_stage" if network == "PlainConvUNet" else "n_blocks_per_stage": depths,
        "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
        "conv_bias": True,
        "norm_op": "InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
