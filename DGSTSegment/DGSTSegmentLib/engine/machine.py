"""What this machine offers to compute on."""

from __future__ import annotations

import platform
from typing import Any

import psutil
import torch

from ..training.devices import why_no_gpu

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
    return [cpu, *_gpu()] if why_no_gpu() is None else [cpu]


def _gpu() -> list[dict[str, Any]]:
    """The GPU that requests compute on: the first that ``CUDA_VISIBLE_DEVICES`` shows, if it answers."""
    try:
        title, (free, total) = torch.cuda.get_device_name(0), torch.cuda.mem_get_info(0)
    except RuntimeError:
        return []
    return [{"name": "cuda", "title": title, "memory_mb": total // _MB, "free_mb": free // _MB}]
