"""Does a model that nnU-Net trained give the same answer here as in nnU-Net?

``python Testing/Benchmarks/nnunet_agreement.py --out FOLDER`` makes a small data set of balls in fat, lets nnU-Net (in
an environment of its own, made in FOLDER unless ``--python`` names one) plan, preprocess, train and predict, and
compares step by step: preprocessing, the network on one patch, the logits of the whole volume, the mask. The same
volumes stored flipped and with axes permuted must give the same mask in the world. Writes ``agreement.json``.

nnU-Net adds up its windows in half precision, where the weights at a window's rim are too small to be exact: logits at
the rim of a volume differ by some tenths for that reason alone, as its own predictor made to add in fp32 shows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from DGSTSegmentLib.imaging.files import read_ct, read_volume, write_volume
from DGSTSegmentLib.imaging.geometry import Geometry
from DGSTSegmentLib.imaging.orientation import in_axis_order_of, to_lps_order
from DGSTSegmentLib.imaging.volume import Volume
from DGSTSegmentLib.networks.architectures import outputs
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.model import FoundationModel
from DGSTSegmentLib.networks.nnunet_plans import plan_of
from DGSTSegmentLib.networks.preprocessing import prepare
from DGSTSegmentLib.training.predict import Predictor, predict

NNUNET_REQUIREMENTS = ("torch==2.13.0", "dynamic-network-architectures<0.4", "nnunetv2")
DATASET_ID = 901
DATASET = f"Dataset{DATASET_ID}_Balls"
TRAINING_SCANS = 8
LEAST_DICE = 0.99
MOST_PREPROCESSING = 1e-4
FIELD_MM = np.array([92.0, 96.0, 100.0])


def turned(*degrees: float) -> np.ndarray:
    """Direction matrix turned about x, y and z in that order."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        a, b = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


VOLUMES: dict[str, tuple[tuple[float, float, float], np.ndarray]] = {
    "identity": ((1.5, 1.5, 2.5), np.eye(3)),
    "fine": ((0.8, 0.9, 1.7), np.eye(3)),
    "anisotropic": ((0.9, 0.9, 5.0), np.eye(3)),
    "oblique": ((1.4, 1.3, 2.2), turned(12, -9, 17)),
    "oblique_anisotropic": ((1.0, 1.0, 4.0), turned(-14, 8, -6)),
}
"""Spacing (i, j, k; mm) and direction; all stored in LPS order."""


def scan(seed: int, spacing: tuple[float, float, float], direction: np.ndarray) -> tuple[Volume, Volume]:
    """A CT (HU) of balls in fat within air, and their mask. Everything is placed in the world, not on the grid."""
    rng = np.random.default_rng(seed)
    shape = tuple(np.rint(FIELD_MM[::-1] / np.array(spacing)[::-1]).astype(int))
    center_index = (np.array(shape) - 1) / 2
    geometry = Geometry.from_parts(shape, spacing, direction=direction)
    world = geometry.to_world(np.indices(shape).transpose(1, 2, 3, 0)) - geometry.to_world(center_index)
    hu = np.where((np.abs(world) < FIELD_MM * 0.45).all(-1), -90.0, -1000.0)
    mask = np.zeros(shape, np.uint8)
    for _ in range(6):
        radius = rng.uniform(5, 11)
        center = rng.uniform(-0.42, 0.42, 3) * (FIELD_MM - 2 * radius)
        inside = ((world - center) ** 2).sum(-1) < radius**2
        hu[inside] = rng.uniform(40, 90)
        mask[inside] = 1
    hu += rng.normal(0, 25, shape)
    if seed % 2:
        hu[:, :4] = 0
        hu[-2:] = 0
        mask[:, :4] = 0
        mask[-2:] = 0
    return Volume(np.rint(hu).astype(np.int16), geometry), Volume(mask, geometry)


def write_data(folder: Path) -> None:
    """A raw data set as nnU-Net wants it, and the volumes to predict."""
    raw = folder / "raw" / DATASET
    for name in ("imagesTr", "labelsTr"):
        (raw / name).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for seed in range(TRAINING_SCANS):
        image, mask = scan(seed, (1.5, 1.5, float(rng.choice([2.0, 2.5, 3.0]))), np.eye(3))
        write_volume(image, raw / "imagesTr" / f"ball{seed}_0000.nii.gz")
        write_volume(mask, raw / "labelsTr" / f"ball{seed}.nii.gz")
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "ball": 1},
        "numTraining": TRAINING_SCANS,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
    }
    (raw / "dataset.json").write_text(json.dumps(description))
    (folder / "volumes").mkdir(exist_ok=True)
    for seed, (name, (spacing, direction)) in enumerate(VOLUMES.items(), 100):
        write_volume(scan(seed, spacing, direction)[0], folder / "volumes" / f"{name}.nii.gz")


def nnunet_python(folder: Path) -> Path:
    """The interpreter of an environment with nnU-Net, made in ``folder`` at the first call."""
    environment = folder / "nnunet-environment"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(environment, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *NNUNET_REQUIREMENTS], check=True)
    return python


