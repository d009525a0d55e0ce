"""nnU-Net's half of the training step; runs in an environment that has nnunetv2, knows nothing of this project.

``python nnunet_training.py DATASET_ID PLANS DEVICE WORKERS``: preprocesses the raw data set by nnU-Net's own code with
the given plans where that was not done, then answers ``steps`` with its own trainer's steps, batches from its own
dataloader, augmented by so many workers (0: in this process).
"""

from __future__ import annotations

from answering import answer_requests  # isort: skip  (takes stdout before others print to it)

import json
import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset, preprocess_dataset
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

CONFIGURATION, PLANS = "3d_fullres", "nnUNetPlans"
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def preprocess(dataset_id: int, plans_path: Path) -> tuple[dict, dict]:
    """Plans and dataset description; the data are preprocessed with the plans' own, once."""
    plans = json.loads(plans_path.read_text())
    folder = Path(nnUNet_preprocessed) / plans["dataset_name"]
    description = Path(nnUNet_raw) / plans["dataset_name"] / "dataset.json"
    done = folder / "done"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        extract_fingerprint_dataset(dataset_id, num_processes=1, verbose=False)
        (folder / f"{PLANS}.json").write_text(json.dumps(plans))
        shutil.copy(description, folder)
        preprocess_dataset(dataset_id, PLANS, (CONFIGURATION,), num_processes=[1])
        done.touch()
    return plans, json.loads(description.read_text())


def begun(plans: dict, dataset: dict, device: torch.device) -> nnUNetTrainer:
    """nnU-Net's trainer just before its first step."""
    trainer = nnUNetTrainer(plans, CONFIGURATION, 0, dataset, device=device)
    trainer.on_train_start()
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    return trainer


def main(dataset_id: str, plans_path: str, device_name: str, workers: str) -> None:
    device = torch.device(device_name)
    plans, dataset = preprocess(int(dataset_id), Path(plans_path))
    os.environ["nnUNet_n_proc_DA"] = workers  # noqa: SIM112  (only now: preprocessing wants at least 1)
    if device.type == "cuda":  # as nnU-Net's own run_training.py does
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    trainer = begun(plans, dataset, device)

    def steps(count: int, precision: str | None = None) -> float:
        """So many steps; in its own precision, or in autocast on a CPU. The last loss."""
        dtype = HALF.get(precision)
        with nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype):
            for _ in range(count):
                report = trainer.train_step(next(trainer.dataloader_train))
        if device.type == "cuda":
            torch.cuda.synchronize()
        return float(report["loss"])

    answer_requests({"steps": steps})


if __name__ == "__main__":
    main(*sys.argv[1:])
