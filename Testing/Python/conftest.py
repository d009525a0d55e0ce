"""How tests share processes; a model and a study so small that a real fine-tuning of them takes a second."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from xdist.scheduler import LoadScopeScheduling

from DGSTSegmentLib.imaging import Geometry, Volume

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes test at once; each computes on one core, and so does what it starts.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Begun in the background, where shells have Ctrl-C ignored: tests that press it would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)

FULL_GPU = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB of which 1.12 GiB is free."
)
"""As torch says it."""

TINY_PATCH = (16, 16, 16)

ONE_APPLICATION = ("host", "panel")
"""Folders whose tests share one Qt application, as in Slicer: they stay in one process and in their order."""


def stays_with(nodeid: str) -> str:
    """What is alike for tests of one process: their file, or the application that they share."""
    file = PurePosixPath(nodeid.split("::")[0])
    return "one application" if file.parent.name in ONE_APPLICATION else str(file)


class _Together(LoadScopeScheduling):
    """Lets tests that stay together be one process's. By pytest-xdist's own groups they are not: it writes a group's
    name into a test's id, which pytest 9.2 takes no notice of."""

    def _split_scope(self, nodeid: str) -> str:
        return stays_with(nodeid)


def pytest_xdist_make_scheduler(config, log):
    """Spread the tests over the processes, unless another way is asked for on the command line."""
    return _Together(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_finish():
    """Leave all that was imported out of every later collection of garbage; a fine-tuning makes a full one or two."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Folder of a package with full weights: an untrained two-stage PlainConvUNet, voxels of 3 x 2 x 2 mm."""
    import torch

    from DGSTSegmentLib.networks.architectures import build, plain_unet
    from DGSTSegmentLib.networks.card import ModelCard
    from DGSTSegmentLib.networks.package import write_full
    from DGSTSegmentLib.networks.plan import Plan

    architecture = plain_unet([4, 8], convolutions=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(architecture)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    plan = Plan(spacing_kji=(3, 2, 2), patch_size_kji=TINY_PATCH, lower=-160, upper=240, mean=40, std=80)
    card = ModelCard("tiny", "An untrained network for tests.", {"background": 0, "lymph node": 1}, demonstration=True)
    write_full(folder, network, card, plan, architecture)
    return folder


@pytest.fixture
def two_folds(tmp_path):
    """Two untrained networks as nnU-Net leaves the folds of an ensemble."""
    import torch

    from DGSTSegmentLib.networks.architectures import build, plain_unet

    architecture = plain_unet([4, 8], convolutions=1)
    configuration = {
        "spacing": [3, 2, 2],
        "patch_size": TINY_PATCH,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "architecture": {"network_class_name": architecture["class"], "arch_kwargs": architecture["arguments"]},
    }
    intensities = {"percentile_00_5": -160, "percentile_99_5": 240, "mean": 40, "std": 80}
    plans = {
        "configurations": {"3d_fullres": configuration},
        "foreground_intensity_properties_per_channel": {"0": intensities},
    }
    arguments = {"plans": plans, "dataset_json": {"labels": {"background": 0, "lymph node": 1}}}
    folder = tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    for fold in range(2):
        (folder / f"fold_{fold}").mkdir(parents=True)
        content = {"network_weights": build(architecture).state_dict(), "init_args": arguments}
        torch.save(content, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


def tiny_case(seed: int) -> tuple[Volume, Volume]:
    """A CT (HU, int16) of fat in air with three bright balls, and the segmentation (uint8) of two of them."""
    rng = np.random.default_rng(seed)
    shape = (20, 24, 28)
    geometry = Geometry.from_parts(shape, (2.0, 2.0, 3.0), (-30.0, 12.0, -100.0))
    kji = np.indices(shape).transpose(1, 2, 3, 0)
    hu = np.where(kji[..., 1] > 3, -90.0, -1000.0)
    annotation = np.zeros(shape, np.uint8)
    for n, center in enumerate([(6, 12, 7), (13, 16, 20), (5, 10, 21)]):
        ball = (((kji - center - rng.uniform(-1, 1, 3)) * [1.5, 1, 1]) ** 2).sum(-1) < 14
        hu[ball] = 60
        annotation[ball] = n < 2
    hu += rng.normal(0, 10, shape)
    return Volume(hu.round().astype(np.int16), geometry), Volume(annotation, geometry)


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory):
    """Paths (image, annotation) of three scans; two of three nodes are marked in each."""
    from DGSTSegmentLib.imaging.files import write_volume

    folder = tmp_path_factory.mktemp("study")
    paths = []
    for seed in range(3):
        image, annotation = tiny_case(seed)
        pair = (folder / f"ct{seed}.nii.gz", folder / f"seg{seed}.nii.gz")
        write_volume(image, pair[0])
        write_volume(annotation, pair[1])
        paths.append(pair)
    return paths


@pytest.fixture(scope="session")
def engine():
    """A client of the real worker, shared because importing torch and monai takes seconds."""
    from DGSTSegmentLib.engine.client import EngineClient

    with EngineClient() as client:
        yield client


def eager_worker(share: float) -> list[str]:
    """The command of the worker as it is, but a checkpoint may follow another sooner, so that a run of a second has
    some.

    Args:
        share: of the time that checkpoints may take.
    """
    changed = f"pace.LEAST_SECONDS_BETWEEN_CHECKPOINTS, pace.CHECKPOINT_SHARE = 0.0, {share}"
    script = f"from DGSTSegmentLib.training import pace; {changed}; from DGSTSegmentLib.engine import worker; "
    return [sys.executable, "-c", f"{script}worker.main()"]


@contextmanager
def files_of_at_most(size: int):
    """A disk that takes no longer files, in bytes, until the block ends; a thing of Unix, the test skips elsewhere."""
    resource = pytest.importorskip("resource", reason="file size limits are a thing of Unix")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def raised_with_little_memory(megabytes: int, action: str, path: Path) -> str:
    """The name of the error, or "nothing", that ``action`` ends with where it may take ``megabytes`` and no more.

    Args:
        action: Python that may use ``files``, ``path``, and ``zeros``, a volume of 100 MB that is there already.
    """
    if sys.platform != "linux":
        pytest.skip("only on Linux a process is sure to be refused memory beyond a limit")
    one_thread = {**os.environ, "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _WITH_LITTLE_MEMORY, str(megabytes), action, str(path)]
    return subprocess.run(command, env=one_thread, capture_output=True, text=True, check=True).stdout.strip()


_WITH_LITTLE_MEMORY = """
import pathlib, resource, sys
import numpy as np
from DGSTSegmentLib.imaging import Geometry, Volume, files

megabytes, action, path = int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
zeros = Volume(np.zeros((50, 1000, 1000), np.int16), Geometry.from_parts((50, 1000, 1000), (1, 1, 1)))
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + megabytes * 1_000_000,) * 2)
try:
    exec(action)
except Exception as error:
    print(type(error).__name__)
else:
    print("nothing")
"""
