from __future__ import annotations

import json

import pytest

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.card import ModelCard
from DGSTSegmentLib.networks.plan import Plan

PLAN = Plan((3.0, 1.0, 1.0), (8, 16, 16), transpose=(1, 0, 2), lower=-80.5, separate_z=False)


def test_plan_and_card_survive_json():
    card = ModelCard(
        "m", labels={"background": 0, "node": 1}, folds=("0", "1"), spacing_kji=(3.0, 1.0, 1.0), created="now"
    )
    assert Plan.from_json(json.loads(json.dumps(PLAN.to_json()))) == PLAN
    assert ModelCard.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_a_demonstration_says_so_wherever_it_is_named():
    assert ModelCard("starter", demonstration=True).title == "starter (demonstration, trained on phantoms)"
    assert ModelCard("real").title == "real"


@pytest.mark.parametrize(
    "wrong",
    [
        {"spacing_kji": [3.0, 1.0]},
        {"spacing_kji": [3.0, 0.0, 1.0]},
        {"spacing_kji": [3.0, float("nan"), 1.0]},
        {"patch_size_kji": [8, -1, 8]},
        {"transpose": [0, 0, 1]},
        {"normalization": "histogram"},
        {"orientation": "lsp"},
        {"spacing_kji": None},
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_in_a_sentence(wrong):
    with pytest.raises(InputError, match="plan cannot be used"):
        Plan.from_json({**PLAN.to_json(), **wrong})


def test_a_plan_with_a_step_of_a_later_version_is_refused_since_the_answer_would_differ():
    with pytest.raises(InputError, match="smoothing.*update"):
        Plan.from_json({**PLAN.to_json(), "smoothing": 2})


@pytest.mark.parametrize("data", [[], {}, {"name": 3}, "model"])
def test_what_is_no_card_is_refused(data):
    with pytest.raises(InputError, match="model card"):
        ModelCard.from_json(data)
