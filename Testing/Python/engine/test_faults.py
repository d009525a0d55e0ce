"""Errors as libraries raise them, and the sentence that the user gets."""

import errno

import pytest
import torch

from DGSTSegmentLib.engine.faults import ends_the_engine, fault_of
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.training.memory import OutOfMemory, is_out_of_memory

from ..conftest import FULL_GPU

ON_THE_GPU = [
    torch.OutOfMemoryError(FULL_GPU),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
]
IN_THE_MACHINE = [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    MemoryError("Unable to allocate 8.00 PiB for an array"),
    RuntimeError("itkImportImageContainer.hxx:179:\nFailed to allocate memory for image."),
]


@pytest.mark.parametrize("error", ON_THE_GPU, ids=str)
def test_a_full_gpu_is_told_from_other_faults(error):
    fault = fault_of(error)
    assert fault["kind"] == "memory"
    assert fault["message"].startswith("The GPU's memory ran out; ") and "--batch-size 1" in fault["message"]


@pytest.mark.parametrize("error", IN_THE_MACHINE, ids=str)
def test_a_full_machine_is_told_from_a_full_gpu(error):
    assert fault_of(error)["kind"] == "memory"
    assert fault_of(error)["message"].startswith("The machine's memory ran out; ")


def test_a_sentence_that_was_written_for_the_user_stays():
    assert fault_of(OutOfMemory("Too big.")) == {"kind": "memory", "message": "Too big."}


def test_memory_that_ran_out_in_a_transform_is_known_by_the_cause():
    try:
        try:
            raise MemoryError
        except MemoryError as error:
            raise RuntimeError("applying transform RandFlip") from error
    except RuntimeError as error:
        assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        ValueError("out of memory"),
    ],
    ids=str,
)
def test_other_faults_are_not_taken_for_lack_of_memory(error):
    assert fault_of(error)["kind"] == "internal"


def test_a_full_disk_is_the_users_to_mend():
    fault = fault_of(OSError(errno.ENOSPC, "No space left on device"))
    assert fault["kind"] == "input" and "disk is full" in fault["message"]


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"), True),
        *((error, False) for error in (*ON_THE_GPU, *IN_THE_MACHINE)),
        (InputError("There is no CUDA GPU to compute on (CUDA error: no kernel image); choose the device cpu."), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
    ids=str,
)
def test_cuda_fails_for_good_unless_only_memory_ran_out(error, ends):
    assert ends_the_engine(error) == ends


def test_an_accelerators_error_needs_no_words():
    error_of_newer_torch = type("AcceleratorError", (RuntimeError,), {})
    assert ends_the_engine(error_of_newer_torch("device-side assert triggered"))
