"""Which device and which number format computations take."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from ..errors import InputError
from .shallow import ShallowInFullPrecision

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What convolutions and products take in each precision."""

FIRST_WITH_FAST_FP16 = (7, 0)
"""Compute capability of the first GPUs with tensor cores; on older ones fp16 is hardly faster than fp32, or slower."""


def choose_device(name: str, note: Callable[[str], None] = lambda message: None) -> torch.device:
    """The device called ``auto``, ``cpu`` or ``cuda``; ``auto`` is a GPU where there is one that computes.

    Args:
        name: of ``training.request.DEVICES``.
        note: told, in a sentence, of a GPU that ``auto`` had to pass over.

    Raises:
        InputError: ``cuda`` is asked for and there is none, or none that computes.
    """
    if name not in ("auto", "cuda"):
        return torch.device(name)
    reason = why_no_gpu()
    if reason is None:
        return torch.device("cuda")
    if name == "cuda":
        raise InputError(f"There is no CUDA GPU to compute on ({reason}); choose the device auto or cpu.")
    if torch.cuda.is_available():
        note(f"The GPU is not used ({reason}): everything is computed on the CPU, which takes longer.")
    return torch.device("cpu")


def why_no_gpu() -> str | None:
    """Why nothing can be computed on a GPU, as a clause; None where it can."""
    if not torch.cuda.is_available():
        has_cuda = torch.version.cuda is not None or torch.version.hip is not None
        return "PyTorch finds none" if has_cuda else f"PyTorch {torch.__version__} is built without CUDA"
    try:
        _compute_on_gpu()
    except RuntimeError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        return f"PyTorch {torch.__version__} cannot compute on it: {reason}"
    return None


@functools.cache
def _compute_on_gpu() -> None:
    """Compute something tiny: a driver also offers GPUs that the installed PyTorch has no kernels for.

    Once a process, where it succeeds; after a failure it is tried anew, since the GPU may only have been full.

    Raises:
        RuntimeError: it cannot be done.
    """
    voxels = torch.ones(1, 1, 3, 3, 3, device="cuda")
    functional.conv3d(voxels, voxels).cpu()


def choose_precision(name: str, device: torch.device, note: Callable[[str], None] = lambda message: None) -> str:
    """``fp32``, ``bf16`` or ``fp16``; ``auto`` takes the half format that the device computes faster, if any.

    Args:
        note: told, in a sentence, of a half format that the CPU only imitates.
    """
    if name != "auto":
        if device.type == "cpu" and (name == "fp16" or (name == "bf16" and not _cpu_computes_bf16())):
            note(
                f"This CPU only imitates {name}, which may take a hundred times longer than fp32; "
                "the precision auto takes what the device is fast at."
            )
        return name
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16"
        return "fp16" if torch.cuda.get_device_capability(device) >= FIRST_WITH_FAST_FP16 else "fp32"
    return "bf16" if _cpu_computes_bf16() else "fp32"


@contextlib.contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """The block's convolutions and products in ``precision``; where gradients are wanted on a CPU, but for those whose
    gradients would be wrong."""
    if precision == "fp32":
        yield
        return
    trains = device.type == "cpu" and torch.is_grad_enabled()
    exception = ShallowInFullPrecision() if trains else contextlib.nullcontext()
    with torch.autocast(device.type, dtype=DTYPES[precision]), exception:
        yield


@contextlib.contextmanager
def cpu_threads(number: int) -> Iterator[None]:
    """Compute with ``number`` CPU threads in the block; the process may have other work afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def chosen_kernels(device: torch.device) -> Iterator[None]:
    """The block's convolutions by whatever algorithm of cuDNN is fastest on the GPU; the first of each shape tries all.

    For work whose shapes are few. Other algorithms give other last bits; on a CPU nothing changes.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = device.type == "cuda" or before
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _cpu_computes_bf16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())
