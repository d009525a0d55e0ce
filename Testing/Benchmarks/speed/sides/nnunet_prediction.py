"""nnU-Net's half of the prediction; runs in an environment that has nnunetv2, knows nothing of this project.

``python nnunet_prediction.py RESULTS DEVICE`` answers ``predict`` by nnU-Net's own sequential prediction from file to
file, with the network already in memory; ``python nnunet_prediction.py RESULTS DEVICE IMAGE OUT`` does it once and
ends. No mirroring, windows half overlapping, Gaussian weights.
"""

from __future__ import annotations

from answering import answer_requests  # isort: skip  (takes stdout before others print to it)

import sys

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

ENDING = ".nii.gz"


def main(results: str, device: str, *files: str) -> None:
    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=False, device=torch.device(device), allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(results, (0,), "checkpoint_final.pth")

    def predict(image: str, out: str) -> str:
        predictor.predict_from_files_sequential([[image]], [out.removesuffix(ENDING)])
        return out

    if files:
        predict(*files)
    else:
        answer_requests({"predict": predict})


if __name__ == "__main__":
    main(*sys.argv[1:])
