"""What this machine offers to compute on."""

from __future__ import annotations

import platform
from typing import Any

import psutil
import torch

_MB = 1 << 20


def devices() -> list[dict[str, Any]]:
    """Devices to choose from: ``name`` (as requests take it), ``title`` for people, memory in MB."""
    system = psutil.virtual_memory()
    cpu = {
        "name": "cpu",
        "title": f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
        "memory_mb": system.total // _MB,
        "free_mb": system.available // _MB,
    }
    return [cpu, _gpu()] if torch.cuda.is_available() else [cpu]


def memory() -> dict[str, int]:
    """Memory of the engine's process and what the machine has left, MB."""
    return {
        "engine_mb": psutil.Process().memory_info().rss // _MB,
        "free_mb": psutil.virtual_memory().available // _MB,
    }


def _gpu() -> dict[str, Any]:
    """The GPU that requests compute on: the first that ``CUDA_VISIBLE_DEVICES`` shows."""
    free, total = torch.cuda.mem_get_info(0)
    return {
        "name": "cuda",
        "title": torch.cuda.get_device_name(0),
        "memory_mb": total // _MB,
        "free_mb": free // _MB,
    }
