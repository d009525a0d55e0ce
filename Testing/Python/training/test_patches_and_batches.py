import numpy as np
import pytest
import torch

from DGSTSegmentLib.networks.plan import Plan
from DGSTSegmentLib.training.augmentation import Augmentation
from DGSTSegmentLib.training.batches import Batches
from DGSTSegmentLib.training.knowledge import BACKGROUND, NEAR, NODE, OUTSIDE, REJECTED, TRUSTED, UNKNOWN
from DGSTSegmentLib.training.patches import NO_MARGIN, Patch, PreparedCase, cut, draw_patch

SIZE = (8, 12, 12)
PLAN = Plan(spacing_kji=(2.0, 1.5, 1.5), patch_size_kji=SIZE)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    knowledge = np.zeros((20, 30, 30), np.uint8)
    knowledge[5:8, 5:8, 5:8] = NODE
    knowledge[15, 20:25, 20:25] = BACKGROUND
    knowledge[:2] = TRUSTED
    return PreparedCase("scan", rng.normal(size=knowledge.shape).astype(np.float32), knowledge)


def test_a_node_patch_holds_a_marked_voxel(case):
    rng = np.random.default_rng(0)
    assert all((draw_patch([case], "node", SIZE, rng).knowledge == NODE).any() for _ in range(30))


def test_background_patches_see_known_and_trusted_background(case):
    rng = np.random.default_rng(0)
    seen = [set(np.unique(draw_patch([case], "background", SIZE, rng).knowledge)) for _ in range(60)]
    assert all({BACKGROUND, TRUSTED} & codes for codes in seen)
    assert any(BACKGROUND in codes for codes in seen) and any(TRUSTED in codes for codes in seen)


def test_background_patches_see_what_lies_near_a_marked_node():
    knowledge = np.zeros((20, 30, 30), np.uint8)
    knowledge[15, 20:25, 20:25] = NEAR
    case, rng = PreparedCase("scan", np.zeros(knowledge.shape, np.float32), knowledge), np.random.default_rng(0)
    assert all((draw_patch([case], "background", SIZE, rng).knowledge == NEAR).any() for _ in range(20))


def test_a_small_rejected_finding_is_seen_as_often_as_the_other_kinds_of_background():
    knowledge = np.full((20, 60, 60), BACKGROUND, np.uint8)
    knowledge[:8] = TRUSTED
    knowledge[15, 50:52, 50:52] = REJECTED
    case, rng = PreparedCase("scan", np.zeros(knowledge.shape, np.float32), knowledge), np.random.default_rng(0)
    seen = [(draw_patch([case], "background", (4, 8, 8), rng).knowledge == REJECTED).any() for _ in range(60)]
    assert 10 <= sum(seen) <= 30, "a third"


@pytest.mark.parametrize(
    ("code", "leaves_open"), [(BACKGROUND, False), (TRUSTED, False), (UNKNOWN, True), (NEAR, True)]
)
def test_a_case_tells_whether_it_leaves_voxels_to_the_foundation_model(code, leaves_open):
    knowledge = np.full((4, 5, 6), NODE, np.uint8)
    knowledge[3, 4, 5] = code
    assert PreparedCase("scan", np.zeros(knowledge.shape, np.float32), knowledge).leaves_open == leaves_open


def test_patches_from_anywhere_reach_the_unknown(case):
    rng = np.random.default_rng(0)
    assert any((draw_patch([case], "any", SIZE, rng).knowledge == UNKNOWN).all() for _ in range(60))


@pytest.mark.parametrize("kind", ["node", "background", "any"])
def test_every_case_is_drawn_as_often_as_the_others(case, kind):
    cases = [PreparedCase(f"scan {n}", np.full_like(case.image, n), case.knowledge) for n in range(3)]
    rng = np.random.default_rng(0)
    drawn = [draw_patch(cases, kind, SIZE, rng).image for _ in range(90)]
    counts = [sum(bool((image == n).all()) for image in drawn) for n in range(3)]
    assert sum(counts) == 90 and all(20 <= count <= 40 for count in counts)


def test_a_patch_keeps_image_and_knowledge_together(case):
    patch = cut(case, np.array([6, 6, 6]), SIZE)
    first = np.argwhere(patch.knowledge == NODE)[0]
    np.testing.assert_array_equal(patch.image[tuple(first)], case.image[5, 5, 5])


