"""Drawing patches from prepared cases, so that every kind of known voxel is seen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .knowledge import BACKGROUND, NODE, TRUSTED

REMEMBERED_PLACES = 20_000


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A case in the foundation model's grid.

    Args:
        name: the case.
        image: float32 [k, j, i], as the network wants it; may be mapped from a file.
        knowledge: uint8 [k, j, i], codes of ``training.knowledge``.
        teacher: float32 [k, j, i], the foundation model's node probability; None where nothing is unknown.
        places: voxel indices (n, 3; k j i) of each code, a sample where there are many.
    """

    name: str
    image: np.ndarray
    knowledge: np.ndarray
    teacher: np.ndarray | None = None
    places: dict[int, np.ndarray] = field(init=False)

    def __post_init__(self):
        rng = np.random.default_rng(0)
        places = {code: _sample_places(self.knowledge == code, rng) for code in (NODE, BACKGROUND, TRUSTED)}
        object.__setattr__(self, "places", {code: found for code, found in places.items() if len(found)})


@dataclass(frozen=True, eq=False)
class Patch:
    """Arrays [k, j, i] cut from one case; ``teacher`` is 0 where the case has none."""

    image: np.ndarray
    knowledge: np.ndarray
    teacher: np.ndarray


def draw_patch(cases: list[PreparedCase], kind: str, size: tuple[int, int, int], rng: np.random.Generator) -> Patch:
    """A patch from a case drawn at random.

    Args:
        cases: at least one.
        kind: ``node`` centres on a marked voxel; ``background`` on known or trusted background, each as likely;
            ``any`` anywhere. A case without such voxels gives a patch from anywhere.
        size: voxels (k, j, i); where the case is smaller, the patch is filled up with unknown voxels of value 0.
        rng: all randomness.
    """
    case = cases[rng.integers(len(cases))]
    return cut(case, _center(case, kind, rng), size)


def cut(case: PreparedCase, center: np.ndarray, size: tuple[int, int, int]) -> Patch:
    """The patch of ``size`` (k, j, i) around voxel ``center``, moved inward where it would leave the case."""
    shape = np.asarray(case.image.shape)
    first = np.clip(np.asarray(center) - np.asarray(size) // 2, 0, np.maximum(shape - size, 0))
    box = tuple(slice(int(a), int(a) + n) for a, n in zip(first, size, strict=True))
    image, knowledge = (_filled_up(array[box], size) for array in (case.image, case.knowledge))
    teacher = np.zeros(size, np.float32) if case.teacher is None else _filled_up(case.teacher[box], size)
    return Patch(image, knowledge, teacher)


def _center(case: PreparedCase, kind: str, rng: np.random.Generator) -> np.ndarray:
    codes = {"node": (NODE,), "background": (BACKGROUND, TRUSTED), "any": ()}[kind]
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


def _filled_up(array: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
    missing = [(0, n - have) for n, have in zip(size, array.shape, strict=True)]
    return np.pad(np.asarray(array), missing) if any(after for _, after in missing) else np.asarray(array)
