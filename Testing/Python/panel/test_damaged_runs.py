"""What of a study cannot be read any more is said, and nothing is shown that is not so."""

from __future__ import annotations

import shutil

import pytest

from .conftest import ball, mark


@pytest.fixture
def run(logic):
    """The folder of a run, with a request that says nothing."""
    folder = logic.study.folder / "runs" / "0001"
    folder.mkdir(parents=True)
    (folder / "request.json").write_text("{}")
    return folder


def plain(label):
    """A label's text without the places where its lines may break."""
    return label.text.replace("\u200b", "")


@pytest.mark.parametrize("name", ["card.json", "request.json"])
def test_a_damaged_file_of_a_run_is_named_below_the_list_of_models(ui, logic, run, name):
    assert "request.json" not in plain(ui.cardLabel)
    (run / name).write_text("{")
    logic.models.changed()
    assert f"{run / name} " in plain(ui.cardLabel)
    assert "phantoms" in ui.cardLabel.text, "of the model in use all is said still"
    shutil.rmtree(run)
    logic.models.changed()
    assert name not in ui.cardLabel.text


def test_where_the_training_folder_is_gone_the_list_shows_the_model_in_use(ui, panel, logic, scan, tiny_model):
    from preview_host import answers

    from DGSTSegmentLib.networks.description import read_description

    logic.models.add(str(tiny_model), {"card": read_description(tiny_model).card.to_json()})
    mark(logic, scan, ball())
    ui.addCaseButton.click()
    before = ui.modelSelector.currentIndex
    shutil.rmtree(logic.study.folder)
    other = ui.modelSelector.findData(str(tiny_model))
    assert other != before
    ui.modelSelector.setCurrentIndex(other)
    panel.scan.onModelChosen(other)
    assert any("is gone; bring its drive back" in text for text in answers.shown)
    assert ui.modelSelector.currentIndex == before
