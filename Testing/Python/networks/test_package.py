from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from DGSTSegmentLib.dgst.delta import BaseMismatch
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks import catalogue
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.package import write_delta, write_full

from ..conftest import files_of_at_most
from .conftest import changed, fine_tuned, identical

KILLED_AT_THE_CARD = """
import os, sys
from pathlib import Path
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.package import write_delta

base, replace_file = open_model(sys.argv[1]), os.replace
network = base.network()
next(network.parameters()).data += 1
os.replace = lambda source, target: os._exit(9) if Path(target).name == "card.json" else replace_file(source, target)
write_delta(sys.argv[2], base.delta_to(network), base.card, base.plan, base)
"""
"""Writes a fine-tuned model (base, folder), and is gone before its card takes its place."""


def keep_card(patch):
    """No card takes another's place, as on Windows while another program reads it."""
    replace_file = os.replace

    def refuse_card(source, target):
        if Path(target).name == "card.json":
            raise PermissionError(13, "Access is denied")
        replace_file(source, target)

    patch.setattr(os, "replace", refuse_card)


class TestFullWeights:
    def test_they_come_back_to_the_bit_with_card_and_plan(self, package, workshop):
        model = open_model(package)
        assert identical(model.network(), workshop.made(workshop.plain()))
        assert model.card.name == "base" and model.card.architecture == "PlainConvUNet"
        assert model.card.spacing_kji == model.plan.spacing_kji == (3.0, 1.25, 1.25)
        assert model.labels == {"background": 0, "lymph node": 1}
        assert model.base is None and model.foundation is model

    def test_half_precision_is_converted_once_and_never_rounded_again(self, package, tmp_path, workshop):
        """A delta on a base in fp16 must give what was trained, to the bit, however often it is opened."""
        base = open_model(package)
        write_full(tmp_path / "half", base.network(), base.card, base.plan, base.architecture, torch.float16)
        half = open_model(tmp_path / "half")
        assert half.fingerprint != base.fingerprint
        sizes = [(folder / "weights.safetensors").stat().st_size for folder in (tmp_path / "half", package)]
        assert sizes[0] < 0.7 * sizes[1]
        for parameter, exact in zip(half.network().parameters(), base.network().parameters(), strict=True):
            assert parameter.dtype == torch.float32
            assert torch.equal(parameter, exact.half().float())
        network = fine_tuned(half, tmp_path / "tuned")
        assert identical(open_model(tmp_path / "tuned").network(), network)

    def test_every_tensor_is_stored_once(self, package, workshop):
        stored = safetensors.torch.load_file(package / "weights.safetensors")
        network = workshop.made(workshop.plain())
        assert sum(t.numel() for t in stored.values()) == sum(p.numel() for p in network.parameters())

    def test_weights_that_are_not_those_of_the_card_are_refused(self, package):
        path = package / "weights.safetensors"
        stored = safetensors.torch.load_file(path)
        name = next(iter(stored))
        stored[name] = stored[name] + 1
        safetensors.torch.save_file(stored, path)
        with pytest.raises(InputError, match="damaged: its weights are not those its card names"):
            open_model(package)

    def test_truncated_weights_are_refused(self, package):
        path = package / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(InputError, match=r"weights\.safetensors is damaged or truncated"):
            open_model(package)

    def test_a_package_without_weights_is_refused(self, package):
        (package / "weights.safetensors").unlink()
        with pytest.raises(InputError, match=r"neither weights\.safetensors nor delta\.safetensors"):
            open_model(package)

    def test_a_zip_of_it_opens_with_or_without_a_folder_inside(self, package, tmp_path):
        bare = shutil.make_archive(str(tmp_path / "bare"), "zip", package)
        wrapped = shutil.make_archive(str(tmp_path / "wrapped"), "zip", package.parent, package.name)
        for archive in (bare, wrapped):
            assert open_model(archive).fingerprint == open_model(package).fingerprint

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"format": 2}, "newer version"),
            ({"plan": None}, "has no plan"),
            ({"architecture": {"class": "ViT"}}, "'ViT' is not one of"),
        ],
    )
    def test_a_card_that_cannot_be_used_is_refused(self, package, change, said):
        path = package / "card.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        with pytest.raises(InputError, match=said):
            open_model(package)

    def test_a_folder_that_cannot_be_made_is_said(self, package, tmp_path):
        model = open_model(package)
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="cannot be made"):
            write_full(tmp_path / "file" / "model", model.network(), model.card, model.plan, model.architecture)

    def test_a_full_disk_is_said_and_the_package_stays_whole(self, package):
        model = open_model(package)
        network = changed(model)
        with files_of_at_most(10_000), pytest.raises(InputError, match="could not be written .*free some space"):
            write_full(package, network, model.card, model.plan, model.architecture)
        assert identical(open_model(package).network(), model.network())
        assert {path.name for path in package.iterdir()} == {"card.json", "weights.safetensors"}

    def test_a_fold_of_it_cannot_be_asked_for(self, package):
        with pytest.raises(InputError, match="single network"):
            open_model(package, fold=0)

    def test_writing_it_twice_gives_the_same_bytes(self, package, tmp_path):
        model = open_model(package)
        write_full(tmp_path / "again", model.network(), model.card, model.plan, model.architecture)
        for name in ("weights.safetensors", "card.json"):
            assert (tmp_path / "again" / name).read_bytes() == (package / name).read_bytes()


