"""Which model is opened by which path into what nnU-Net leaves, folders and zips."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.package import write_delta

from .conftest import same_answer


@pytest.mark.parametrize("levels_up", range(4))
def test_a_model_is_found_from_any_folder_of_its_path_that_leads_to_one_model_only(results, workshop, levels_up):
    path = [results / "fold_0", results, results.parent, results.parent.parent][levels_up]
    model = open_model(path)
    assert same_answer(model.network(), workshop.made(workshop.plain()), workshop.patch())


def test_a_checkpoint_itself_may_be_named(results, workshop):
    other = workshop.made(workshop.plain(), seed=5)
    workshop.write_results(results, {"0": other}, checkpoint="checkpoint_best.pth")
    model = open_model(results / "fold_0" / "checkpoint_best.pth")
    assert same_answer(model.network(), other, workshop.patch())
    assert model.checkpoint == "checkpoint_best.pth"


def test_a_checkpoint_outside_of_a_fold_is_opened_itself_and_not_the_folds_beside_it(results, workshop, tmp_path):
    other = workshop.made(workshop.plain(), seed=5)
    workshop.write_results(tmp_path / "other", {"0": other})
    alone = shutil.copy(tmp_path / "other" / "fold_0" / "checkpoint_final.pth", results)
    model = open_model(alone)
    assert same_answer(model.network(), other, workshop.patch())
    assert (model.fold, model.card.folds, model.card.labels) == (None, (), {"background": 0, "lymph node": 1})
    with pytest.raises(InputError, match="no fold, but fold 0 was asked for"):
        open_model(alone, fold=0)


def test_a_lone_checkpoint_that_carries_its_plans_is_a_model_and_a_base(tmp_path, workshop):
    network = workshop.made(workshop.plain())
    workshop.write_results(tmp_path / "made", {"2": network}, plans=None, dataset=None, carried=True)
    lone = shutil.copy(tmp_path / "made" / "fold_2" / "checkpoint_final.pth", tmp_path / "nodes.pth")
    model = open_model(lone)
    assert same_answer(model.network(), network, workshop.patch())
    write_delta(tmp_path / "tuned", model.delta_to(model.network()), model.card, model.plan, model)
    assert open_model(tmp_path / "tuned").foundation.location == tmp_path / "nodes.pth"
    lone.rename(tmp_path / "moved.pth")
    moved = open_model(tmp_path / "tuned", base=tmp_path / "moved.pth")
    assert moved.foundation.location == tmp_path / "moved.pth"


def test_a_base_that_was_one_fold_may_be_given_as_a_copy_of_its_checkpoint(results, tmp_path):
    model = open_model(results, fold=0)
    write_delta(tmp_path / "tuned", model.delta_to(model.network()), model.card, model.plan, model)
    shutil.move(results / "fold_0" / "checkpoint_final.pth", results / "nodes.pth")
    opened = open_model(tmp_path / "tuned", base=results / "nodes.pth")
    assert opened.foundation.fingerprint == model.fingerprint


class TestFolds:
    @pytest.fixture
    def networks(self, workshop):
        return {name: workshop.made(workshop.plain(), seed) for seed, name in enumerate(["0", "1", "3", "all"], 10)}

    @pytest.fixture
    def folds(self, tmp_path, workshop, networks):
        folder = workshop.write_results(tmp_path / "T__P__3d_fullres", networks)
        return workshop.write_results(
            folder, {"1": workshop.made(workshop.plain(), 99)}, checkpoint="checkpoint_best.pth"
        )

    def test_all_numbered_folds_are_the_ensemble(self, folds, networks, workshop):
        model = open_model(folds)
        opened = model.networks()
        assert model.card.folds == ("0", "1", "3")
        for name, network in zip(model.card.folds, opened, strict=True):
            assert same_answer(network, networks[name], workshop.patch())

    def test_to_fine_tune_an_ensemble_one_fold_must_be_named(self, folds):
        with pytest.raises(InputError, match=r"folds 0, 1, 3; name one of them \(--fold\)"):
            open_model(folds).network()

    @pytest.mark.parametrize("fold", [1, "1", "all"])
    def test_one_fold_is_opened_by_its_name(self, folds, networks, workshop, fold):
        model = open_model(folds, fold=fold)
        assert model.fold == str(fold)
        assert same_answer(model.network(), networks[str(fold)], workshop.patch())

    def test_a_fold_that_is_not_there_is_refused_with_those_that_are(self, folds):
        with pytest.raises(InputError, match="no fold 2 .* it has 0, 1, 3, all"):
            open_model(folds, fold=2)

    @pytest.mark.parametrize("inside", [".", "checkpoint_final.pth"])
    def test_a_path_into_one_fold_and_another_folds_name_contradict_each_other(self, folds, inside):
        path = folds / "fold_0" / inside
        assert open_model(path).fingerprint == open_model(path, fold="0").fingerprint
        with pytest.raises(InputError, match="fold_0 is fold 0, but fold 1 was asked for"):
            open_model(path, fold=1)

    def test_a_checkpoint_and_another_ones_name_contradict_each_other(self, folds):
        path = folds / "fold_1" / "checkpoint_best.pth"
        assert open_model(path).fingerprint == open_model(folds, fold=1, checkpoint="best").fingerprint
        with pytest.raises(InputError, match=r"checkpoint_best\.pth is a checkpoint itself, but final was asked for"):
            open_model(path, checkpoint="final")

    def test_a_fold_whose_training_has_not_ended_is_left_out_of_the_ensemble_and_that_is_said(self, folds, networks):
        (folds / "fold_1" / "checkpoint_final.pth").unlink()
        model = open_model(folds)
        assert model.card.folds == ("0", "3")
        assert "(checkpoint_final.pth)" in model.card.description
        assert any("Fold 1 is left out" in note for note in model.notes)

    def test_where_no_fold_has_a_final_checkpoint_the_best_ones_are_the_ensemble(self, folds):
        for fold in ("0", "1", "3"):
            (folds / f"fold_{fold}" / "checkpoint_final.pth").rename(folds / f"fold_{fold}" / "checkpoint_best.pth")
        model = open_model(folds)
        assert (model.card.folds, model.checkpoint) == (("0", "1", "3"), "checkpoint_best.pth")
        assert any("Folds 0, 1, 3 have no final checkpoint: the best is taken" in note for note in model.notes)
        assert all("the best is taken" not in note for note in open_model(folds, checkpoint="best").notes)

    def test_only_numbered_folds_are_the_ensemble_and_what_was_passed_over_is_said(self, folds):
        shutil.copytree(folds / "fold_0", folds / "fold_0_old")
        (folds / "fold_4").mkdir()
        model = open_model(folds)
        assert model.card.folds == ("0", "1", "3")
        assert model.notes == (
            "The folder fold_0_old is passed over: its name is no number.",
            "The folder fold_4 is passed over: it holds no checkpoint.",
            "The folder fold_all is passed over: the numbered folds are the ensemble.",
        )
        named = open_model(folds, fold="0_old")
        assert named.fold == "0_old" and named.notes == ()

    def test_where_no_fold_is_numbered_all_is_taken_or_the_only_one_and_else_one_must_be_named(self, folds):
        for fold in ("0", "1"):
            (folds / f"fold_{fold}").rename(folds / f"fold_{fold}_old")
        shutil.rmtree(folds / "fold_3")
        assert open_model(folds).fold == "all"
        shutil.rmtree(folds / "fold_all")
        with pytest.raises(InputError, match=r"has no numbered fold; name one of 0_old, 1_old \(--fold\)"):
            open_model(folds)
        shutil.rmtree(folds / "fold_1_old")
        assert open_model(folds).fold == "0_old"

    def test_best_is_taken_when_asked_for_or_when_there_is_no_final(self, folds, networks, workshop):
        best = workshop.made(workshop.plain(), 99)
        assert same_answer(open_model(folds, fold=1).network(), networks["1"], workshop.patch())
        assert same_answer(open_model(folds, fold=1, checkpoint="best").network(), best, workshop.patch())
        (folds / "fold_1" / "checkpoint_final.pth").unlink()
        only_best = open_model(folds, fold=1)
        assert same_answer(only_best.network(), best, workshop.patch())
        (note,) = only_best.notes
        assert "Fold 1 has no final checkpoint: the best is taken" in note
        with pytest.raises(InputError, match=r"fold_0 has no checkpoint_best\.pth"):
            open_model(folds, checkpoint="best")

    def test_every_choice_of_folds_has_its_own_fingerprint(self, folds):
        found = {open_model(folds, fold=fold).fingerprint for fold in (None, 0, 1, 3, "all")}
        assert len(found) == 5

    def test_an_ensemble_is_not_opened_as_one_fold_is(self, folds):
        assert open_model(folds).fold is None


class TestZips:
    def test_nnunets_export_and_a_plain_zip_of_the_folder_open_alike(self, results, tmp_path, workshop):
        root = results.parent.parent
        exported = shutil.make_archive(str(tmp_path / "exported"), "zip", root, "Dataset201_Nodes")
        plain = shutil.make_archive(str(tmp_path / "plain"), "zip", results)
        expected = open_model(results)
        for archive in (exported, plain):
            model = open_model(archive)
            assert model.fingerprint == expected.fingerprint
            assert model.location == Path(archive)
            assert same_answer(model.network(), expected.network(), workshop.patch())

    @pytest.fixture
    def several(self, results, tmp_path, workshop):
        """As nnU-Net exports all configurations of a data set."""
        workshop.write_results(
            results.with_name("nnUNetTrainer__nnUNetPlans__3d_lowres"), {"0": workshop.made(workshop.plain(), 7)}
        )
        return Path(shutil.make_archive(str(tmp_path / "export"), "zip", results.parent.parent, "Dataset201_Nodes"))

    def test_a_zip_of_several_models_is_refused_with_a_name_that_opens_one(self, several, results):
        with pytest.raises(InputError, match="holds several models .*name one of them, as ") as refusal:
            open_model(several)
        assert str(refusal.value).startswith(str(several)) and "cache" not in str(refusal.value)
        named = Path(str(refusal.value).partition(" as ")[2].rstrip("."))
        model = open_model(named)
        assert model.fingerprint == open_model(results).fingerprint and model.location == named

    def test_what_is_not_in_a_zip_or_lacks_a_part_is_said_by_the_zips_name(self, several, results, tmp_path):
        for inside in ("Dataset9/none", "../results"):
            with pytest.raises(InputError, match="does not exist"):
                open_model(several / inside)
        (results / "plans.json").unlink()
        archive = Path(shutil.make_archive(str(tmp_path / "part"), "zip", results))
        with pytest.raises(InputError, match=r"part\.zip has no plans\.json"):
            open_model(archive)

    def test_what_was_fine_tuned_on_a_model_in_a_zip_finds_it_again(self, several, results, tmp_path):
        model = open_model(several / "Dataset201_Nodes" / results.name)
        write_delta(tmp_path / "tuned", model.delta_to(model.network()), model.card, model.plan, model)
        assert open_model(tmp_path / "tuned").foundation.location == model.location
