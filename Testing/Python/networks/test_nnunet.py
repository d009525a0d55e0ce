from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging.geometry import Geometry
from DGSTSegmentLib.imaging.volume import Volume
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.nnunet import note_on_orientation
from DGSTSegmentLib.networks.package import write_delta
from DGSTSegmentLib.networks.preprocessing import prepare

from .conftest import same_answer


def test_the_pretrained_head_is_kept(results, workshop):
    """Reference error 7: the head was dropped on loading."""
    trained = workshop.made(workshop.plain())
    network = open_model(results).network()
    for ours, theirs in zip(network.decoder.seg_layers, trained.decoder.seg_layers, strict=True):
        assert torch.equal(ours.weight, theirs.weight) and torch.equal(ours.bias, theirs.bias)


def test_the_whole_preprocessing_is_the_models_own(results, workshop):
    """Reference error 8: spacing, clip, mean and deviation came from the new scans."""
    model = open_model(results)
    plan = model.plan
    assert plan.spacing_kji == (3.0, 1.25, 1.25) and plan.patch_size_kji == (8, 16, 16)
    assert (plan.lower, plan.upper, plan.mean, plan.std) == (-87.0, 199.0, 51.5, 43.25)
    hot = Volume(np.full((12, 20, 20), 3000, np.int16), Geometry.from_parts((12, 20, 20), (2.5, 1.25, 1.5)))
    prepared = prepare(hot, plan)
    assert prepared.shape == (6, 20, 40)
    np.testing.assert_allclose(prepared.array, (199.0 - 51.5) / 43.25, rtol=1e-5)


def test_a_residual_encoder_unet_is_opened_where_its_class_has_moved(tmp_path, workshop):
    plans = workshop.plans()
    described = plans["configurations"]["3d_fullres"]["architecture"]
    described["network_class_name"] = "some.old.place.ResidualEncoderUNet"
    described["arch_kwargs"]["n_blocks_per_stage"] = described["arch_kwargs"].pop("n_conv_per_stage")
    trained = workshop.made(workshop.residual())
    model = open_model(workshop.write_results(tmp_path / "T__P__3d_fullres", {"0": trained}, plans=plans))
    assert model.card.architecture == "ResidualEncoderUNet"
    assert same_answer(model.network(), trained, workshop.patch())


def test_plans_from_before_version_2_4_describe_the_same_network(tmp_path, workshop):
    plans = workshop.plans()
    configuration = plans["configurations"]["3d_fullres"]
    kwargs = configuration.pop("architecture")["arch_kwargs"]
    configuration.update(
        UNet_class_name="PlainConvUNet",
        UNet_base_num_features=4,
        unet_max_num_features=6,
        n_conv_per_stage_encoder=[1, 1, 1],
        n_conv_per_stage_decoder=[1, 1],
        pool_op_kernel_sizes=kwargs["strides"],
        conv_kernel_sizes=kwargs["kernel_sizes"],
        num_pool_per_axis=[1, 2, 2],
    )
    architecture = workshop.plain()
    architecture["arguments"]["features_per_stage"] = [4, 6, 6]
    trained = workshop.made(architecture)
    model = open_model(workshop.write_results(tmp_path / "T__P__3d_fullres", {"0": trained}, plans=plans))
    assert same_answer(model.network(), trained, workshop.patch())


@pytest.mark.parametrize("use_v2", [False, True])
def test_swin_unetr_is_built_from_its_weights_since_its_plans_describe_another_network(tmp_path, workshop, use_v2):
    trained = workshop.made(workshop.swin(use_v2))
    folder = workshop.write_results(tmp_path / "nnUNetTrainer_swin__P__3d_fullres", {"0": trained}, trainer="Swin")
    model = open_model(folder)
    assert model.card.architecture == "SwinUNETR" and not model.deep_supervision
    assert model.head == ("out",)
    assert same_answer(model.network(), trained, workshop.patch((1, 1, 64, 32, 32)))


@pytest.mark.parametrize(
    ("trainer", "supervised"),
    [("nnUNetTrainer", True), ("nnUNetTrainerNoDeepSupervision", False), ("nnUNetTrainer_no_deep_supervision", False)],
)
def test_lower_score_maps_are_used_where_the_trainer_trained_them(tmp_path, workshop, trainer, supervised):
    network = workshop.made(workshop.plain())
    model = open_model(workshop.write_results(tmp_path / "T__P__3d_fullres", {"0": network}, trainer=trainer))
    assert model.deep_supervision is supervised
    assert isinstance(model.network()(workshop.patch()), list) is supervised


