"""The study folder: cases come whole or not at all, nothing is lost, a fine-tuning takes what lies there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging.files import write_volume
from DGSTSegmentLib.networks.card import ModelCard
from DGSTSegmentLib.networks.description import CARD_FILE, Description
from DGSTSegmentLib.training.case import read_case
from DGSTSegmentLib.training.inputs import Fixed, Inputs
from DGSTSegmentLib.training.request import FinetuneRequest
from DGSTSegmentLib.training.run_files import FinetuneResult, RunRecord, read_record, write_record, write_result
from DGSTSegmentLib.training.study import ANNOTATION_FILE, IMAGE_FILE, REJECTED_FILE, Study, StudyCase, StudyRun

from ..conftest import tiny_case
from .conftest import PLAN


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path / "study")


@pytest.fixture
def writers():
    image, annotation = tiny_case(0)
    return {
        IMAGE_FILE: lambda path: write_volume(image, path),
        ANNOTATION_FILE: lambda path: write_volume(annotation, path, {1: "Lymph node 1"}),
    }


def fails(_path):
    raise OSError(28, "No space left on device")


def everything_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_study_that_is_only_looked_at_leaves_no_trace(study):
    assert study.cases() == [] and study.runs() == [] and study.model == "starter"
    assert not study.folder.exists()


def test_a_case_comes_back_as_it_was_added(study, writers):
    added = study.add(StudyCase("", "Chest CT, Ärzte", "all", marked=2), writers)
    assert study.cases() == [added]
    assert Study(study.folder).case(added.id) == added
    assert added.changed and added.changed_at > 0


def test_cases_keep_the_order_in_which_they_came(study, writers):
    names = ["b", "a", "b"]
    for name in names:
        study.add(StudyCase("", name, "all"), writers)
    assert [case.name for case in study.cases()] == ["b", "a", "b (2)"]
    assert len({case.id for case in study.cases()}) == 3


def test_a_fine_tuning_reads_what_the_study_gives_it(study, writers):
    image, annotation = tiny_case(0)
    low, high = image.geometry.corners().min(axis=0), image.geometry.corners().max(axis=0)
    case = StudyCase("", "chest", "region", boxes=[[*low, *high]], marked=2, rejected=1)
    study.add(case, {**writers, REJECTED_FILE: lambda path: write_volume(annotation, path)})
    files = study.case_files()[0]
    read = read_case(files)
    assert files.title == "chest"
    assert read.image.geometry.same_grid(image.geometry)
    assert (read.annotation.array == annotation.array).all()
    assert read.region.array.all()
    assert (read.rejected.array == (annotation.array > 0)).all()


def test_refusals_that_were_all_taken_back_are_not_learned_from(study, writers):
    _, annotation = tiny_case(0)
    added = study.add(
        StudyCase("", "chest", marked=2, rejected=1),
        {**writers, REJECTED_FILE: lambda path: write_volume(annotation, path)},
    )
    study.update(replace(added, rejected=0), {})
    assert study.case_files()[0].rejected is None


def test_a_case_whose_writing_fails_leaves_nothing_behind(study, writers):
    with pytest.raises(InputError, match="No space left on device"):
        study.add(StudyCase("", "chest"), {**writers, REJECTED_FILE: fails})
    assert study.cases() == []
    assert everything_in(study.folder) == ["study.json"]


@pytest.mark.parametrize("way", ["add", "update"])
def test_a_cases_files_are_on_the_disk_before_they_get_their_names(study, monkeypatch, way):
    """After a power cut a file with its name and without its content would stand in the place of the old one."""
    on_disk, renamed, sync, rename = {}, {}, os.fsync, os.replace

    def note_synced(descriptor):
        sync(descriptor)
        status = os.fstat(descriptor)
        on_disk[status.st_ino] = status.st_size

    def note_renamed(source, target):
        source = Path(source)
        for file in source.iterdir() if source.is_dir() else [source]:
            renamed[file.name.removeprefix(".partial-")] = on_disk.get(file.stat().st_ino) == file.stat().st_size
        rename(source, target)

    added = study.add(StudyCase("", "chest"), {}) if way == "update" else StudyCase("", "chest")
    monkeypatch.setattr(os, "fsync", note_synced)
    monkeypatch.setattr(os, "replace", note_renamed)
    writers = {name: lambda path: path.write_bytes(b"voxels") for name in (IMAGE_FILE, ANNOTATION_FILE)}
    getattr(study, way)(added, writers)
    renamed.pop("study.json", None)
    assert renamed == {IMAGE_FILE: True, ANNOTATION_FILE: True, "case.json": True}


def test_an_update_that_fails_leaves_the_old_case_untouched(study, writers):
    added = study.add(StudyCase("", "chest", marked=2), writers)
    before = {name: (study.folder / name).read_bytes() for name in everything_in(study.folder)}
    other, _ = tiny_case(1)
    with pytest.raises(InputError, match="No space left on device"):
        study.update(
            replace(added, marked=9), {IMAGE_FILE: lambda path: write_volume(other, path), ANNOTATION_FILE: fails}
        )
    assert {name: (study.folder / name).read_bytes() for name in everything_in(study.folder)} == before


def test_a_removed_case_is_kept_aside_and_its_number_not_given_again(study, writers):
    first = study.add(StudyCase("", "chest", "all"), writers)
    place = study.remove(first.id)
    assert study.cases() == [] and (place / IMAGE_FILE).exists()
    assert study.add(StudyCase("", "chest", "all"), writers).id != first.id


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (StudyCase("", "chest", "some"), "marked, region, all, not 'some'"),
        (StudyCase("", "chest", "region"), "there is none; place the box"),
    ],
)
def test_a_case_that_says_nothing_usable_is_refused(study, writers, case, said):
    with pytest.raises(InputError, match=said):
        study.add(case, writers)
    assert not study.folder.exists()


def test_a_case_that_is_gone_is_said_when_it_is_updated(study, writers):
    added = study.add(StudyCase("", "chest", "all"), writers)
    study.remove(added.id)
    with pytest.raises(InputError, match="is gone"):
        study.update(added, {})


@pytest.mark.parametrize("text", ["{", "[]", '{"completeness": "all"}'])
def test_a_damaged_description_is_said_with_its_file(study, writers, text):
    added = study.add(StudyCase("", "chest", "all"), writers)
    (study.case_folder(added.id) / "case.json").write_text(text)
    with pytest.raises(InputError, match=r"case\.json"):
        study.cases()


def test_the_current_model_moves_with_the_study(study, tmp_path):
    run = study.new_run_folder()
    study.model = str(run)
    assert study.model == str(run)
    moved = tmp_path / "elsewhere"
    study.folder.rename(moved)
    assert Study(moved).model == str(moved / "runs" / run.name)
    study = Study(moved)
    study.model = "starter"
    assert Study(moved).model == "starter"


BEGUN = 1_000_000_000.25


def record(folder):
    """What a run on no case was begun with, long before its files were written."""
    request = FinetuneRequest("starter", [], str(folder), name="Adapted model 1")
    fixed = Fixed(1, "cpu", "fp32", 2, *["1.0"] * 5)
    return RunRecord(request, fixed, Inputs(base="abc", plan={}, cases=(), held_out=()), BEGUN)


def result(stopped):
    return FinetuneResult("model", 3, stopped, None, 0.5, {}, [])


def test_going_on_with_a_kept_run_leaves_its_model_as_it_is(study):
    run = study.new_run_folder()
    (run / "cache").mkdir(parents=True)
    for name in ("card.json", "delta.safetensors", "checkpoint.safetensors", "cache/0.npy"):
        (run / name).write_text(name)
    write_result(run, result(stopped=True))
    write_record(run, record(run))
    before = {name: (run / name).read_bytes() for name in everything_in(run)}
    fork = study.fork_run(StudyRun(run.name, run, None, resumable=True, begun=BEGUN))
    assert everything_in(fork) == ["cache/0.npy", "checkpoint.safetensors", "request.json"]
    stored = read_record(fork)
    assert (stored.fixed, stored.begun) == (record(run).fixed, BEGUN)
    assert (stored.request.out, stored.request.name) == (str(fork), "Adapted model 2")
    assert {name: (run / name).read_bytes() for name in everything_in(run)} == before


def test_a_study_keeps_its_id_wherever_it_is_moved(study, writers, tmp_path):
    assert study.key == ""
    study.add(StudyCase("", "chest", "all"), writers)
    key = study.key
    study.model = "starter"
    study.folder.rename(tmp_path / "moved")
    assert key and Study(tmp_path / "moved").key == key


def test_runs_tell_whether_they_can_go_on(study):
    cut_off, stopped, finished = (study.folder / "runs" / f"{n:04}" for n in (1, 2, 3))
    for folder, ended in ((cut_off, None), (stopped, result(stopped=True)), (finished, result(stopped=False))):
        folder.mkdir(parents=True)
        write_record(folder, record(folder))
        if ended is not None:
            write_result(folder, ended)
    assert [run.resumable for run in study.runs()] == [True, True, False]
    assert [run.begun for run in study.runs()] == [BEGUN] * 3
    assert study.new_run_folder().name == "0004"
    study.remove_run("0003")
    assert study.new_run_folder().name == "0004"


@pytest.mark.parametrize("file", ["request.json", "result.json"])
@pytest.mark.parametrize("text", ["{", "[]", "{}", "3"])
def test_a_damaged_file_of_a_run_hides_neither_it_nor_the_others(study, file, text):
    damaged, whole = (study.folder / "runs" / f"{n:04}" for n in (1, 2))
    for folder in (damaged, whole):
        folder.mkdir(parents=True)
        write_record(folder, record(folder))
        write_result(folder, result(stopped=True))
        (folder / CARD_FILE).write_text(Description(ModelCard(folder.name), PLAN, {}).to_text())
    (damaged / file).write_text(text)
    assert [run.card.name for run in study.runs()] == ["0001", "0002"]
    assert [run.resumable for run in study.runs()] == [False, True]
    assert [run.begun for run in study.runs()] == [0.0 if file == "request.json" else BEGUN, BEGUN]


def test_cases_of_one_name_are_told_apart_by_a_number(study, writers):
    names = [study.add(StudyCase("", "4: Thorax"), writers).name for _ in range(3)]
    assert names == ["4: Thorax", "4: Thorax (2)", "4: Thorax (3)"]
    assert [case.name for case in study.cases()] == names


def test_a_renamed_case_stays_where_runs_look_for_it_and_as_it_was(study, writers):
    """Runs know a case by the paths of its files, and whether it was changed by what is in them."""
    case = study.add(StudyCase("", "4: Thorax"), writers)
    before = study.case_files()[0]
    renamed = study.rename(case.id, " Patient 7 ")
    assert renamed == study.cases()[0] == replace(case, name="Patient 7")
    assert study.case_files()[0] == replace(before, name="Patient 7")


def test_a_name_that_another_case_has_and_none_are_refused(study, writers):
    first, second = (study.add(StudyCase("", name), writers) for name in ("one", "two"))
    with pytest.raises(InputError, match="Another case is called one"):
        study.rename(second.id, "one")
    with pytest.raises(InputError, match="Type a name"):
        study.rename(second.id, "  ")
    with pytest.raises(InputError, match="is gone"):
        study.rename("0009-x", "three")
    assert [case.name for case in study.cases()] == ["one", "two"]
    assert study.rename(first.id, "one") == first
