"""ITK gets paths that it can open, whatever folders and files are called; on Windows ASCII, told here without it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume, itk_paths
from DGSTSegmentLib.imaging.files import read_volume, write_volume

from .test_dicom import _HU, _write_series

ENDINGS = [".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha"]


@pytest.fixture
def windows(monkeypatch):
    """Windows with drives that keep no short names; a path beyond ASCII is none to ITK."""
    monkeypatch.setattr(itk_paths, "ON_WINDOWS", True)
    monkeypatch.setattr(itk_paths, "short_name", lambda folder: folder)

    def only_ascii(function):
        def guarded(*args, **kwargs):
            texts = [a for a in args if isinstance(a, str)]
            assert all(text.isascii() for text in texts), f"ITK does not find {texts}"
            return function(*args, **kwargs)

        return guarded

    for owner, name in ((sitk, "WriteImage"), (sitk, "ReadImage"), (sitk.ImageFileReader, "SetFileName")):
        monkeypatch.setattr(owner, name, only_ascii(getattr(owner, name)))
    for name in ("GetGDCMSeriesIDs", "GetGDCMSeriesFileNames"):
        function = getattr(sitk.ImageSeriesReader, name)
        monkeypatch.setattr(sitk.ImageSeriesReader, name, staticmethod(only_ascii(function)))
    return monkeypatch


@pytest.fixture
def umlaut(tmp_path):
    folder = tmp_path / "Müller"
    folder.mkdir()
    return folder


@pytest.fixture
def small():
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    return Volume(array, Geometry.from_parts(array.shape, (1, 1, 2)))


@pytest.mark.parametrize("name", ["ct", "Müller, CT 1.2.ü"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_volumes_are_written_and_read_by_a_copy_in_a_plain_folder(windows, umlaut, small, name, ending):
    path = umlaut / f"{name}{ending}"
    write_volume(small, path)
    np.testing.assert_array_equal(read_volume(path).array, small.array)
    assert [file.name for file in umlaut.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [*ENDINGS, ".mhd"])
def test_a_folder_with_a_short_name_takes_no_copy(windows, umlaut, small, tmp_path, ending):
    (tmp_path / "MLLER~1").symlink_to(umlaut)
    windows.setattr(itk_paths, "short_name", lambda folder: tmp_path / "MLLER~1")
    windows.setattr(itk_paths, "_plain_folder", None)
    path = umlaut / f"ct{ending}"
    if ending == ".mhd":
        sitk.WriteImage(sitk.GetImageFromArray(small.array), str(tmp_path / "MLLER~1" / path.name))
    else:
        write_volume(small, path)
    np.testing.assert_array_equal(read_volume(path).array, small.array)


def test_a_dicom_series_is_read_from_such_a_folder(windows, umlaut):
    _write_series(umlaut)
    np.testing.assert_array_equal(read_volume(umlaut).array, _HU)


def test_what_cannot_be_opened_is_refused_by_its_own_name(windows, umlaut, small, tmp_path):
    for name in ("ct.nrrd", "ct.mhd"):
        (umlaut / name).write_bytes(b"NRRD0004")
        with pytest.raises(InputError) as refusal:
            read_volume(umlaut / name)
        assert str(umlaut / name) in str(refusal.value) and "\n" not in str(refusal.value)
    windows.setattr(itk_paths.tempfile, "gettempdir", lambda: str(umlaut))
    windows.delenv("PROGRAMDATA", raising=False)
    with pytest.raises(InputError, match="plain names"):
        write_volume(small, umlaut / "new.nrrd")
    assert not (umlaut / "new.nrrd").exists()


@pytest.fixture
def latin_1(tmp_path):
    """A name of a disk that was written before names were UTF-8."""
    name = os.fsdecode(b"M\xfcller")
    try:
        (tmp_path / name).mkdir()
    except (OSError, UnicodeError):
        pytest.skip("such a name cannot be had here")
    return name


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_name_that_is_not_utf_8_is_written_and_read_like_any_other(latin_1, small, tmp_path, ending):
    for folder in (tmp_path, tmp_path / latin_1):
        path = folder / f"{latin_1}{ending}"
        write_volume(small, path)
        np.testing.assert_array_equal(read_volume(path).array, small.array)


def test_a_dicom_series_of_files_with_such_names_is_read(latin_1, tmp_path):
    _write_series(tmp_path / latin_1)
    for n, file in enumerate(sorted((tmp_path / latin_1).iterdir())):
        file.rename(file.with_name(f"{latin_1}{n}"))
    (tmp_path / latin_1).rename(tmp_path / "series")
    np.testing.assert_array_equal(read_volume(tmp_path / "series").array, _HU)


def test_elsewhere_and_where_all_is_ascii_the_path_is_left_alone(monkeypatch, umlaut):
    monkeypatch.setattr(itk_paths, "short_name", None)
    assert itk_paths.openable(umlaut / "ct.nrrd") == umlaut / "ct.nrrd"
    monkeypatch.setattr(itk_paths, "ON_WINDOWS", True)
    assert itk_paths.openable(Path("C:/study/ct.nrrd")) == Path("C:/study/ct.nrrd")