def test_the_checkpoint_itself_describes_the_model_where_the_files_are_missing(tmp_path, workshop):
    network = workshop.made(workshop.plain())
    folder = tmp_path / "renamed"
    workshop.write_results(folder, {"0": network}, plans=None, dataset=None, carried=True)
    model = open_model(folder)
    assert model.labels == {"background": 0, "lymph node": 1}
    assert same_answer(model.network(), network, workshop.patch())


def test_the_card_says_what_it_is(results):
    card = open_model(results).card
    assert card.name == "Dataset201_Nodes 3d_fullres"
    assert "nnUNetTrainer" in card.description
    assert card.trained_on == "Nodes of the neck (12 scans)"
    assert card.labels == {"background": 0, "lymph node": 1}
    assert not card.demonstration and len(card.fingerprint) == 64


class TestRefusals:
    def test_a_folder_without_plans(self, results):
        (results / "plans.json").unlink()
        with pytest.raises(InputError, match=r"has no plans\.json, and its checkpoint carries none"):
            open_model(results)

    def test_a_folder_without_checkpoint(self, results):
        (results / "fold_0" / "checkpoint_final.pth").unlink()
        with pytest.raises(InputError, match=r"it has plans\.json but no fold with a checkpoint.*fold_0"):
            open_model(results)

    def test_a_folder_of_something_else(self, tmp_path):
        (tmp_path / "holiday").mkdir()
        with pytest.raises(InputError, match="is no model.*card.json"):
            open_model(tmp_path / "holiday")

    def test_a_path_that_does_not_exist(self, tmp_path):
        with pytest.raises(InputError, match="does not exist; give 'starter', a folder or a zip"):
            open_model(tmp_path / "nowhere")

    def test_a_truncated_checkpoint(self, results):
        path = results / "fold_0" / "checkpoint_final.pth"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match="damaged or truncated"):
            open_model(results)

    def test_a_checkpoint_whose_pickle_calls_a_function_and_it_is_not_called(self, results, tmp_path):
        mark = tmp_path / "was_called"

        class Evil:
            def __reduce__(self):
                return os.mkdir, (str(mark),)

        torch.save({"network_weights": {}, "init_args": Evil()}, results / "fold_0" / "checkpoint_final.pth")
        with pytest.raises(InputError, match="refused.*mkdir"):
            open_model(results)
        assert not mark.exists()

    def test_several_configurations_under_the_folder(self, results, workshop):
        other = results.with_name("nnUNetTrainer__nnUNetResEncUNetLPlans__3d_fullres")
        workshop.write_results(other, {"0": workshop.made(workshop.plain())})
        with pytest.raises(InputError, match="holds several models .*ResEncUNetL.*; name one of them"):
            open_model(results.parent)
        assert open_model(results).network()

    def test_a_2d_configuration_beside_the_3d_one_is_passed_over(self, results, workshop):
        workshop.write_results(
            results.with_name("nnUNetTrainer__nnUNetPlans__2d"), {"0": workshop.made(workshop.plain())}
        )
        assert open_model(results.parent).plan.patch_size_kji == (8, 16, 16)

    @pytest.mark.parametrize(
        ("where", "change", "said"),
        [
            ("configuration", {"patch_size": [64, 64]}, "is a 2D configuration"),
            ("configuration", {"previous_stage": "3d_lowres"}, "second stage of a cascade"),
            ("configuration", {"resampling_fn_data": "resample_torch_fornnunet"}, "resamples by .*resample_torch"),
            (
                "configuration",
                {"resampling_fn_data_kwargs": {"force_separate_z": True}},
                "scores otherwise than images",
            ),
            ("configuration", {"resampling_fn_data_kwargs": {"order": 3, "sharpen": 2}}, "resamples by sharpen"),
            (
                "configuration",
                {"resampling_fn_probabilities_kwargs": {"separate_z_anisotropy_threshold": 2}},
                "resamples by another separate_z_anisotropy_threshold than 3",
            ),
            ("configuration", {"preprocessor_name": "MyPreprocessor"}, "preprocesses by MyPreprocessor"),
            ("configuration", {"normalization_schemes": ["RGBTo01Normalization"]}, "normalises by RGBTo01"),
            ("configuration", {"spacing": None}, "incomplete"),
            ("configuration", {"inherits_from": "3d_fullres"}, "no usable configuration"),
            ("configuration", {"architecture": None}, "describe no network"),
            ("plans", {"configurations": {}}, "no usable configuration '3d_fullres'"),
            ("plans", {"foreground_intensity_properties_per_channel": {}}, "incomplete"),
            ("dataset", {"channel_names": {"0": "CT", "1": "PET"}}, "wants 2 input channels"),
            ("dataset", {"labels": {"background": 0, "all": [1, 2], "node": 2}}, "trained on regions"),
            ("dataset", {"labels": {"background": 0, "node": 2}}, "numbered 0, 1, 2"),
            ("dataset", {"labels": {}}, "numbered 0, 1, 2"),
        ],
    )
    def test_what_is_not_supported_is_said_in_one_sentence(self, tmp_path, workshop, where, change, said):
        plans, dataset = workshop.plans(), workshop.dataset()
        parts = {"plans": plans, "dataset": dataset, "configuration": plans["configurations"]["3d_fullres"]}
        parts[where].update(change)
        network = workshop.made(workshop.plain())
        folder = workshop.write_results(tmp_path / "T__P__3d_fullres", {"0": network}, plans=plans, dataset=dataset)
        with pytest.raises(InputError, match=said) as refusal:
            open_model(folder)
        assert "\n" not in str(refusal.value)

    def test_damaged_plans(self, results):
        (results / "plans.json").write_text('{"configurations": ')
        with pytest.raises(InputError, match=r"plans\.json is damaged: it is not JSON"):
            open_model(results)

    def test_weights_of_another_network(self, tmp_path, workshop):
        architecture = workshop.plain()
        architecture["arguments"]["features_per_stage"] = [4, 6, 12]
        folder = workshop.write_results(tmp_path / "T__P__3d_fullres", {"0": workshop.made(architecture)})
        with pytest.raises(InputError, match=r"does not fit the PlainConvUNet.*has shape .*instead of"):
            open_model(folder)

    def test_a_swin_unetr_whose_head_does_not_fit_the_labels(self, tmp_path, workshop):
        dataset = {**workshop.dataset(), "labels": {"background": 0, "left": 1, "right": 2}}
        network = workshop.made(workshop.swin())
        folder = workshop.write_results(tmp_path / "T__P__3d_fullres", {"0": network}, dataset=dataset)
        with pytest.raises(InputError, match=r"tells 2 classes apart, but .* 3 labels \(background, left, right\)"):
            open_model(folder)

    def test_weights_that_are_missing_or_too_many(self, results):
        path = results / "fold_0" / "checkpoint_final.pth"
        checkpoint = torch.load(path, weights_only=False)
        weights = checkpoint["network_weights"]
        kept = {name: value for name, value in weights.items() if "seg_layers.1.bias" not in name}
        torch.save({**checkpoint, "network_weights": kept}, path)
        with pytest.raises(InputError, match=r"seg_layers\.1\.bias is missing"):
            open_model(results)
        torch.save({**checkpoint, "network_weights": {**weights, "extra.weight": torch.ones(1)}}, path)
        with pytest.raises(InputError, match=r"the network has no extra\.weight"):
            open_model(results)


