"""The model that the engine keeps opened, and when it is read again."""

from __future__ import annotations

import os
import shutil

import pytest

from DGSTSegmentLib.engine.models import OpenedModel
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