class TestDelta:
    def test_a_fine_tuned_model_opens_where_its_base_still_lies(self, package, tmp_path):
        base = open_model(package)
        network = fine_tuned(base, tmp_path / "tuned")
        model = open_model(tmp_path / "tuned")
        assert identical(model.network(), network)
        assert model.card.base["name"] == "base" and model.card.base["fingerprint"] == base.fingerprint
        assert model.foundation.fingerprint == base.fingerprint
        assert identical(model.foundation.network(), base.network())
        assert model.plan == base.plan

    def test_it_is_far_smaller_than_its_base(self, package, tmp_path):
        fine_tuned(open_model(package), tmp_path / "tuned")
        names = {path.name for path in (tmp_path / "tuned").iterdir()}
        assert names == {"card.json", "delta.safetensors"}

    def test_a_base_that_moved_is_found_where_it_is_said_to_be(self, package, tmp_path):
        network = fine_tuned(open_model(package), tmp_path / "tuned")
        moved = package.rename(tmp_path / "moved")
        with pytest.raises(
            InputError,
            match=r"fine-tuned from base .* not among the installed models.*--base at a terminal.*in Slicer, add",
        ):
            open_model(tmp_path / "tuned")
        assert identical(open_model(tmp_path / "tuned", base=moved).network(), network)

    def test_a_base_that_moved_is_found_among_the_installed_models(self, package, tmp_path, monkeypatch):
        network = fine_tuned(open_model(package), tmp_path / "tuned")
        (tmp_path / "installed").mkdir()
        package.rename(tmp_path / "installed" / "anything")
        monkeypatch.setenv("DGST_MODELS", str(tmp_path / "installed"))
        assert identical(open_model(tmp_path / "tuned").network(), network)

    def test_a_base_is_refused_for_what_stands_on_none(self, package, results):
        for model in (package, results):
            with pytest.raises(InputError, match=rf"^{model} is no fine-tuned model, .+ leave its base out"):
                open_model(model, base=package)

    def test_another_model_given_as_its_base_is_refused_with_both_names(self, package, tmp_path, workshop):
        base = open_model(package)
        fine_tuned(base, tmp_path / "tuned")
        other = workshop.made(workshop.plain(), seed=8)
        write_full(tmp_path / "other", other, replace(base.card, name="other"), base.plan, base.architecture)
        with pytest.raises(
            InputError, match="was fine-tuned from base .* is other .*; give the right model with --base"
        ):
            open_model(tmp_path / "tuned", base=tmp_path / "other")

    def test_a_base_that_was_replaced_is_noticed(self, package, tmp_path, workshop):
        base = open_model(package)
        fine_tuned(base, tmp_path / "tuned")
        write_full(package, workshop.made(workshop.plain(), seed=8), base.card, base.plan, base.architecture)
        with pytest.raises(InputError, match="holds another model now"):
            open_model(tmp_path / "tuned")

    def test_a_base_of_nnunet_is_found_again_with_its_fold_and_checkpoint(self, results, tmp_path, workshop):
        workshop.write_results(results, {"1": workshop.made(workshop.plain(), 4)}, checkpoint="checkpoint_best.pth")
        base = open_model(results, fold=1, checkpoint="best")
        network = fine_tuned(base, tmp_path / "tuned")
        model = open_model(tmp_path / "tuned")
        assert identical(model.network(), network)
        assert (model.base.fold, model.base.checkpoint) == ("1", "checkpoint_best.pth")

    def test_a_delta_that_lost_its_way_onto_another_model_is_refused(self, package, tmp_path, workshop):
        base = open_model(package)
        fine_tuned(base, tmp_path / "tuned")
        write_full(tmp_path / "other", workshop.made(workshop.plain(), 8), base.card, base.plan, base.architecture)
        fine_tuned(open_model(tmp_path / "other"), tmp_path / "other_tuned")
        shutil.copy(tmp_path / "tuned" / "delta.safetensors", tmp_path / "other_tuned")
        with pytest.raises(InputError, match="cannot be applied to its base"):
            open_model(tmp_path / "other_tuned")

    def test_a_delta_of_another_run_on_the_same_base_is_not_taken_for_this_one(self, package, tmp_path):
        base = open_model(package)
        fine_tuned(base, tmp_path / "first", seed=1)
        fine_tuned(base, tmp_path / "second", seed=2)
        shutil.copy(tmp_path / "first" / "delta.safetensors", tmp_path / "second")
        with pytest.raises(InputError, match="damaged: its weights are not those its card names"):
            open_model(tmp_path / "second")

    def test_a_truncated_delta_is_refused(self, package, tmp_path):
        fine_tuned(open_model(package), tmp_path / "tuned")
        path = tmp_path / "tuned" / "delta.safetensors"
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(InputError, match="damaged"):
            open_model(tmp_path / "tuned")

    def test_a_disk_that_is_full_at_the_card_leaves_the_model_that_was_there(self, package, tmp_path):
        base = open_model(package)
        network = fine_tuned(base, tmp_path / "tuned")
        size = (tmp_path / "tuned" / "delta.safetensors").stat().st_size
        with (
            files_of_at_most(2 * size),
            pytest.raises(InputError, match=r"card.json could not be written .*nothing was"),
        ):
            fine_tuned(base, tmp_path / "tuned", seed=2, name="tuned" * size)
        assert identical(open_model(tmp_path / "tuned").network(), network)
        assert {path.name for path in (tmp_path / "tuned").iterdir()} == {"card.json", "delta.safetensors"}

    @pytest.mark.parametrize("existed", [True, False])
    def test_a_card_that_cannot_take_its_place_leaves_what_was_there(self, package, tmp_path, monkeypatch, existed):
        base, folder = open_model(package), tmp_path / "tuned"
        network = fine_tuned(base, folder) if existed else None
        keep_card(monkeypatch)
        with pytest.raises(InputError, match=r"could not be written \(Access is denied\)"):
            fine_tuned(base, folder, seed=2)
        assert {path.name for path in folder.iterdir()} == ({"card.json", "delta.safetensors"} if existed else set())
        assert not existed or identical(open_model(folder).network(), network)

    def test_a_process_that_was_killed_between_delta_and_card_leaves_a_model_that_says_so(
        self, package, tmp_path, monkeypatch
    ):
        base, folder = open_model(package), tmp_path / "tuned"
        fine_tuned(base, folder)
        command = [sys.executable, "-c", KILLED_AT_THE_CARD, str(package), str(folder)]
        assert subprocess.run(command).returncode == 9
        incomplete = pytest.raises(InputError, match=r"not written completely.*\(--resume\), or make it again")
        with incomplete:
            open_model(folder)
        with monkeypatch.context() as patch, pytest.raises(InputError, match="could not be written"):
            keep_card(patch)
            fine_tuned(base, folder, seed=2)
        with incomplete:
            open_model(folder)
        network = fine_tuned(base, folder, seed=2)
        assert identical(open_model(folder).network(), network)
        assert {path.name for path in folder.iterdir()} == {"card.json", "delta.safetensors"}

    def test_it_stands_on_a_foundation_model_only(self, package, tmp_path):
        base = open_model(package)
        fine_tuned(base, tmp_path / "tuned")
        tuned = open_model(tmp_path / "tuned")
        with pytest.raises(ValueError, match="own base"):
            write_delta(tmp_path / "twice", base.delta_to(tuned.network()), tuned.card, tuned.plan, tuned)
        with pytest.raises(BaseMismatch):
            write_delta(tmp_path / "twice", tuned.delta_to(changed(tuned)), base.card, base.plan, base)

    def test_opening_does_not_change_the_base_on_disk(self, package, tmp_path):
        before = {path.name: path.read_bytes() for path in package.iterdir()}
        fine_tuned(open_model(package), tmp_path / "tuned")
        open_model(tmp_path / "tuned").network()
        assert {path.name: path.read_bytes() for path in package.iterdir()} == before