def test_a_case_smaller_than_a_patch_lies_in_its_middle_and_the_rest_is_outside_the_scan():
    small = PreparedCase("slab", np.ones((3, 30, 30), np.float32), np.full((3, 30, 30), BACKGROUND, np.uint8))
    patch = cut(small, np.array([1, 15, 15]), SIZE)
    assert patch.image.shape == SIZE
    assert (patch.knowledge[2:5] == BACKGROUND).all() and (patch.image[2:5] == 1).all()
    for rest in (slice(0, 2), slice(5, None)):
        assert (patch.knowledge[rest] == OUTSIDE).all() and (patch.image[rest] == 0).all()


@pytest.mark.parametrize("k", [1, 2, 17, 18])
def test_a_warped_patch_keeps_the_node_it_was_drawn_for_also_at_the_end_of_a_scan(k):
    knowledge = np.full((20, 40, 40), BACKGROUND, np.uint8)
    knowledge[k, 18:23, 18:23] = NODE
    case = PreparedCase("scan", np.zeros(knowledge.shape, np.float32), knowledge)
    augmentation, rng = Augmentation((12, 16, 16)), np.random.default_rng(0)
    patches = [
        augmentation(draw_patch([case], "node", augmentation.size, rng, augmentation.margin), True, rng)
        for _ in range(20)
    ]
    holding = sum(bool((patch["knowledge"] == NODE).any()) for patch in patches)
    assert holding >= 16, "a node one voxel thick may fall between two slices of a turned patch, seldom"


def test_batches_are_plain_tensors(case):
    batch = Batches([case], PLAN, 2, seed=0)[3]
    assert all(type(tensor) is torch.Tensor for tensor in (batch.image, batch.knowledge))


