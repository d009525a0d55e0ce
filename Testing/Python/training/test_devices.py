"""Which device and precision are taken; GPUs are played at the border to torch.cuda, where none is at hand."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from DGSTSegmentLib.engine import machine
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.training import devices
from DGSTSegmentLib.training.devices import choose_device, choose_precision, chosen_kernels, why_no_gpu
from DGSTSegmentLib.training.events import Reporter
from DGSTSegmentLib.training.finetune import finetune
from DGSTSegmentLib.training.knowledge import NODE
from DGSTSegmentLib.training.patches import PreparedCase
from DGSTSegmentLib.training.predict import predict
from DGSTSegmentLib.training.run import Run
from DGSTSegmentLib.training.trainer import Trainer

from .conftest import PLAN, run_in, scan

NO_KERNEL = (
    "CUDA error: no kernel image is available for execution on the device\n"
    "CUDA kernel errors might be asynchronously reported at some other API call."
)


class Gpu:
    """What torch.cuda says of a GPU, which computes what it can."""

    def __init__(self, monkeypatch):
        self.error: Exception | None = None
        self.computations = 0
        self._ones = torch.ones
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch, "ones", self._computed)

    def _computed(self, *shape, device="cpu", **options):
        if device == "cuda":
            self.computations += 1
            if self.error is not None:
                raise self.error
            device = "cpu"
        return self._ones(*shape, device=device, **options)


@pytest.fixture(autouse=True)
def never_tried():
    devices._compute_on_gpu.cache_clear()
    yield
    devices._compute_on_gpu.cache_clear()


@pytest.fixture
def gpu(monkeypatch):
    return Gpu(monkeypatch)


@pytest.fixture
def old_gpu(gpu):
    """A GPU that the driver offers and that torch has no kernels for."""
    gpu.error = RuntimeError(NO_KERNEL)
    return gpu


def test_a_gpu_that_computes_is_taken_and_tried_once(gpu):
    assert [choose_device(name).type for name in ("auto", "cuda", "auto")] == ["cuda"] * 3
    assert gpu.computations == 1


def test_a_gpu_that_torch_has_no_kernels_for_is_passed_over_and_that_is_said(old_gpu):
    notes = []
    assert choose_device("auto", notes.append).type == "cpu"
    (note,) = notes
    assert "no kernel image is available" in note and "the CPU" in note and "\n" not in note
    with pytest.raises(InputError, match=r"no CUDA GPU to compute on .*no kernel image is available.*choose") as told:
        choose_device("cuda")
    assert "\n" not in str(told.value)
    assert choose_device("cpu", notes.append).type == "cpu" and len(notes) == 1


def test_a_gpu_that_was_full_is_tried_again(gpu):
    gpu.error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")
    assert choose_device("auto").type == "cpu"
    gpu.error = None
    assert choose_device("auto").type == "cuda"


@pytest.mark.parametrize(("cuda", "reason"), [(None, "is built without CUDA"), ("12.8", "PyTorch finds none")])
def test_without_a_gpu_the_reason_says_whether_torch_could_use_one(monkeypatch, cuda, reason):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    notes = []
    assert choose_device("auto", notes.append).type == "cpu" and notes == []
    assert reason in why_no_gpu()
    with pytest.raises(InputError, match=f"There is no CUDA GPU.*{reason}"):
        choose_device("cuda")


def test_a_prediction_tells_of_the_gpu_that_it_passed_over(old_gpu, model_folder, geometry):
    heard, image = [], scan(geometry, (9, 15, 15))[0]
    answer = predict(open_model(model_folder), image, on_event=heard.append)
    assert [note for note in answer.notes if "no kernel image" in note]
    assert len([event for event in heard if "no kernel image" in event.get("message", "")]) == 1


def test_a_run_tells_of_the_gpu_that_it_passed_over_and_goes_on_with_the_cpu(old_gpu, request_for, monkeypatch):
    def hear(event):
        if "no kernel image" in event.get("message", ""):
            monkeypatch.undo()  # torch's own optimizers ask whether there is one too, where it is built with CUDA

    request = request_for(device="auto", steps=1)
    assert len([note for note in finetune(request, on_event=hear).notes if "no kernel image" in note]) == 1
    assert Run.reopen(request.out).fixed.device == "cpu"


def test_devices_to_choose_from_are_those_that_compute(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda n: "Some GPU")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda n: (3 << 20, 8 << 20))
    assert machine.devices()[1:] == [{"name": "cuda", "title": "Some GPU", "memory_mb": 8, "free_mb": 3}]
    devices._compute_on_gpu.cache_clear()
    gpu.error = RuntimeError(NO_KERNEL)
    assert [device["name"] for device in machine.devices()] == ["cpu"]


def test_a_gpu_that_cannot_be_asked_is_left_out(gpu, monkeypatch):
    def mem_get_info(n):
        raise RuntimeError("CUDA error: operation not supported")

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda n: "Some GPU")
    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
    assert [device["name"] for device in machine.devices()] == ["cpu"]


@pytest.mark.parametrize(
    ("capability", "precision"),
    [((5, 2), "fp32"), ((6, 1), "fp32"), ((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16")],
)
def test_half_precision_is_taken_where_the_gpu_is_made_for_it(monkeypatch, capability, precision):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: capability >= (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", torch.device("cuda")) == precision
    assert choose_precision("fp16", torch.device("cuda")) == "fp16"


@pytest.mark.parametrize(
    ("precision", "able", "slow"), [("bf16", False, True), ("bf16", True, False), ("fp16", True, True)]
)
def test_a_half_format_that_the_cpu_only_imitates_is_said_to_be_slow(monkeypatch, precision, able, slow):
    monkeypatch.setattr(devices, "_cpu_computes_bf16", lambda: able)
    notes = []
    assert choose_precision(precision, torch.device("cpu"), notes.append) == precision
    assert [f"only imitates {precision}" in note for note in notes] == [True] * slow
    for other in ("auto", "fp32"):
        choose_precision(other, torch.device("cpu"), notes.append)
    assert len(notes) == slow


def test_a_prediction_tells_once_of_a_format_that_its_cpu_only_imitates(monkeypatch, model_folder, geometry):
    monkeypatch.setattr(devices, "_cpu_computes_bf16", lambda: False)
    answer = predict(open_model(model_folder), scan(geometry, (9, 15, 15))[0], device="cpu", precision="bf16")
    assert [note for note in answer.notes if "a hundred times longer than fp32" in note] == list(answer.notes)
    assert len(answer.notes) == 1 and (answer.device, answer.precision) == ("cpu", "bf16")


@pytest.mark.parametrize("before", [False, True])
def test_kernels_are_chosen_by_their_speed_on_a_gpu_alone_and_for_no_longer(monkeypatch, before):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", before)
    for name in ("cpu", "cuda"):
        with pytest.raises(ZeroDivisionError), chosen_kernels(torch.device(name)):
            assert torch.backends.cudnn.benchmark == (before or name == "cuda")
            raise ZeroDivisionError
        assert torch.backends.cudnn.benchmark == before


class Finished:
    """A strategy of a run on a GPU that has made its last step already; it notes what its training begins with."""

    warm_up_batches = 0

    def __init__(self):
        self.network = self
        self.noted = []

    def train(self):
        self.noted.append("begins")

    def eval(self):
        self.noted.append("ends")

    def modules(self):
        return ()  # so that nothing in it draws at random


class NoPrefetch(ThreadPoolExecutor):
    """Notes by which kernels the steps would be computed."""

    def submit(self, *arguments):
        self.benchmarks = torch.backends.cudnn.benchmark
        return super().submit(lambda: None)


def test_a_training_on_a_gpu_begins_with_no_peak_and_chooses_its_kernels(monkeypatch, request_for, tmp_path):
    strategy = Finished()
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: strategy.noted.append(device.type))
    case = PreparedCase("case", np.zeros((20, 30, 30), np.float32), np.full((20, 30, 30), NODE, np.uint8))
    run = run_in(tmp_path, request_for(steps=4), device="cuda")
    trainer = Trainer(run, strategy, [case], PLAN, Reporter())
    trainer.step = 4
    with NoPrefetch(1) as prefetcher:
        trainer.train(prefetcher, spent_seconds=0.0, reserved_seconds=0.0)
    assert strategy.noted == ["begins", "cuda", "ends"]
    assert prefetcher.benchmarks and not torch.backends.cudnn.benchmark


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_real_gpu_is_taken():
    assert choose_device("auto").type == "cuda"
