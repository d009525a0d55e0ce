from __future__ import annotations

import pytest
import torch

from DGSTSegmentLib.networks.card import ModelCard
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.package import write_delta


@pytest.fixture
def tuned(two_folds, tmp_path):
    """Fine-tuned on the second of two folds, and stopped before the end."""
    model = open_model(two_folds, fold=1)
    network = model.network()
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1
    card = ModelCard("tuned", strategy={"name": "dgst", "steps": 3, "planned_steps": 9, "stopped": True})
    write_delta(tmp_path / "tuned", model.delta_to(network), card, model.plan, model)
    return tmp_path / "tuned"


def test_a_fine_tuned_model_is_written_whole_with_the_command_that_predicts_with_it(
    dgst, one_engine, tuned, two_folds, tmp_path
):
    outcome = dgst("export", "--model", tuned, "--out", tmp_path / "exported")

    assert outcome.code == 0
    assert f'nnUNetv2_predict_from_modelfolder -i SCANS -o ANSWERS -m "{tmp_path / "exported"}" -f 1\n' in outcome.out
    assert "nnU-Net shows the model a scan as it is stored" in outcome.err
    assert "The training was stopped after 3 of 9 steps" in outcome.err
    exported = open_model(tmp_path / "exported").network().state_dict()
    wanted = open_model(tuned, base=two_folds).network().state_dict()
    assert all(torch.equal(exported[name], wanted[name]) for name in wanted)


def test_as_json_it_says_where_it_is_and_whose_weights_it_has(dgst, one_engine, tuned, tmp_path):
    result = dgst("export", "--model", tuned, "--out", tmp_path / "exported", "--json").json

    assert (result["out"], result["fold"]) == (str(tmp_path / "exported"), "1")
    assert result["origin"]["base"]["folds"] == ["1"] and result["command"].endswith("-f 1")


def test_a_folder_that_holds_something_is_refused(refused, one_engine, tuned, tmp_path):
    assert "holds other files already" in refused("export", "--model", tuned, "--out", tmp_path)


def test_a_base_that_was_moved_is_asked_for(dgst, refused, one_engine, tuned, two_folds, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    moved = two_folds.rename(tmp_path / "elsewhere" / two_folds.name)
    assert "--base" in refused("export", "--model", tuned, "--out", tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
    assert dgst("export", "--model", tuned, "--base", moved, "--out", tmp_path / "exported").code == 0
