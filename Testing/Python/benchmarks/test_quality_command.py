"""What the command line means, and what it says when something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from quality import command
from quality.entrants import REFERENCE, chosen_entrants
from quality.statistics import least_p


def settings(*arguments: str):
    return command.settings_of(command._parser().parse_args(arguments))


def test_full_means_every_strategy_with_one_and_five_cases_and_draws_enough_for_a_test():
    full = settings("--full")

    assert full.strategies is None
    assert (full.protocol.shots, full.protocol.completeness) == ((1, 5), ("all", "marked"))
    assert [full.protocol.draws_of(name) for name in ("dgst", "full", "static", "lora", "random")] == [10] * 5
    assert least_p(full.protocol.draws_of("norm")) < 0.05
    assert full.source == "phantoms"


def test_quick_means_the_strategies_that_matter_most_and_few_steps():
    quick = settings("--quick", "--jobs", "2")

    assert set(quick.strategies) == {"dgst", "full", "static", "lora"}
    assert quick.protocol.steps < settings("--full").protocol.steps
    assert (quick.processes, quick.out) == (2, Path("build/quality-phantoms-quick"))


def test_what_is_asked_for_beside_holds():
    asked = settings("--full", "--shots", "3", "--steps", "7", "--strategies", "dgst", "--completeness", "marked")

    assert (asked.protocol.shots, asked.protocol.steps, asked.protocol.completeness) == ((3,), 7, ("marked",))
    assert list(chosen_entrants(asked.strategies, asked.factors)) == ["dgst", REFERENCE]


def test_of_another_models_own_domain_nothing_is_known():
    assert settings("--full", "--model", "some/folder").source is None
    assert settings("--full", "--model", "some/folder", "--source", "Dataset1").source == "Dataset1"
    assert settings("--full", "--source", "none").source is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere holds no annotated scan"),
        (
            ["--strategies", "magic"],
            "There is no strategy 'magic'; there are dgst, dgst-rms, dgst-paper",
        ),
        (["--model", "nowhere"], "The model nowhere does not exist"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(tmp_path, capsys, arguments, message):
    assert command.main(["--full", "--out", str(tmp_path), "--jobs", "1", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_report_alone_is_written_without_any_work(tmp_path, capsys):
    assert command.main(["--quick", "--out", str(tmp_path), "--jobs", "1", "--report-only"]) == 0
    assert "22 pieces of work" in capsys.readouterr().out
    assert "is not finished: 22 pieces" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_ideas_mean_validation_scans_only_at_five_cases():
    ideas = settings("--ideas", "--only", "adam", "--choosing-draws", "2")

    assert ideas.ideas and ideas.strategies == ("adam",)
    assert not ideas.protocol.tests
    assert (ideas.protocol.steps, ideas.protocol.shots, ideas.protocol.completeness) == (100, (5,), ("all",))
    assert (ideas.protocol.choosing_draws, ideas.out) == (2, Path("build/quality-ideas"))
    assert settings("--full").protocol.tests


def test_a_search_goes_on_in_no_other_benchmarks_folder(tmp_path, capsys):
    given = ["--out", str(tmp_path), "--jobs", "1", "--report-only"]
    assert command.main(["--ideas", *given]) == 0
    assert "pieces of work of about" in capsys.readouterr().out
    assert "This search is not finished" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert command.main(["--full", *given]) == 2
    assert "another purpose" in capsys.readouterr().err
