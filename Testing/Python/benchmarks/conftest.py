"""A benchmark so small that a whole one takes seconds: the tiny model, scans of bright balls, few steps."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.networks.foundation import open_model

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Benchmarks"))

from quality import memory, work
from quality.data import Pool
from quality.entrants import Entrant
from quality.guard import SealedSplit
from quality.protocol import Protocol
from quality.rows import Rows
from quality.settings import Settings, begun

SHAPE = (10, 14, 16)
PROTOCOL = Protocol(
    steps=2,
    shots=(2,),
    completeness=("all",),
    marked_nodes=1,
    choosing_draws=1,
    draws=2,
    many_draws=2,
)


def refusals(benchmark) -> list[str]:
    return [row["refused"] for row in benchmark.rows.read().values() if "refused" in row]


@dataclass(frozen=True)
class BallScan:
    """Fat with two bright balls, one label value each."""

    seed: int

    @property
    def name(self) -> str:
        return f"balls {self.seed}"

    @property
    def fingerprint(self) -> str:
        return self.name

    def read(self) -> tuple[Volume, Volume]:
        rng = np.random.default_rng(self.seed)
        geometry = Geometry.from_parts(SHAPE, (2.0, 2.0, 3.0), (-30.0, 12.0, -100.0))
        kji = np.indices(SHAPE).transpose(1, 2, 3, 0)
        hu, nodes = rng.normal(-90.0, 10.0, SHAPE), np.zeros(SHAPE, np.uint8)
        for value, center in enumerate([(3, 6, 4), (6, 8, 11)], start=1):
            ball = (((kji - center - rng.uniform(-1, 1, 3)) * [1.5, 1, 1]) ** 2).sum(-1) < 6
            hu[ball] = 60
            nodes[ball] = value
        return Volume(hu.round().astype(np.int16), geometry), Volume(nodes, geometry)


def scans(first: int, count: int) -> tuple[BallScan, ...]:
    return tuple(BallScan(seed) for seed in range(first, first + count))


def small_pool(rows: Rows) -> Pool:
    return Pool(
        name="balls",
        description="Balls.",
        training=scans(0, 6),
        validation=scans(20, 1),
        source_validation=scans(30, 1),
        test=SealedSplit(scans(40, 1), scans(50, 1), rows),
        split={
            "training": [scan.name for scan in scans(0, 6)],
            "validation": ["balls 20"],
            "test": ["balls 40"],
            "source validation": ["balls 30"],
            "source test": ["balls 50"],
        },
    )


@pytest.fixture
def ball_scan():
    return BallScan(3)


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Collecting garbage takes longer than everything else here; others' work takes no second."""
    monkeypatch.setattr(memory, "_give_back_freed_memory", lambda: None)
    monkeypatch.setattr(work, "SECONDS_BETWEEN_LOOKS", 0.01)


@pytest.fixture
def small_benchmark(tmp_path, tiny_model):
    """Makes or reopens the benchmark in the test's folder with these entrants and settings of the protocol."""

    def make(*entrants: Entrant, **protocol):
        settings = Settings("balls", tmp_path, device="cpu", precision="fp32", protocol=replace(PROTOCOL, **protocol))
        rows = Rows(tmp_path)
        return begun(
            settings, rows, small_pool(rows), open_model(tiny_model), {entrant.name: entrant for entrant in entrants}
        )

    return make


@pytest.fixture
def entrant():
    """Makes an entrant with one learning rate."""

    def make(name: str, law: str | None = None, **fields) -> Entrant:
        return Entrant(name, name, law or name, **{"configurations": ({"lr": 0.01},), **fields})

    return make
