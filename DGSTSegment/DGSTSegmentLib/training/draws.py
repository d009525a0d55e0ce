"""What a network draws at random while it trains, as its dropout: from seed and step, as all else that is random."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd


def draws_at_random(network: nn.Module) -> bool:
    """Whether training it leaves out features (dropout) or whole paths (stochastic depth) by chance."""
    return any(_chance(module) > 0 for module in network.modules())


def _chance(module: nn.Module) -> float:
    if isinstance(module, _DropoutNd):
        return module.p
    return getattr(module, "drop_prob", 0)  # as both libraries' DropPath calls it


@contextmanager
def drawn_from(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """The block's draws, on the CPU and ``device``, are those of seed and step; all others go on as if it were not."""
    number = int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng([device] if on_gpu else []):
        torch.default_generator.manual_seed(number)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(number)
        yield
