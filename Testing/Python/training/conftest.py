"""A small world for training tests: scans with one or two balls, and a network that fits in a test."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import read_volume, write_volume
from DGSTSegmentLib.networks.architectures import build, plain_unet
from DGSTSegmentLib.networks.card import ModelCard
from DGSTSegmentLib.networks.package import write_full
from DGSTSegmentLib.networks.plan import Plan
from DGSTSegmentLib.training.case_files import CaseFiles
from DGSTSegmentLib.training.inputs import Fixed, Inputs
from DGSTSegmentLib.training.request import FinetuneRequest
from DGSTSegmentLib.training.run import Run
from DGSTSegmentLib.training.run_files import RunRecord

PLAN = Plan(spacing_kji=(3.0, 2.0, 2.0), patch_size_kji=(8, 16, 16), lower=-160, upper=240, mean=40, std=80)
ARCHITECTURE = plain_unet([4, 8, 12], convolutions=1)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def geometry():
    return Geometry.from_parts((20, 32, 32), (2.0, 2.0, 3.0), origin=(-30.0, 12.0, 5.0))


@pytest.fixture
def nnunet_folder(tmp_path):
    """The small foundation model as nnU-Net leaves it, trained on patches that were mirrored along k only."""
    described = {"network_class_name": ARCHITECTURE["class"], "arch_kwargs": ARCHITECTURE["arguments"]}
    configuration = {
        "spacing": PLAN.spacing_kji,
        "patch_size": PLAN.patch_size_kji,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "architecture": described,
    }
    intensities = {"percentile_00_5": PLAN.lower, "percentile_99_5": PLAN.upper, "mean": PLAN.mean, "std": PLAN.std}
    plans = {
        "configurations": {"3d_fullres": configuration},
        "foreground_intensity_properties_per_channel": {"0": intensities},
    }
    torch.manual_seed(3)
    content = {
        "network_weights": build(ARCHITECTURE).state_dict(),
        "init_args": {"plans": plans, "dataset_json": {"labels": {"background": 0, "lymph node": 1}}},
        "inference_allowed_mirroring_axes": [0],
    }
    folder = tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    torch.save(content, folder / "fold_0" / "checkpoint_final.pth")
    return folder


def ball(geometry, center_kji, radius_mm):
    """Voxels (bool) within ``radius_mm`` of the voxel ``center_kji``."""
    indices = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij"), axis=-1)
    distance = np.linalg.norm(geometry.to_world(indices) - geometry.to_world(np.asarray(center_kji)), axis=-1)
    return distance <= radius_mm


def scan(geometry, *centers, radius_mm=9.0, seed=0):
    """A CT of fat (-90 HU) with noise and bright balls (90 HU), and the balls' labels, one value each."""
    rng = np.random.default_rng(seed)
    hu = rng.normal(-90, 8, geometry.shape)
    labels = np.zeros(geometry.shape, np.uint8)
    for value, center in enumerate(centers, start=1):
        inside = ball(geometry, center, radius_mm)
        hu[inside] += 180
        labels[inside] = value
    return Volume(hu.astype(np.int16), geometry), Volume(labels, geometry)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A small foundation model with weights drawn from a fixed seed."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(3)
    card = ModelCard(name="small", labels={"background": 0, "lymph node": 1}, trained_on="Nothing.")
    write_full(folder, build(ARCHITECTURE), card, PLAN, ARCHITECTURE)
    return folder


@pytest.fixture(scope="session")
def quiet_model(tmp_path_factory):
    """The small foundation model, inclined to background: it finds a part of the balls and little else.

    The other finds a hundred pieces of noise in a scan, and measuring those takes longer than all the rest of a run.
    """
    torch.manual_seed(3)
    network = build(ARCHITECTURE)
    with torch.no_grad():
        for head in network.decoder.seg_layers:
            head.bias[0] += 2.0
    folder = tmp_path_factory.mktemp("quiet")
    card = ModelCard(name="quiet", labels={"background": 0, "lymph node": 1}, trained_on="Nothing.")
    write_full(folder, network, card, PLAN, ARCHITECTURE)
    return folder


@pytest.fixture(scope="session")
def study(tmp_path_factory, geometry):
    """Files of six scans with two balls each, all marked."""
    folder = tmp_path_factory.mktemp("study")
    files = []
    for n in range(6):
        image, labels = scan(geometry, (6 + n % 3, 9, 10 + n), (13, 22 - n % 2, 20), seed=n)
        paths = folder / f"ct{n}.nii.gz", folder / f"nodes{n}.nii.gz"
        write_volume(image, paths[0])
        write_volume(labels, paths[1])
        files.append(CaseFiles(str(paths[0]), str(paths[1]), "all"))
    return files


@pytest.fixture
def open_cases(study, tmp_path):
    """Two scans of tissue as dense as nodes, so that most of them is unknown beyond what is marked."""
    cases = []
    for n, files in enumerate(study[:2]):
        image = read_volume(files.image)
        write_volume(image.with_array(image.array + 110), tmp_path / f"dense{n}.nii.gz")
        cases.append(replace(files, image=str(tmp_path / f"dense{n}.nii.gz"), completeness="marked"))
    return cases


@pytest.fixture
def request_for(model_folder, study, tmp_path):
    def make(**changes):
        settings = {"model": str(model_folder), "cases": study[:2], "out": str(tmp_path / "run"), "steps": 4}
        return FinetuneRequest(**{**settings, "device": "cpu", "precision": "fp32", **changes})

    return make


def run_in(folder, request, **fixed):
    """A run that is not on disk, on no case, with those of its fixed settings."""
    versions = dict.fromkeys(("python", "torch", "monai", "numpy", "DGSTSegment"), "1.0")
    common = {"threads": 1, "device": "cpu", "precision": "fp32", "batch_size": request.batch_size, **versions}
    inputs = Inputs(base="", plan={}, cases=(), held_out=())
    return Run(folder, RunRecord(request, Fixed(**{**common, **fixed}), inputs, begun=1.0))


def delta_of(result):
    return load_file(f"{result.model}/delta.safetensors")


def assert_same_delta(one, other):
    ours, theirs = delta_of(one), delta_of(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


class StopAfter:
    """Wishes to stop once ``steps`` training steps were heard of."""

    def __init__(self, steps):
        self.steps, self.heard = steps, 0

    def on_event(self, event):
        self.heard += event["event"] == "progress" and event["phase"] == "train"

    def should_stop(self):
        return self.heard >= self.steps
