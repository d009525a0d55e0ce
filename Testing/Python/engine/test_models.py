"""The model that the engine keeps opened, and when it is read again."""

from __future__ import annotations

import os
import shutil

import pytest

from DGSTSegmentLib.engine.models import OpenedModel
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.package import write_delta


@pytest.fixture
def models(tiny_model, tmp_path):
    """Folders of a foundation model and of one fine-tuned on it."""
    base = tmp_path / "base" / "inner"
    shutil.copytree(tiny_model, base)
    model = open_model(base)
    write_delta(tmp_path / "tuned", model.delta_to(model.network()), model.card, model.plan, model)
    return base, tmp_path / "tuned"


def touch_later(path):
    path.write_bytes(path.read_bytes() + b"\n")


def test_a_model_is_opened_once_until_its_files_change_however_deep_they_lie(models):
    opened, spec = OpenedModel(), str(models[0].parent)
    first = opened.get(spec)
    assert opened.get(spec) is first
    touch_later(models[0] / "card.json")
    assert opened.get(spec) is not first


def test_a_fine_tuned_model_is_opened_anew_when_its_base_has_changed(models):
    opened, spec = OpenedModel(), str(models[1])
    first = opened.get(spec)
    assert opened.get(spec) is first
    touch_later(models[0] / "card.json")
    assert opened.get(spec) is not first


def test_a_model_in_a_zip_is_opened_anew_when_the_zip_has_changed(models, tmp_path, monkeypatch):
    monkeypatch.setenv("DGST_CACHE", str(tmp_path / "cache"))
    archive = tmp_path / "m.zip"
    shutil.make_archive(str(archive.with_suffix("")), "zip", models[0].parent)
    opened, spec = OpenedModel(), str(archive / "inner")
    first = opened.get(spec)
    assert opened.get(spec) is first
    os.utime(archive, (1, 1))
    assert opened.get(spec) is not first


def test_another_fold_is_another_model(two_folds):
    opened, spec = OpenedModel(), str(two_folds)
    first, second = (opened.get(spec, fold=fold) for fold in (0, 1))
    assert first.fingerprint != second.fingerprint
    assert opened.get(spec, fold=1) is second


def test_another_checkpoint_is_another_model(two_folds):
    opened, spec = OpenedModel(), str(two_folds)
    shutil.copy(two_folds / "fold_1" / "checkpoint_final.pth", two_folds / "fold_0" / "checkpoint_best.pth")
    final, best = (opened.get(spec, fold=0, checkpoint=checkpoint) for checkpoint in ("final", "best"))
    assert final.fingerprint != best.fingerprint == opened.get(spec, fold=1).fingerprint


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_is_a_model_once_it_is_finished(models, finished):
    (models[1] / "request.json").write_text("{}")
    if finished:
        assert OpenedModel().get(str(models[1])).card.base
        return
    (models[1] / "card.json").unlink()
    with pytest.raises(InputError, match=r"tuned is an unfinished run.*; go on with it first \(--resume\)"):
        OpenedModel().get(str(models[1]))


def test_another_orientation_is_another_plan(models):
    opened, spec = OpenedModel(), str(models[0])
    first, second = (opened.get(spec, orientation=orientation) for orientation in ("lps", "ras"))
    assert (first.plan.orientation, second.plan.orientation) == ("lps", "ras")
    assert opened.get(spec, orientation="ras") is second
