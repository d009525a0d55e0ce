"""Drawing patches from prepared cases, so that every kind of known voxel is seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .knowledge import BACKGROUND, NEAR, NODE, OUTSIDE, REJECTED, TRUSTED, UNKNOWN

REMEMBERED_PLACES = 20_000


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A case in the foundation model's grid.

    Args:
        name: the case.
        image: float32 [k, j, i], as the network wants it; may be mapped from a file.
        knowledge: uint8 [k, j, i], codes of ``training.knowledge``.
        places: voxel indices (n, 3; k j i) of marked nodes, background (near them too), trusted background and
            rejected findings, by code; a sample where there are many.
    """

    name: str
    image: np.ndarray
    knowledge: np.ndarray
    places: dict[int, np.ndarray] = field(init=False)

    def __post_init__(self):
        rng = np.random.default_rng(0)
        codes = {NODE: (NODE,), BACKGROUND: (BACKGROUND, NEAR), TRUSTED: (TRUSTED,), REJECTED: (REJECTED,)}
        places = {code: _sample_places(np.isin(self.knowledge, alike), rng) for code, alike in codes.items()}
        object.__setattr__(self, "places", {code: found for code, found in places.items() if len(found)})

    @cached_property
    def leaves_open(self) -> bool:
        """Whether some voxels are left to the foundation model's judgement."""
        return bool(np.isin(self.knowledge, (UNKNOWN, NEAR)).any())


@dataclass(frozen=True, eq=False)
class Patch:
    """Arrays [k, j, i] cut from one case."""

    image: np.ndarray
    knowledge: np.ndarray


Margin = tuple[tuple[int, int], ...]
NO_MARGIN: Margin = ((0, 0),) * 3


def draw_patch(
    cases: list[PreparedCase],
    kind: str,
    size: tuple[int, int, int],
    rng: np.random.Generator,
    margin: Margin = NO_MARGIN,
) -> Patch:
    """A patch from a case drawn at random.

    Args:
        cases: at least one.
        kind: ``node`` centres on a marked voxel; ``background`` on known or trusted background or a rejected
            finding, each as likely; ``any`` anywhere. A case without such voxels gives a patch from anywhere.
        size: voxels (k, j, i).
        rng: all randomness.
        margin: voxels before and after it along each axis that are cut with it, beyond the case's end too.
    """
    case = cases[rng.integers(len(cases))]
    return cut(case, _center(case, kind, rng), size, margin)


def cut(case: PreparedCase, center: np.ndarray, size: tuple[int, int, int], margin: Margin = NO_MARGIN) -> Patch:
    """The patch of ``size`` (k, j, i) around voxel ``center``, moved inward where it would leave the case, and with the
    case in its middle where that is smaller, as in prediction. Voxels outside the case are 0, their knowledge
    ``OUTSIDE``."""
    shape, wanted = np.asarray(case.image.shape), np.asarray(size)
    inward = np.clip(np.asarray(center) - wanted // 2, 0, np.maximum(shape - wanted, 0))
    first = np.where(shape >= wanted, inward, -((wanted - shape) // 2))
    spans = [(int(a) - before, int(a) + n + after) for a, n, (before, after) in zip(first, size, margin, strict=True)]
    return Patch(_span(case.image, spans, 0), _span(case.knowledge, spans, OUTSIDE))


def _center(case: PreparedCase, kind: str, rng: np.random.Generator) -> np.ndarray:
    codes = {"node": (NODE,), "background": (BACKGROUND, TRUSTED, REJECTED), "any": ()}[kind]
    present = [code for code in codes if code in case.places]
    if not present:
        return rng.integers(case.image.shape)
    places = case.places[present[rng.integers(len(present))]]
    return places[rng.integers(len(places))]


def _sample_places(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    flat = np.flatnonzero(mask)
    if len(flat) > REMEMBERED_PLACES:
        flat = np.sort(rng.choice(flat, REMEMBERED_PLACES, replace=False))
    return np.stack(np.unravel_index(flat, mask.shape), axis=-1)


def _span(array: np.ndarray, spans: list[tuple[int, int]], outside: int) -> np.ndarray:
    """The box from the first to the one after the last voxel of each axis, with ``outside`` beyond the array's end."""
    inner = tuple(slice(max(0, low), min(high, end)) for (low, high), end in zip(spans, array.shape, strict=True))
    missing = [(max(0, -low), max(0, high - end)) for (low, high), end in zip(spans, array.shape, strict=True)]
    part = np.asarray(array[inner])
    if not any(map(any, missing)):
        return part
    return np.pad(part, missing, constant_values=outside)