def run_nnunet(folder: Path, python: Path, epochs: int) -> Path:
    """Let nnU-Net plan, preprocess, train and predict; returns its results folder."""
    places = {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    environment = {**os.environ, **places, "nnUNet_n_proc_DA": "1", "nnUNet_compile": "f", "OMP_NUM_THREADS": "1"}
    side = Path(__file__).with_name("nnunet_side.py")
    with open(folder / "nnunet.log", "w") as log:
        command = [python, side, folder, str(DATASET_ID), str(epochs)]
        subprocess.run(command, check=True, env=environment, stdout=log, stderr=subprocess.STDOUT)
    return Path(json.loads((folder / "nnunet" / "done.json").read_text())["results"])


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def difference(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Largest and mean absolute difference of two arrays; infinite where their shapes differ."""
    if ours.shape != theirs.shape:
        return {"max": float("inf"), "mean": float("inf")}
    apart = np.abs(ours.astype(np.float64) - theirs)
    return {"max": float(apart.max()), "mean": float(apart.mean())}


def compare(folder: Path, name: str, model: FoundationModel) -> dict[str, object]:
    """All figures of one volume."""
    volume = read_ct(folder / "volumes" / f"{name}.nii.gz")
    theirs = folder / "nnunet"
    dataset = json.loads((folder / "raw" / DATASET / "dataset.json").read_text())
    preprocessing = {
        variant: difference(
            prepare(volume, plan_of(plans, dataset, "3d_fullres")).array, np.load(theirs / f"{name}.{variant}.npy")
        )
        for variant, plans in json.loads((theirs / "plans.json").read_text()).items()
    }
    network = model.network()
    with torch.inference_mode():
        patch = outputs(network(torch.from_numpy(np.load(theirs / f"{name}.patch.npy"))))[0].numpy()
    prepared = prepare(volume, model.plan)
    logits = Predictor([network], model.plan, "cpu", "fp32").scores(prepared)
    their_logits = np.load(theirs / f"{name}.logits.npy")
    mask = predict(model, volume, device="cpu", precision="fp32").segmentation
    their_mask = read_volume(theirs / f"{name}.nii.gz")
    return {
        "preprocessing": preprocessing,
        "patch_logits": difference(patch, np.load(theirs / f"{name}.patch_logits.npy")),
        "logits": difference(logits, their_logits),
        "logits_summed_in_fp32": difference(logits, np.load(theirs / f"{name}.logits_fp32.npy")),
        "logits_range": [float(their_logits.min()), float(their_logits.max())],
        "foreground_voxels": int(their_mask.array.sum()),
        "different_voxels": int((mask.array != their_mask.array).sum()),
        "same_geometry": mask.geometry.same_grid(their_mask.geometry),
        "dice": dice(mask.array > 0, their_mask.array > 0),
        "stored_otherwise": {way: stored_otherwise(volume, mask, model, way) for way in ("flipped", "permuted")},
    }


def stored_otherwise(volume: Volume, mask: Volume, model: FoundationModel, way: str) -> dict[str, float]:
    """The same scan stored flipped or with its axes permuted: Dice and different voxels, compared in LPS order."""
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    permute = np.eye(4)[:, [2, 0, 1, 3]] @ np.diag([1.0, -1.0, 1.0, 1.0])
    change = flip if way == "flipped" else permute
    shape_ijk = (np.abs(np.linalg.inv(change)[:3, :3]) @ volume.array.shape[::-1]).astype(int)
    matrix = volume.geometry.ijk_to_world @ change
    last = np.where((change[:3, :3] < 0).any(1), np.array(volume.array.shape[::-1]) - 1, 0)
    matrix[:3, 3] = volume.geometry.to_world(last[::-1])
    stored = in_axis_order_of(volume, Geometry(tuple(shape_ijk[::-1]), matrix))
    answer = to_lps_order(predict(model, stored, device="cpu", precision="fp32").segmentation)
    expected = to_lps_order(mask)
    return {
        "dice": dice(answer.array > 0, expected.array > 0),
        "different_voxels": int((answer.array != expected.array).sum()),
    }


def print_table(figures: dict[str, dict]) -> None:
    table = Table(title="Agreement with nnU-Net's own predictor (fp32, no mirroring)")
    columns = (
        "volume",
        "preprocessing max",
        "patch logits max",
        "logits mean, max",
        "summed in fp32",
        "Dice",
        "voxels",
    )
    for column in (*columns, "flipped", "permuted"):
        table.add_column(column)
    for name, f in figures.items():
        worst = max(variant["max"] for variant in f["preprocessing"].values())
        table.add_row(
            name,
            f"{worst:.1e}",
            f"{f['patch_logits']['max']:.1e}",
            f"{f['logits']['mean']:.4f}, {f['logits']['max']:.2f}",
            f"{f['logits_summed_in_fp32']['max']:.1e}",
            f"{f['dice']:.4f}",
            f"{f['different_voxels']} of {f['foreground_voxels']}",
            *(f"{f['stored_otherwise'][way]['dice']:.4f}" for way in ("flipped", "permuted")),
        )
    Console(width=140).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for everything that is made")
    parser.add_argument("--python", type=Path, help="interpreter of an environment that has nnunetv2")
    parser.add_argument("--epochs", type=int, default=8, help="epochs of 50 iterations")
    arguments = parser.parse_args()
    folder = arguments.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    started = time.monotonic()
    done = folder / "nnunet" / "done.json"
    if not done.exists():
        write_data(folder)
        run_nnunet(folder, arguments.python or nnunet_python(folder), arguments.epochs)
    results = Path(json.loads(done.read_text())["results"])
    model = open_model(results, fold=0)
    figures = {name: compare(folder, name, model) for name in VOLUMES}
    print_table(figures)
    summary = {"volumes": figures, "seconds": time.monotonic() - started, "torch": torch.__version__}
    (folder / "agreement.json").write_text(json.dumps(summary, indent=2) + "\n")
    agreed = all(
        f["dice"] >= LEAST_DICE
        and f["same_geometry"]
        and all(variant["max"] <= MOST_PREPROCESSING for variant in f["preprocessing"].values())
        and f["foreground_voxels"] > 0
        and all(way["dice"] == 1.0 for way in f["stored_otherwise"].values())
        for f in figures.values()
    )
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
