"""What the command line means, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from quality import command
from quality.entrants import FULL, LEARNING_RATE_FACTORS, MANY_DRAWS, REFERENCE, chosen_entrants
from quality.protocol import Protocol, cells, pieces
from quality.statistics import least_p

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import write_volume


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


def test_where_nobody_is_named_few_take_part_on_partly_annotated_cases_and_who_is_named_does_everywhere():
    def taking_part(names):
        cells_of = cells(Protocol(), chosen_entrants(names, LEARNING_RATE_FACTORS))
        return {(cell.entrant, cell.completeness) for cell in cells_of}

    unnamed = taking_part(None)
    assert {("random", "all"), ("bias", "all"), ("norm", "all"), ("dgst-paper", "all")} < unnamed
    assert {name for name, completeness in unnamed if completeness == "marked"} == {"dgst", "full", "static", "lora"}
    assert not {"head", "decoder"} & {name for name, _ in unnamed}
    assert taking_part(["head"]) == {(name, kind) for name in ("head", "full") for kind in ("all", "marked")}


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
        (["--model", "nowhere"], "nowhere does not exist"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(tmp_path, capsys, arguments, message):
    assert command.main(["--full", "--out", str(tmp_path), "--jobs", "1", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_report_alone_is_written_without_any_work(tmp_path, capsys):
    assert command.main(["--quick", "--out", str(tmp_path), "--jobs", "1", "--report-only"]) == 0
    assert "18 pieces of work" in capsys.readouterr().out
    assert "is not finished: 18 pieces of work are still" in page_in(tmp_path)


def test_without_a_scope_it_is_the_quick_one_and_says_so(tmp_path, capsys):
    assert command.main(["--out", str(tmp_path), "--jobs", "1", "--report-only"]) == 0

    told = capsys.readouterr()
    assert "so this is --quick" in told.err
    assert "18 pieces of work" in told.out


def test_what_a_part_of_the_full_benchmark_leaves_to_do_is_told_beside_what_is_left_of_the_part(tmp_path, capsys):
    part = ["--strategies", "full", "--shots", "5", "--completeness", "all"]
    assert command.main(["--full", *part, "--out", str(tmp_path), "--jobs", "1", "--report-only"]) == 0

    everyone = [name for names in FULL.values() for name in names]
    of_part, of_full = 2 + 6 + 10, 2 + 2 * sum(6 + (10 if name in MANY_DRAWS else 6) for name in everyone)
    assert f"{of_part} pieces of work of the last command and {of_full} of --full are still to be" in page_in(tmp_path)
    assert f"of all that --full does, {of_full} pieces are left" in capsys.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert (summary["missing"], summary["missing_of_full"]) == (of_part, of_full)


def page_in(folder):
    return " ".join((folder / "report.html").read_text(encoding="utf-8").split())


def test_the_quick_benchmark_has_little_to_do():
    quick = settings("--quick")
    scans = {
        "choose": quick.sizes.validation + quick.sizes.source_validation,
        "test": quick.sizes.test + quick.sizes.source_test,
    }
    todo = pieces(quick.protocol, chosen_entrants(quick.strategies, quick.factors))

    # A quarter of an hour on two slow cores is enough for this, and not for twice as much.
    assert {piece.stage for piece in todo} == {"choose", "test"}
    assert sum(quick.protocol.steps for piece in todo if piece.cell) <= 200
    assert sum(scans[piece.stage] for piece in todo) <= 60
    assert (quick.protocol.choosing_draws + quick.protocol.draws) * max(quick.protocol.shots) <= 15


def test_a_process_that_cannot_read_a_scan_says_so_in_a_sentence(tmp_path, capsys):
    folder = tmp_path / "data"
    folder.mkdir()
    geometry = Geometry.from_parts((4, 5, 6), (1.0, 1.0, 2.0))
    for n in range(4):
        (folder / f"{n}_ct.nii.gz").write_bytes(b"no scan")
        write_volume(Volume(np.ones((4, 5, 6), np.uint8), geometry), folder / f"{n}_gtv.nii.gz")
    given = settings("--quick", "--data", str(folder), "--source", "none", "--out", str(tmp_path / "out"))

    with pytest.raises(SystemExit) as end:
        command._work_alone(given, None)
    assert end.value.code == 2
    assert re.fullmatch(r"bench quality: .*_ct\.nii\.gz .*\n", capsys.readouterr().err)


def test_processes_that_end_early_are_named_with_how_they_ended():
    command._refuse_early_ends([0, 0])

    with pytest.raises(InputError) as told:
        command._refuse_early_ends([0, -9, 2])
    assert "process 2 was killed by SIGKILL" in str(told.value)
    assert "process 3 ended with exit code 2 for the reason above" in str(told.value)
    assert "process 1" not in str(told.value)


def test_a_killed_benchmark_leaves_no_process_at_work(tmp_path):
    benchmark = Path(command.__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, str(benchmark), "--quick", "--jobs", "2", "--device", "cpu", "--out", str(tmp_path)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, env=environment) as process:
        workers = until_started(psutil.Process(process.pid), 2)
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=240)
    for worker in alive:
        worker.kill()
    assert not alive


def until_started(parent: psutil.Process, count: int) -> list[psutil.Process]:
    """The processes that work for ``parent``, without multiprocessing's own."""
    for _ in range(600):
        children = [child for child in parent.children() if "spawn_main" in " ".join(child.cmdline())]
        if len(children) == count:
            return children
        time.sleep(0.1)
    raise AssertionError(f"no {count} processes were started")


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
