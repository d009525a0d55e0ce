from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.architectures import (
    build,
    build_blank,
    decoder_modules,
    early_modules,
    encoder_modules,
    head_modules,
    outputs,
    set_deep_supervision,
)
from DGSTSegmentLib.networks.state import fitting_state, load_state_, own_state


def parameters_of(network, names):
    return {p for name in names for p in network.get_submodule(name).parameters()}


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_a_unet_is_built_with_the_paths_that_plans_name(workshop, kind):
    network = build(getattr(workshop, kind)())
    scores = outputs(network(workshop.patch()))
    assert [tuple(s.shape) for s in scores] == [(1, 2, 8, 16, 16), (1, 2, 8, 8, 8)]


def test_classes_are_found_by_their_last_name_wherever_they_moved_to(workshop):
    architecture = workshop.residual()
    architecture["class"] = "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet"
    assert type(build(architecture)).__name__ == "ResidualEncoderUNet"


@pytest.mark.parametrize("use_v2", [False, True])
def test_swin_unetr_takes_an_image_size_whether_monai_still_does_or_not(workshop, use_v2):
    network = build(workshop.swin(use_v2))
    assert any("layers1c" in name for name, _ in network.named_modules()) is use_v2
    assert [tuple(s.shape) for s in outputs(network(workshop.patch((1, 1, 64, 32, 32))))] == [(1, 2, 64, 32, 32)]


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_a_unets_head_makes_the_scores_and_its_decoder_leaves_the_hidden_encoder_out(workshop, kind):
    network = build(getattr(workshop, kind)())
    head = parameters_of(network, head_modules(network))
    assert head == set(network.decoder.seg_layers.parameters())
    decoder = parameters_of(network, decoder_modules(network))
    encoder = set(network.encoder.parameters())
    assert encoder <= set(network.decoder.parameters()), "the trap: the encoder hides in the decoder"
    assert not decoder & encoder
    assert decoder | encoder == set(network.parameters())
    assert head < decoder


def test_swin_unetrs_head_is_seen_as_a_head_though_its_name_does_not_say_so(workshop):
    """Reference error 5: found by name, SwinUNETR had no head."""
    network = build(workshop.swin())
    head = parameters_of(network, head_modules(network))
    assert head == set(network.out.parameters())
    with torch.no_grad():
        for parameter in head:
            parameter.zero_()
    assert not network(workshop.patch((1, 1, 64, 32, 32))).any()
    assert head < parameters_of(network, decoder_modules(network))


@pytest.mark.parametrize("kind", ["plain", "residual", "swin"])
def test_encoder_and_decoder_make_up_the_network_and_share_nothing(workshop, kind):
    network = build(getattr(workshop, kind)())
    encoder, decoder = (parameters_of(network, names(network)) for names in (encoder_modules, decoder_modules))
    assert not encoder & decoder
    assert encoder | decoder == set(network.parameters())


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_a_unets_early_modules_are_its_first_two_stages_and_the_stem_alone(workshop, kind):
    network = build(getattr(workshop, kind)())
    early = parameters_of(network, early_modules(network))
    encoder = network.encoder
    late = {p for stage in encoder.stages[2:] for p in stage.parameters()}
    assert late
    assert early == set(encoder.parameters()) - late
    assert all(name.startswith("encoder.") for name in early_modules(network)), "not by the name inside the decoder"


@pytest.mark.parametrize("use_v2", [False, True])
def test_swin_unetrs_early_modules_work_on_the_two_highest_resolutions(workshop, use_v2):
    network = build(workshop.swin(use_v2))
    swin = network.swinViT
    expected = [swin.patch_embed, swin.layers1, network.encoder1, network.encoder2]
    expected += [swin.layers1c] if use_v2 else []
    assert parameters_of(network, early_modules(network)) == {p for part in expected for p in part.parameters()}


@pytest.mark.parametrize("parts", [head_modules, decoder_modules, encoder_modules, early_modules])
def test_parts_of_an_unknown_network_are_not_guessed(parts):
    with pytest.raises(ValueError, match="name the modules yourself"):
        parts(torch.nn.Sequential(torch.nn.Conv3d(1, 2, 1)))


def test_deep_supervision_is_switched_without_touching_weights(workshop):
    network = workshop.made(workshop.plain())
    before = network(workshop.patch())
    set_deep_supervision(network, False)
    (alone,) = outputs(network(workshop.patch()))
    assert torch.equal(alone, before[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"class": "os.system"}, "'system' is not one of"),
        ({"class": None}, "is not one of"),
        ({"arguments": {"n_stages": 3}}, "cannot be built"),
    ],
)
def test_a_network_that_is_not_known_or_not_whole_is_refused(workshop, change, said):
    with pytest.raises(InputError, match=said):
        build({**workshop.plain(), **change})


@pytest.mark.parametrize("module", ["os.system", "subprocess.Popen", "torch.nn.functional.relu", "torch.nn.NoSuchNorm"])
def test_module_names_lead_to_modules_only(workshop, module):
    architecture = workshop.plain()
    architecture["arguments"]["norm_op"] = module
    with pytest.raises(InputError, match=module):
        build(architecture)


@pytest.mark.parametrize("kind", ["plain", "residual", "swin"])
def test_a_blank_network_draws_nothing_and_once_filled_says_what_the_other_says(kind, workshop):
    architecture = getattr(workshop, kind)()
    network = build(architecture).eval()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    blank = build_blank(architecture).eval()
    assert torch.equal(torch.rand(3), expected)
    load_state_(blank, fitting_state(blank, own_state(network), "here"))
    image = workshop.patch((1, 1, 64, 32, 32))
    with torch.inference_mode():
        said, wanted = outputs(blank(image)), outputs(network(image))
    assert all(torch.equal(a, b) for a, b in zip(said, wanted, strict=True))


class Heard(TorchDispatchMode):
    """Remembers the names of the operations that are carried out."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_no_weight_of_a_blank_network_is_drawn(kind, workshop):
    architecture = getattr(workshop, kind)()
    with Heard() as drawn:
        build(architecture)
    with Heard() as blank:
        build_blank(architecture)
    assert drawn.names & {"normal_", "uniform_"}
    assert not blank.names & {"normal_", "uniform_", "random_"}
