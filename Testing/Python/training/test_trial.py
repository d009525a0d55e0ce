"""What is said of a model that learned nothing of use, where no case is held out that would show it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from DGSTSegmentLib.networks.architectures import build
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.package import write_full
from DGSTSegmentLib.training.finetune import finetune
from DGSTSegmentLib.training.knowledge import BACKGROUND, NODE
from DGSTSegmentLib.training.patches import PreparedCase
from DGSTSegmentLib.training.predict import Predictor
from DGSTSegmentLib.training.trial import only_answer

from .conftest import ARCHITECTURE, PLAN


@pytest.fixture
def inclined(quiet_model):
    """Makes networks that are so much more inclined to a label value."""

    def made(value, by):
        network = build(ARCHITECTURE)
        network.load_state_dict(open_model(quiet_model).network().state_dict())
        with torch.no_grad():
            for head in network.decoder.seg_layers:
                head.bias[value] += by
        return network

    return made


@pytest.fixture
def case():
    """Makes a case of noise with a bright block, of whose voxels that is known."""

    def made(inside):
        image = np.random.default_rng(0).normal(-1, 0.1, (12, 30, 30)).astype(np.float32)
        knowledge = np.full(image.shape, BACKGROUND, np.uint8)
        image[4:8, 10:20, 10:20], knowledge[4:8, 10:20, 10:20] = 1, inside
        return PreparedCase("case", image, knowledge)

    return made


@pytest.mark.parametrize(("value", "by", "answer"), [(0, 0.0, None), (0, 60.0, 0), (1, 60.0, 1)])
def test_a_network_that_calls_everything_the_same_is_seen_around_marked_nodes_only(inclined, case, value, by, answer):
    """The case is thinner than a patch, and what lies beyond it counts for nothing."""
    model = Predictor([inclined(value, by)], PLAN, "cpu", "fp32")
    assert only_answer(model, [case(NODE)], seed=0) == answer
    assert only_answer(model, [case(BACKGROUND)], seed=0) is None


def test_it_is_asked_around_the_one_marked_node_whatever_cases_without_any_there_are(inclined, case):
    model = Predictor([inclined(0, 3.0)], replace(PLAN, patch_size_kji=(16, 24, 24)), "cpu", "fp32")
    nothing = np.full((12, 30, 30), BACKGROUND, np.uint8)
    noise = np.random.default_rng(1).normal(-1, 0.1, nothing.shape).astype(np.float32)
    without, node = PreparedCase("without", noise, nothing), case(NODE)
    assert all(only_answer(model, [*[without] * 9, node], seed) is None for seed in range(8))


@pytest.mark.parametrize(("holdout", "said"), [(0, True), (1, False)])
def test_a_new_model_that_finds_nothing_is_no_success_where_nothing_else_shows_it(
    request_for, quiet_model, inclined, tmp_path, holdout, said
):
    card = open_model(quiet_model).card
    write_full(tmp_path / "still", inclined(0, 60.0), card, PLAN, ARCHITECTURE)
    request = request_for(model=str(tmp_path / "still"), strategy="norm", steps=1, holdout=holdout)
    notes = [note for note in finetune(request).notes if "calls every voxel background" in note]
    assert len(notes) == said
