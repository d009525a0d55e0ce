from __future__ import annotations

import json
import pydoc
from dataclasses import replace

import pytest
import torch

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.nnunet_export import export_nnunet
from DGSTSegmentLib.networks.package import write_full

from ..conftest import files_of_at_most
from .conftest import fine_tuned, identical, same_answer


def opened_after_fine_tuning(model, folder):
    """The package that something like a fine-tuning of the model left."""
    fine_tuned(model, folder)
    return open_model(folder)


def same_weights(model, other) -> bool:
    return identical(model.network(), other.network())


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_what_was_fine_tuned_on_nnunets_model_is_that_model_with_other_weights(results, workshop, tmp_path):
    tuned = opened_after_fine_tuning(open_model(results), tmp_path / "tuned")

    exported = export_nnunet(tuned, tmp_path / "exported")

    opened = open_model(exported.folder)
    assert same_weights(opened, tuned) and not same_weights(opened, tuned.base)
    assert (opened.plan, opened.labels, opened.fold) == (tuned.plan, tuned.labels, "0")
    assert read(exported.folder, "plans.json") == workshop.plans()
    assert read(exported.folder, "dataset.json") == workshop.dataset()


def test_nnunet_finds_in_the_checkpoint_all_that_it_asks_for(tmp_path, workshop):
    network = workshop.made(workshop.plain())
    base = workshop.write_results(
        tmp_path / "nnUNetTrainerX__nnUNetPlans__3d_fullres", {"3": network}, trainer="nnUNetTrainerX"
    )
    tuned = opened_after_fine_tuning(open_model(base, fold=3), tmp_path / "tuned")

    exported = export_nnunet(tuned, tmp_path / "exported")

    checkpoint = torch.load(exported.folder / "fold_3" / "checkpoint_final.pth", weights_only=True)
    assert checkpoint["network_weights"].keys() == network.state_dict().keys()
    assert {tensor.dtype for tensor in checkpoint["network_weights"].values()} == {torch.float32}
    assert checkpoint["trainer_name"] == "nnUNetTrainerX"
    assert checkpoint["inference_allowed_mirroring_axes"] == (0, 1, 2)
    assert checkpoint["init_args"]["configuration"] == "3d_fullres"
    assert (checkpoint["init_args"]["fold"], exported.fold) == (3, "3")
    assert exported.command.endswith("-f 3") and str(exported.folder) in exported.command
    assert any("nnUNetTrainerX" in note for note in exported.notes)


def test_a_base_that_is_a_lone_checkpoint_is_exported_from_what_it_carries(tmp_path, workshop):
    folder = workshop.write_results(
        tmp_path / "a", {"0": workshop.made(workshop.plain())}, plans=None, dataset=None, carried=True
    )
    lone = (folder / "fold_0" / "checkpoint_final.pth").rename(tmp_path / "lone.pth")
    tuned = opened_after_fine_tuning(open_model(lone), tmp_path / "tuned")

    assert same_weights(open_model(export_nnunet(tuned, tmp_path / "exported").folder), tuned)


def test_swin_unetr_is_exported_with_the_plans_that_describe_another_network(tmp_path, workshop):
    base = workshop.write_results(
        tmp_path / "base", {"0": workshop.made(workshop.swin())}, trainer="nnUNetTrainer_SwinUNETR"
    )
    tuned = opened_after_fine_tuning(open_model(base), tmp_path / "tuned")

    assert same_weights(open_model(export_nnunet(tuned, tmp_path / "exported").folder), tuned)


@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_a_package_gets_plans_of_its_own(package, tmp_path, workshop, kind):
    given, architecture = open_model(package), getattr(workshop, kind)()
    write_full(tmp_path / "model", workshop.made(architecture), given.card, given.plan, architecture)
    model = open_model(tmp_path / "model")

    opened = open_model(export_nnunet(model, tmp_path / "exported").folder)

    assert same_weights(opened, model)
    assert (opened.plan, opened.labels) == (model.plan, model.labels)


