from __future__ import annotations

import os

import numpy as np
import pytest

from DGSTSegmentLib.cli.outputs import VOLUME_ENDINGS, file_path, new_folder, table_path, volume_path
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import write_volume
from DGSTSegmentLib.training.request import PredictRequest


@pytest.mark.parametrize("ending", VOLUME_ENDINGS)
def test_every_ending_that_is_let_through_can_be_written(tmp_path, ending):
    path = volume_path(str(tmp_path / f"seg{ending}"))
    write_volume(Volume(np.zeros((2, 3, 4), np.uint8), Geometry.from_parts((2, 3, 4), (1, 1, 1))), path)
    assert os.path.getsize(path) > 0


@pytest.mark.parametrize(
    ("name", "words"),
    [("seg.png", "ending"), ("seg", "ending"), ("none/seg.nii.gz", "no folder"), ("dir.nii.gz", "is a folder")],
)
def test_a_path_that_cannot_be_written_is_refused_before_work_begins(tmp_path, name, words):
    (tmp_path / "dir.nii.gz").mkdir()
    with pytest.raises(InputError, match=words):
        volume_path(str(tmp_path / name))


def test_a_table_never_takes_the_place_of_a_volume(tmp_path):
    for name in ("keep.nii.gz", "findings"):
        with pytest.raises(InputError, match=r"no ending of a table; name it \.csv, \.tsv or \.txt"):
            table_path(str(tmp_path / name))
    assert table_path(str(tmp_path / "F.CSV")) == str(tmp_path / "F.CSV")
    if os.name != "nt":
        (tmp_path / "link.csv").symlink_to("keep.nii.gz")
        with pytest.raises(InputError, match=r"keep\.nii\.gz has no ending of a table"):
            table_path(str(tmp_path / "link.csv"))


def test_an_input_is_never_overwritten_however_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "ct.nii.gz").touch()
    names = ["ct.nii.gz", "./ct.nii.gz"]
    if os.name != "nt":  # where links are a privilege
        os.symlink(tmp_path / "ct.nii.gz", tmp_path / "link.nii.gz")
        names.append("link.nii.gz")
    monkeypatch.chdir(tmp_path)
    for name in names:
        with pytest.raises(InputError, match="is an input"):
            volume_path(name, None, str(tmp_path / "ct.nii.gz"))
    assert file_path("other.csv", "ct.nii.gz") == str(tmp_path / "other.csv")


@pytest.mark.skipif(os.name == "nt", reason="links are a privilege there, and there are no pipes in folders")
def test_a_device_or_a_pipe_is_refused_and_a_link_is_followed(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "to_pipe.csv").symlink_to("pipe.csv")
    for path in (tmp_path / "pipe.csv", tmp_path / "to_pipe.csv", "/dev/null"):
        with pytest.raises(InputError, match="a device or a pipe"):
            file_path(str(path))
    (tmp_path / "elsewhere").mkdir()
    for there in (True, False):
        link = tmp_path / f"{there}.csv"
        link.symlink_to(tmp_path / "elsewhere" / link.name)
        if there:
            (tmp_path / "elsewhere" / link.name).touch()
        assert file_path(str(link)) == os.path.realpath(tmp_path / "elsewhere" / link.name)
    (tmp_path / "seg.nrrd").symlink_to(tmp_path / "elsewhere" / "blob")
    with pytest.raises(InputError, match=r"is a link to .*blob, which has no ending of a volume"):
        volume_path(str(tmp_path / "seg.nrrd"))


def test_two_results_never_go_to_one_file_though_neither_is_there_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="would be overwritten"):
        volume_path("seg.nrrd", "ct.nii.gz", str(tmp_path / "seg.nrrd"))
    request = PredictRequest("starter", "ct.nii.gz", "seg.nrrd", probability=str(tmp_path / "seg.nrrd"))
    with pytest.raises(InputError, match="one file .*give each its own"):
        request.validate()


def test_a_new_folder_may_be_missing_or_empty_but_hold_nothing(tmp_path):
    assert new_folder(str(tmp_path / "a" / "b")) == str(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="other files"):
        new_folder(str(tmp_path))
    with pytest.raises(InputError, match="is a file"):
        new_folder(str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot be written"):
        new_folder(str(tmp_path / "file" / "in"))
