import math

import pytest
import torch

from DGSTSegmentLib.training.knowledge import BACKGROUND, NEAR, NODE, OUTSIDE, TRUSTED, UNKNOWN
from DGSTSegmentLib.training.loss import FewShotLoss

SHAPE = (1, 1, 4, 4, 4)


def scores_of(node_logit, requires_grad=False):
    """Logits of two classes, background at 0."""
    logits = torch.stack([torch.zeros(SHAPE[2:]), torch.as_tensor(node_logit).expand(SHAPE[2:])])[None].clone()
    return logits.requires_grad_(requires_grad)


def test_loss_is_cross_entropy_plus_one_minus_dice():
    knowledge = torch.full(SHAPE, BACKGROUND, dtype=torch.uint8)
    knowledge[..., :2] = NODE
    p = 1 / (1 + math.exp(-1.5))
    entropy = -(math.log(p) + math.log(1 - p)) / 2
    dice = 2 * (32 * p) / (64 * p + 32)
    parts = FewShotLoss()([scores_of(1.5)], knowledge)
    assert float(parts.total) == pytest.approx(entropy + 1 - dice, abs=1e-5)


def test_unknown_voxels_do_not_touch_the_supervised_loss():
    knowledge = torch.full(SHAPE, BACKGROUND, dtype=torch.uint8)
    knowledge[:, :, 0], knowledge[:, :, 3] = NODE, UNKNOWN
    scores = scores_of(0.3, requires_grad=True)
    FewShotLoss(distillation=0)([scores], knowledge, torch.zeros(SHAPE)).total.backward()
    assert (scores.grad[:, :, 3] == 0).all() and (scores.grad[:, :, :3] != 0).all()


def test_voxels_outside_the_scan_touch_neither_loss():
    knowledge = torch.full(SHAPE, BACKGROUND, dtype=torch.uint8)
    knowledge[:, :, 0], knowledge[:, :, 1], knowledge[:, :, 3] = NODE, UNKNOWN, OUTSIDE
    scores = scores_of(0.3, requires_grad=True)
    parts = FewShotLoss()([scores], knowledge, torch.full(SHAPE, 0.8))
    parts.total.backward()
    assert (scores.grad[:, :, 3] == 0).all() and (scores.grad[:, :, :3] != 0).all()
    inside = FewShotLoss()([scores[:, :, :3]], knowledge[:, :, :3], torch.full(SHAPE, 0.8)[:, :, :3])
    assert parts.distillation == pytest.approx(inside.distillation)


@pytest.mark.parametrize("factor", [2, 4])
def test_targets_of_lower_resolutions_lie_where_the_marks_lie(factor):
    """The loss is least where the lower score map marks the voxels around the node's centre, not beside them."""
    size, node = 32, slice(13, 20)
    knowledge = torch.full((1, 1, size, 4, 4), BACKGROUND, dtype=torch.uint8)
    knowledge[:, :, node] = NODE

    def loss(shift):
        place = torch.arange(size // factor) * factor + (factor - 1) / 2
        inside = ((place - 16 - shift).abs() < 3.5).float() * 8 - 4
        lower = torch.stack([-inside, inside])[None, :, :, None, None].expand(1, 2, size // factor, 2, 2)
        return float(
            FewShotLoss()(
                [torch.zeros(1, 2, size, 4, 4), lower, torch.zeros(1, 2, 1, 1, 1)],
                knowledge,
                torch.zeros(knowledge.shape),
            ).total
        )

    assert loss(0) <= min(loss(-factor), loss(factor))


def test_a_patch_without_known_voxels_trains_by_distillation_alone():
    knowledge, teacher = torch.full(SHAPE, UNKNOWN, dtype=torch.uint8), torch.full(SHAPE, 0.8)
    scores = scores_of(0.0, requires_grad=True)
    parts = FewShotLoss()([scores], knowledge, teacher)
    expected = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    assert parts.known == 0 and parts.distillation == pytest.approx(expected, abs=1e-5)
    parts.total.backward()
    assert (scores.grad[:, 1] < 0).all()


def test_near_a_marked_node_is_background_unless_the_foundation_model_calls_it_node():
    teacher, knowledge = torch.full(SHAPE, 0.2), torch.full(SHAPE, TRUSTED, dtype=torch.uint8)
    teacher[:, :, 2:] = 0.9
    knowledge[:, :, 1:3] = NEAR
    as_if = knowledge.clone()
    as_if[:, :, 1], as_if[:, :, 2] = BACKGROUND, UNKNOWN
    decided, said = (FewShotLoss()([scores_of(0.7)], codes, teacher) for codes in (knowledge, as_if))
    assert (float(decided.total), decided.known) == (float(said.total), said.known)
    assert decided.distillation == said.distillation > 0


@pytest.mark.parametrize(
    ("code", "distillation", "asked"),
    [(UNKNOWN, 1.0, True), (UNKNOWN, 0.0, False), (NEAR, 0.0, True), (BACKGROUND, 1.0, False), (OUTSIDE, 1.0, False)],
)
def test_the_foundation_model_is_asked_only_where_its_answer_counts(code, distillation, asked):
    knowledge = torch.full(SHAPE, TRUSTED, dtype=torch.uint8)
    knowledge[0, 0, 3, 3, 3] = code
    assert FewShotLoss(distillation).asks_teacher(knowledge) == asked


def test_agreeing_with_the_foundation_model_costs_nothing():
    parts = FewShotLoss()([scores_of(math.log(4.0))], torch.zeros(SHAPE, dtype=torch.uint8), torch.full(SHAPE, 0.8))
    assert float(parts.total) == pytest.approx(0, abs=1e-5)


def test_the_weight_of_distillation_scales_it_and_nothing_else():
    knowledge = torch.full(SHAPE, TRUSTED, dtype=torch.uint8)
    knowledge[..., 2:] = UNKNOWN
    light, heavy = (FewShotLoss(w)([scores_of(0.5)], knowledge, torch.full(SHAPE, 0.9)) for w in (1.0, 10.0))
    assert float(heavy.total - light.total) == pytest.approx(9 * light.distillation, rel=1e-4)


def test_the_lowest_of_several_resolutions_gets_no_gradient():
    knowledge = torch.full(SHAPE, BACKGROUND, dtype=torch.uint8)
    scores = [torch.randn(1, 2, n, n, n, requires_grad=True) for n in (4, 2, 1)]
    FewShotLoss()(scores, knowledge, torch.zeros(SHAPE)).total.backward()
    assert scores[0].grad.abs().sum() > scores[1].grad.abs().sum() > 0 and scores[2].grad is None