def as_nnunet_builds_it(plans):
    """The network of nnU-Net's plans, by nnU-Net's own rule: what ``_kw_requires_import`` names is imported."""
    described = plans["configurations"]["3d_fullres"]["architecture"]
    arguments = dict(described["arch_kwargs"])
    for name in described["_kw_requires_import"]:
        if arguments[name] is not None:
            arguments[name] = pydoc.locate(arguments[name])
    network = pydoc.locate(described["network_class_name"])
    return network(input_channels=1, num_classes=2, deep_supervision=True, **arguments)


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("plain", {}),
        ("plain", {"nonlin": "GELU", "nonlin_kwargs": None}),
        ("plain", {"dropout_op": "torch.nn.modules.dropout.Dropout3d", "dropout_op_kwargs": {"p": 0.1}}),
        ("residual", {"block": "BottleneckD", "bottleneck_channels": [2, 2, 2]}),
    ],
)
def test_nnunet_builds_the_network_of_a_package_from_the_plans_that_it_gets(package, tmp_path, workshop, kind, own):
    given, architecture = open_model(package), getattr(workshop, kind)()
    architecture["arguments"] |= own
    write_full(tmp_path / "model", workshop.made(architecture), given.card, given.plan, architecture)
    model = open_model(tmp_path / "model")

    exported = export_nnunet(model, tmp_path / "exported").folder

    network = as_nnunet_builds_it(read(exported, "plans.json"))
    checkpoint = torch.load(exported / "fold_0" / "checkpoint_final.pth", weights_only=True)
    network.load_state_dict(checkpoint["network_weights"])
    assert same_answer(network.eval(), model.network(), workshop.patch())


@pytest.mark.parametrize(
    "change", [{"normalization": "zscore", "within_nonzero": True}, {"orientation": "ras"}, {"transpose": (1, 0, 2)}]
)
def test_whatever_nnunet_has_a_word_for_is_kept(package, tmp_path, change):
    model = open_model(package)
    model = replace(model, plan=replace(model.plan, **change))

    opened = open_model(export_nnunet(model, tmp_path / "exported").folder)

    assert {name: getattr(opened.plan, name) for name in change} == change


def test_where_nnunet_would_show_the_model_a_scan_otherwise_is_said(results, tmp_path):
    model = open_model(results)

    def notes(orientation):
        return export_nnunet(model.oriented(orientation), tmp_path / orientation).notes

    assert notes("as-stored") == ()
    (note,) = notes("lps")
    assert "nnU-Net shows the model a scan as it is stored, this program in LPS order" in note


def test_what_nnunet_has_no_word_for_is_refused_and_nothing_is_left(package, tmp_path):
    model = open_model(package)
    model = replace(model, plan=replace(model.plan, crop_to_nonzero=False))
    with pytest.raises(InputError, match="base cannot be written for nnU-Net.*crop_to_nonzero"):
        export_nnunet(model, tmp_path / "exported")
    assert {path.name for path in tmp_path.iterdir()} == {"base"}


def test_a_network_that_plans_do_not_describe_is_refused(package, tmp_path, workshop):
    given, architecture = open_model(package), workshop.swin()
    write_full(tmp_path / "swin", workshop.made(architecture), given.card, given.plan, architecture)
    with pytest.raises(InputError, match="describe no SwinUNETR"):
        export_nnunet(open_model(tmp_path / "swin"), tmp_path / "exported")


def test_of_an_ensemble_one_fold_is_to_be_named(two_folds, tmp_path):
    with pytest.raises(InputError, match="--fold"):
        export_nnunet(open_model(two_folds), tmp_path / "exported")
    assert export_nnunet(open_model(two_folds, fold=1), tmp_path / "exported").fold == "1"


def test_a_full_disk_is_said_and_nothing_is_left(package, tmp_path):
    with files_of_at_most(10_000), pytest.raises(InputError, match="could not be written.*room"):
        export_nnunet(open_model(package), tmp_path / "exported")
    assert {path.name for path in tmp_path.iterdir()} == {"base"}


def test_a_folder_that_holds_something_stays_as_it_is(package, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="new folder"):
        export_nnunet(open_model(package), tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