def test_the_same_seed_and_step_give_the_same_batch_in_any_order(case):
    one, other = Batches([case], PLAN, 2, seed=7), Batches([case], PLAN, 2, seed=7)
    forward = [one[step] for step in range(6)]
    for step in reversed(range(6)):
        again = other[step]
        assert torch.equal(again.image, forward[step].image) and torch.equal(again.knowledge, forward[step].knowledge)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_batches_see_nodes_mostly_and_the_rest_of_the_body_too(case, batch_size):
    rng = np.random.default_rng(0)
    large = PreparedCase("scan", rng.normal(size=(20, 90, 90)).astype(np.float32), np.zeros((20, 90, 90), np.uint8))
    large.knowledge[5:8, 5:8, 5:8], large.knowledge[15, 80:85, 80:85] = NODE, BACKGROUND
    batches = Batches([PreparedCase("scan", large.image, large.knowledge)], PLAN, batch_size, seed=0)
    patches = [knowledge for step in range(120 // batch_size) for knowledge in batches[step].knowledge]
    node, background = (sum(bool((one == code).any()) for one in patches) for code in (NODE, BACKGROUND))
    assert 0.5 < node / len(patches) < 0.85
    assert 0.07 < background / len(patches) < 0.3


def test_steps_and_seeds_differ(case):
    batches = Batches([case], PLAN, 2, seed=7)
    assert not torch.equal(batches[0].image, batches[1].image)
    assert not torch.equal(batches[0].image, Batches([case], PLAN, 2, seed=8)[0].image)


@pytest.mark.parametrize("warp", [False, True])
def test_augmentation_moves_image_and_marks_together(warp):
    """The image tells the marks: bright where a node is, in a shape that no flip or turn leaves as it was."""
    knowledge = np.full((40, 48, 56), BACKGROUND, np.uint8)
    knowledge[8:30, 8:20, 10:24] = knowledge[8:16, 20:40, 10:18] = knowledge[24:30, 12:20, 24:44] = NODE
    case = PreparedCase("scan", (knowledge == NODE).astype(np.float32) * 4 - 2, knowledge)
    augmentation, rng = Augmentation((24, 32, 32)), np.random.default_rng(0)
    margin = augmentation.margin if warp else NO_MARGIN
    for _ in range(12):
        patch = augmentation(draw_patch([case], "node", augmentation.size, rng, margin), warp, rng)
        image, node = patch["image"], patch["knowledge"] == NODE
        inside = patch["knowledge"] != OUTSIDE
        middle = (image[node].mean() + image[inside & ~node].mean()) / 2
        assert ((image > middle) == node)[inside].float().mean() > 0.93


def ball_patch(shape, radius):
    """A ball of a node, bright on dark, in the middle of a patch."""
    offsets = np.indices(shape).transpose(1, 2, 3, 0) - (np.array(shape) - 1) / 2
    ball = np.linalg.norm(offsets, axis=-1) < radius
    return Patch(np.where(ball, 2.0, -2.0).astype(np.float32), np.where(ball, NODE, BACKGROUND).astype(np.uint8))


def middle_of(mask):
    return mask.nonzero().float().mean(0)


def test_no_change_of_intensity_moves_the_image_off_its_marks():
    augmentation, rng = Augmentation((16, 16, 16)), np.random.default_rng(0)
    patch = ball_patch(augmentation.size, 2.6)
    for _ in range(100):
        data = augmentation(patch, False, rng)
        image = data["image"][0]
        bright = image > (image.max() + image.median()) / 2
        apart = middle_of(bright) - middle_of(data["knowledge"][0] == NODE)
        assert apart.abs().max() < 0.3


def test_a_warped_patch_is_zoomed_along_all_axes_alike():
    augmentation, rng = Augmentation((32, 32, 32)), np.random.default_rng(0)
    shape = tuple(n + before + after for n, (before, after) in zip(augmentation.size, augmentation.margin, strict=True))
    patch, sizes = ball_patch(shape, 9), []
    for _ in range(30):
        node = augmentation(patch, True, rng)["knowledge"][0] == NODE
        sizes.append(node.nonzero().float().std(0))
    unwarped = torch.from_numpy(patch.knowledge == NODE).nonzero().float().std(0).mean()
    assert all(size.max() / size.min() < 1.05 for size in sizes)
    zooms = [float(size.mean() / unwarped) for size in sizes]
    assert 0.84 < min(zooms) < 0.93 and 1.07 < max(zooms) < 1.2


def tilt(codes, spacing):
    """How steep the border between nodes below and background is, and how many voxels it has."""
    k, j, i = np.nonzero((codes[1:] != codes[:-1]) & (codes[1:] != OUTSIDE) & (codes[:-1] != OUTSIDE))
    plane = np.stack([j * spacing[1], i * spacing[2], np.ones_like(i)], 1)
    return np.hypot(*np.linalg.lstsq(plane, k * spacing[0], rcond=None)[0][:2]), len(k)


def test_a_patch_of_thick_slices_is_not_sheared_over_its_end():
    """A line in a slice stays near it, though slices are as thick as many voxels."""
    size, spacing = (16, 96, 96), (5.0, 0.8, 0.8)
    augmentation, rng = Augmentation(size, spacing), np.random.default_rng(0)
    shape = tuple(n + before + after for n, (before, after) in zip(size, augmentation.margin, strict=True))
    knowledge = np.full(shape, BACKGROUND, np.uint8)
    knowledge[shape[0] // 2 :] = NODE
    for _ in range(12):
        codes = augmentation(Patch(np.zeros(shape, np.float32), knowledge), True, rng)["knowledge"][0].numpy()
        steepness, voxels = tilt(codes, spacing)
        assert voxels > 90 * 90 and steepness < 0.2


def test_batches_of_thick_slices_are_not_sheared_over_their_end():
    plan = Plan(spacing_kji=(5.0, 0.8, 0.8), patch_size_kji=(16, 96, 96))
    knowledge = np.full((20, 116, 116), BACKGROUND, np.uint8)
    knowledge[10:] = NODE
    batches = Batches([PreparedCase("scan", np.zeros(knowledge.shape, np.float32), knowledge)], plan, 2, seed=0)
    tilts = [tilt(codes[0].numpy(), plan.spacing_kji) for step in range(12) for codes in batches[step].knowledge]
    assert all(voxels > 60 * 60 and steepness < 0.2 for steepness, voxels in tilts)
    assert sum(steepness > 1e-3 for steepness, _ in tilts) > 3, "some are turned at all"


def test_augmentation_leaves_codes_codes(case):
    batches = Batches([case], PLAN, 3, seed=0)
    for step in range(25):
        batch = batches[step]
        assert batch.image.shape == batch.knowledge.shape == (3, 1, *SIZE)
        assert set(batch.knowledge.unique().tolist()) <= {UNKNOWN, NODE, BACKGROUND, TRUSTED, OUTSIDE}
        assert torch.isfinite(batch.image).all()