def test_how_slices_are_resampled_may_be_said_for_images_only_or_alike_for_both(results, workshop):
    network, plans = workshop.made(workshop.plain()), workshop.plans()
    configuration = plans["configurations"]["3d_fullres"]
    for scores in ({}, {"force_separate_z": True, "order_z": 0, "separate_z_anisotropy_threshold": 3}):
        configuration["resampling_fn_data_kwargs"] = {"order": 3, "force_separate_z": True}
        configuration["resampling_fn_probabilities_kwargs"] = scores
        workshop.write_results(results, {"0": network}, plans=plans)
        assert open_model(results).plan.separate_z is True


def test_an_ignore_label_is_no_output_of_the_network(tmp_path, workshop):
    dataset = {**workshop.dataset(), "labels": {"background": 0, "lymph node": 1, "ignore": 2}}
    network = workshop.made(workshop.plain())
    model = open_model(workshop.write_results(tmp_path / "T__P__3d_fullres", {"0": network}, dataset=dataset))
    assert model.labels == {"background": 0, "lymph node": 1}


def test_a_model_of_several_structures_says_that_its_findings_are_of_all_of_them(results, workshop):
    assert open_model(results).notes == ()
    dataset = {**workshop.dataset(), "labels": {"background": 0, "thyroid": 1, "lymph node": 2}}
    architecture = workshop.plain()
    architecture["arguments"]["num_classes"] = 3
    workshop.write_results(results, {"0": workshop.made(architecture)}, dataset=dataset)
    (note,) = open_model(results).notes
    assert "2 structures apart (thyroid, lymph node)" in note


