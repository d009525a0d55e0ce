from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.imaging.files import read_ct, read_segmentation, read_volume
from DGSTSegmentLib.networks.card import ModelCard
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.package import write_delta


def test_describe_says_what_a_model_is(dgst, one_engine, tiny_model):
    outcome = dgst("describe", tiny_model)
    assert outcome.code == 0
    assert outcome.out.startswith("tiny (demonstration, trained on phantoms)\nAn untrained network for tests.\n")
    for words in (
        "background = 0, lymph node = 1",
        "3 x 2 x 2 mm",
        "orientation    lps (axes",
        "measured       nothing",
        "MB free",
    ):
        assert words in outcome.out


def test_describe_as_json_puts_nothing_else_on_stdout(dgst, one_engine, tiny_model):
    described = dgst("describe", tiny_model, "--json").json
    assert described["card"]["name"] == "tiny" and described["card"]["demonstration"] is True
    assert described["devices"][0]["name"] == "cpu"


def test_describe_says_why_no_gpu_is_used(dgst, one_engine, tiny_model):
    reason = dgst("describe", tiny_model, "--json").json["why_no_gpu"]
    last = dgst("describe", tiny_model).out.splitlines()[-1]
    assert last == f"No GPU is used: {reason}." if reason else last.split()[0] == "cuda"


@pytest.fixture
def only_best_in_fold_1(two_folds):
    checkpoint = two_folds / "fold_1" / "checkpoint_final.pth"
    checkpoint.rename(checkpoint.with_name("checkpoint_best.pth"))
    return two_folds


def test_describe_and_predict_say_whose_weights_they_took(dgst, one_engine, only_best_in_fold_1, tiny_study, tmp_path):
    out, folder = tmp_path / "seg.nii.gz", only_best_in_fold_1
    predicted = dgst(
        *("predict", "--model", folder, "--fold", "1", "--image", tiny_study[0][0], "--out", out),
        *("--device", "cpu", "--precision", "fp32", "--json"),
    ).json
    origin = predicted["origin"]
    assert (origin["folds"], origin["checkpoint"], origin["base"]) == (["1"], "checkpoint_best.pth", None)
    assert [predicted[name] for name in ("device", "precision", "orientation")] == ["cpu", "fp32", "lps"]
    assert any("Fold 1 has no final checkpoint: the best is taken" in note for note in predicted["notes"])
    asked = dgst("describe", folder, "--fold", "1", "--checkpoint", "best")
    assert "folds          1\n" in asked.out and "checkpoint     checkpoint_best.pth\n" in asked.out
    assert "the best is taken" not in asked.out
    assert dgst("describe", folder / "fold_1" / "checkpoint_best.pth", "--json").json["origin"] == origin
    ensemble = dgst("describe", folder, "--json").json["origin"]
    assert (ensemble["folds"], ensemble["checkpoint"]) == (["0"], "checkpoint_final.pth")


def test_a_checkpoint_that_is_not_there_is_refused(refused, one_engine, prediction, only_best_in_fold_1):
    command = prediction(model=only_best_in_fold_1, fold=1, checkpoint="final")
    assert "fold_1 has no checkpoint_final.pth" in refused(*command)


def test_describe_of_a_fine_tuned_model_names_the_fold_that_it_stands_on(dgst, one_engine, two_folds, tmp_path):
    model = open_model(two_folds, fold=1)
    write_delta(tmp_path / "tuned", model.delta_to(model.network()), ModelCard("tuned"), model.plan, model)
    assert (
        f"base           {model.card.name}, fold 1, checkpoint_final.pth\n" in dgst("describe", tmp_path / "tuned").out
    )


def test_a_model_that_is_none_is_refused(refused, one_engine, tmp_path):
    assert "does not exist" in refused("describe", tmp_path / "missing")
    assert "is no model" in refused("describe", tmp_path)


@pytest.mark.parametrize("ending", [".nii.gz", ".seg.nrrd"])
def test_predict_writes_segmentation_and_probability_on_the_cts_grid(
    dgst, one_engine, tiny_model, tiny_study, tmp_path, ending
):
    image, out, probability = tiny_study[0][0], tmp_path / f"seg{ending}", tmp_path / "p.nii.gz"
    outcome = dgst(
        *("predict", "--model", tiny_model, "--image", image, "--out", out, "--probability", probability),
        *("--device", "cpu", "--precision", "fp32", "--json"),
    )
    assert outcome.code == 0
    assert outcome.json["out"] == str(out) and outcome.json["probability"] == str(probability)
    assert "predict" in outcome.err, "progress is told on stderr"
    segmentation = read_segmentation(out)
    assert segmentation.geometry.same_grid(read_ct(image).geometry)
    np.testing.assert_array_equal(segmentation.array > 0, read_volume(probability).array > 0.5)


def test_predict_says_in_words_what_it_wrote(dgst, one_engine, tiny_model, tiny_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = dgst("predict", "--model", tiny_model, "--image", tiny_study[0][0], "--out", "seg.nrrd")
    assert outcome.out == f"tiny (demonstration, trained on phantoms): {tmp_path / 'seg.nrrd'}\n"


@pytest.fixture
def prediction(tiny_model, tiny_study, tmp_path):
    def arguments(**changes):
        options = {"model": tiny_model, "image": tiny_study[0][0], "out": tmp_path / "seg.nii.gz"} | changes
        return ["predict", *(word for name, value in options.items() for word in (f"--{name}", value))]

    return arguments


def test_what_can_be_seen_beforehand_is_refused_before_an_engine_starts(refused, no_engine, prediction, tmp_path):
    copy = tmp_path / "ct.nii.gz"
    copy.touch()
    assert "missing.nii.gz does not exist" in refused(*prediction(image=tmp_path / "missing.nii.gz"))
    assert "ending" in refused(*prediction(out=tmp_path / "seg.png"))
    assert "no folder" in refused(*prediction(out=tmp_path / "none" / "seg.nii.gz"))
    assert "input" in refused(*prediction(image=copy, out=copy))
    assert "input" in refused(*prediction(probability=copy, image=copy))
    assert "no folder" in refused(*prediction(probability=tmp_path / "none" / "p.nii.gz"))


def test_a_ct_that_cannot_be_read_gets_the_engines_one_sentence(refused, one_engine, prediction, tmp_path):
    (tmp_path / "text.nii.gz").write_text("no volume")
    refused(*prediction(image=tmp_path / "text.nii.gz"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.nii.gz"]
