"""Asking a new model of what it learned from, where no case is held out: that measures nothing, but shows a failure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .knowledge import NODE, OUTSIDE
from .patches import PreparedCase, draw_patch
from .predict import Predictor, most_likely
from .scores import window_scores

PLACES = 3
"""Marked lymph nodes around which it is asked."""


def only_answer(model: Predictor, cases: Sequence[PreparedCase], seed: int) -> int | None:
    """The label value that a model gives to every voxel even around lymph nodes that it learned from; None where it
    tells voxels apart, or none is marked.

    Args:
        cases: that it learned from; at least one.
        seed: which of their nodes are taken.

    Raises:
        NoNumbers: it has no answer.
    """
    size, rng = model.plan.patch_size_kji, np.random.default_rng(seed)
    marked = [case for case in cases if NODE in case.places]
    answers: set[int] = set()
    for _ in range(PLACES):
        patch = draw_patch(marked or list(cases), "node", size, rng)
        scores, _ = window_scores(model.networks, patch.image[np.newaxis], size, model.means)
        answers |= set(np.unique(most_likely(scores)[patch.knowledge != OUTSIDE]).tolist())
    return answers.pop() if marked and len(answers) == 1 else None