def test_prefixes_of_torchs_wrappers_and_doubled_names_do_not_matter(results, workshop):
    path = results / "fold_0" / "checkpoint_final.pth"
    expected = open_model(results)
    checkpoint = torch.load(path, weights_only=False)
    weights = checkpoint["network_weights"]
    once = {
        name: value for name, value in weights.items() if "all_modules" not in name and "decoder.encoder" not in name
    }
    assert len(once) < len(weights) / 2
    for prefix in ("", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."):
        renamed = {f"{prefix}{name}": value for name, value in once.items()}
        torch.save({**checkpoint, "network_weights": renamed}, path)
        model = open_model(results)
        assert model.fingerprint == expected.fingerprint
        assert same_answer(model.network(), workshop.made(workshop.plain()), workshop.patch())


@pytest.mark.parametrize("reader", ["NibabelIOWithReorient", "SimpleITKIOWithReorient"])
def test_a_model_trained_on_volumes_in_ras_order_gets_them_so(results, workshop, reader):
    plans = {**workshop.plans(), "image_reader_writer": reader}
    workshop.write_results(results, {"0": workshop.made(workshop.plain())}, plans=plans)
    assert open_model(results).plan.orientation == "ras"


def test_an_orientation_that_the_files_do_not_tell_is_given_by_name_and_kept_by_what_is_fine_tuned(results, tmp_path):
    assert open_model(results).plan.orientation == "lps"
    model = open_model(results, orientation="as-stored")
    assert model.plan.orientation == "as-stored" and model.fingerprint == open_model(results).fingerprint
    write_delta(tmp_path / "tuned", model.delta_to(model.network()), model.card, model.plan, model)
    tuned = open_model(tmp_path / "tuned")
    assert tuned.plan.orientation == tuned.foundation.plan.orientation == "as-stored"
    again = open_model(tmp_path / "tuned", orientation="ras")
    assert again.plan.orientation == again.foundation.plan.orientation == "ras"


@pytest.mark.parametrize(
    ("axes", "said"), [((0, 1, 2), "nnU-Net's own;"), ((0,), "own, the more so since it was not tr")]
)
def test_that_nnunet_would_show_the_scan_otherwise_is_said_where_it_would(results, tmp_path, axes, said):
    lps, ras = (
        Geometry.from_parts((4, 5, 6), (1, 1, 1), direction=np.diag(signs)) for signs in ([1, 1, 1], [-1, -1, 1])
    )
    path = results / "fold_0" / "checkpoint_final.pth"
    torch.save({**torch.load(path, weights_only=False), "inference_allowed_mirroring_axes": axes}, path)
    model = open_model(results)
    assert note_on_orientation(model, lps) is None and note_on_orientation(model.oriented("as-stored"), ras) is None
    note = note_on_orientation(model, ras)
    assert "stored in RAS order" in note and said in note and "--orientation as-stored" in note
    write_delta(tmp_path / "tuned", model.delta_to(model.network()), model.card, model.plan, model)
    assert note_on_orientation(open_model(tmp_path / "tuned"), ras) is None


def test_opening_a_model_does_not_disturb_random_numbers(results):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    open_model(results).network()
    assert torch.equal(torch.rand(3), expected)


def test_networks_are_fresh_copies_in_evaluation_mode(results):
    model = open_model(results)
    first, second = model.network(), model.network()
    assert not first.training
    with torch.no_grad():
        next(first.parameters()).add_(1)
    assert not torch.equal(next(first.parameters()), next(second.parameters()))
    assert torch.equal(next(model.network().parameters()), next(second.parameters()))
