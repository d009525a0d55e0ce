"""nnU-Net's half of ``nnunet_agreement.py``; runs in an environment that has nnunetv2, knows nothing of this project.

``python nnunet_side.py FOLDER DATASET EPOCHS``: plans and preprocesses the data set by nnU-Net's own code, trains a
small network, and writes for every ``FOLDER/volumes/*.nii.gz`` into ``FOLDER/nnunet``: what its preprocessor makes of
it (for the trained plans and for variants of them), the logits of its predictor and of one bare patch, and its mask.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprint_dataset,
    plan_experiment_dataset,
    preprocess_dataset,
)
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference import predict_from_raw_data
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

CONFIGURATION = "3d_fullres"
PATCH = [24, 40, 40]
FEATURES = [8, 16, 32]
ITERATIONS = 50


def small_plans(dataset_id: int) -> dict:
    """nnU-Net's own plans with the network and its patch made small."""
    extract_fingerprint_dataset(dataset_id, num_processes=1, verbose=False)
    plans, name = plan_experiment_dataset(dataset_id)
    configuration = plans["configurations"][CONFIGURATION]
    configuration.update(patch_size=PATCH, batch_size=2)
    arguments = configuration["architecture"]["arch_kwargs"]
    stages = len(FEATURES)
    arguments.update(
        n_stages=stages,
        features_per_stage=FEATURES,
        kernel_sizes=[[3, 3, 3]] * stages,
        strides=[[1, 1, 1], *[[2, 2, 2]] * (stages - 1)],
        n_conv_per_stage=[1] * stages,
        n_conv_per_stage_decoder=[1] * (stages - 1),
    )
    path = Path(nnUNet_preprocessed) / plans["dataset_name"] / f"{name}.json"
    path.write_text(json.dumps(plans))
    return json.loads(path.read_text())


def train(plans: dict, dataset: dict, epochs: int) -> Path:
    """A trained results folder, written by nnU-Net's trainer."""
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112  (augmentation in this process; planning wants at least 1)
    trainer = nnUNetTrainer(plans, CONFIGURATION, 0, dataset, device=torch.device("cpu"))
    trainer.num_epochs = epochs
    trainer.num_iterations_per_epoch = ITERATIONS
    trainer.num_val_iterations_per_epoch = 2
    trainer.run_training()
    return Path(trainer.output_folder_base)


def variants(plans: dict) -> dict[str, dict]:
    """The plans, and the same with another spacing, axis order or normalisation."""
    changed = {name: copy.deepcopy(plans) for name in ("planned", "thick", "transposed", "zscore")}
    changed["thick"]["configurations"][CONFIGURATION]["spacing"] = [6.0, 1.5, 1.5]
    changed["transposed"].update(transpose_forward=[1, 2, 0], transpose_backward=[2, 0, 1])
    changed["zscore"]["configurations"][CONFIGURATION].update(
        normalization_schemes=["ZScoreNormalization"], use_mask_for_norm=[True]
    )
    return changed


def preprocessed(path: Path, plans: dict, dataset: dict) -> tuple[np.ndarray, dict]:
    """nnU-Net's preprocessor on one volume: array [1, z, y, x] and what it needs for the way back."""
    manager = PlansManager(plans)
    configuration = manager.get_configuration(CONFIGURATION)
    data, _, properties = DefaultPreprocessor(verbose=False).run_case(
        [str(path)], None, manager, configuration, dataset
    )
    return data, properties


@contextmanager
def summed_in_single_precision() -> Iterator[None]:
    """nnU-Net adds windows up in half precision; this shows how much of a difference is due to that."""
    half, gaussian = torch.half, predict_from_raw_data.compute_gaussian
    torch.half = torch.float32
    predict_from_raw_data.compute_gaussian = partial(gaussian, dtype=torch.float32)
    try:
        yield
    finally:
        torch.half, predict_from_raw_data.compute_gaussian = half, gaussian


def predict(path: Path, predictor: nnUNetPredictor, plans: dict, dataset: dict, out: Path) -> None:
    """Logits and mask of nnU-Net's own predictor, and the network's bare answer to the first patch."""
    data, properties = preprocessed(path, plans, dataset)
    stem = path.name.removesuffix(".nii.gz")
    patch = torch.from_numpy(data[(slice(None), *(slice(0, n) for n in PATCH))].astype(np.float32))[None]
    predictor.network.load_state_dict(predictor.list_of_parameters[0])
    predictor.network.eval()
    with torch.inference_mode():
        np.save(out / f"{stem}.patch.npy", patch.numpy())
        np.save(out / f"{stem}.patch_logits.npy", predictor.network(patch).numpy())
    logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data))
    np.save(out / f"{stem}.logits.npy", logits.float().numpy())
    with summed_in_single_precision():
        logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data))
    np.save(out / f"{stem}.logits_fp32.npy", logits.numpy())
    image, image_properties = SimpleITKIO().read_images([str(path)])
    predictor.predict_single_npy_array(image, image_properties, None, str(out / stem), False)


def main(folder: Path, dataset_id: int, epochs: int) -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    plans = small_plans(dataset_id)
    preprocess_dataset(dataset_id, configurations=(CONFIGURATION,), num_processes=[1])
    raw = Path(nnUNet_raw) / plans["dataset_name"]
    dataset = json.loads((raw / "dataset.json").read_text())
    results = train(plans, dataset, epochs)
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(results), (0,), "checkpoint_final.pth")
    out = folder / "nnunet"
    out.mkdir(exist_ok=True)
    changed = variants(plans)
    (out / "plans.json").write_text(json.dumps(changed))
    for path in sorted((folder / "volumes").glob("*.nii.gz")):
        for name, variant in changed.items():
            array, _ = preprocessed(path, variant, dataset)
            np.save(out / f"{path.name.removesuffix('.nii.gz')}.{name}.npy", array)
        predict(path, predictor, plans, dataset, out)
    (out / "done.json").write_text(json.dumps({"results": str(results)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