class TestCatalogue:
    def test_installed_models_are_listed_with_their_cards_and_titles(self, package, tmp_path, monkeypatch):
        monkeypatch.setattr(catalogue, "models_folder", lambda: tmp_path / "models")
        model = open_model(package)
        card = replace(model.card, name="starter", demonstration=True)
        write_full(tmp_path / "models" / "starter", model.network(), card, model.plan, model.architecture)
        shutil.copytree(package, tmp_path / "more" / "a_model")
        monkeypatch.setenv("DGST_MODELS", str(tmp_path / "more"))
        starter, other = catalogue.installed_models()
        assert starter.name == "starter" and "demonstration" in starter.card.title
        assert other.path == tmp_path / "more" / "a_model" and other.card.title == "base"

    def test_where_there_are_no_models_there_are_none(self, tmp_path, monkeypatch):
        monkeypatch.setattr(catalogue, "models_folder", lambda: tmp_path / "models")
        assert catalogue.installed_models() == []

    def test_a_delta_on_the_starter_names_it_and_not_a_folder_of_this_machine(self, package, tmp_path, monkeypatch):
        monkeypatch.setattr("DGSTSegmentLib.networks.package.starter_path", lambda: package)
        monkeypatch.setattr("DGSTSegmentLib.networks.foundation.starter_path", lambda: package)
        network = fine_tuned(open_model("starter"), tmp_path / "tuned")
        model = open_model(tmp_path / "tuned")
        assert model.card.base["location"] == "starter"
        assert identical(model.network(), network)
