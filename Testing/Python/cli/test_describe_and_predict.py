from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.imaging.files import read_ct, read_segmentation, read_volume


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
