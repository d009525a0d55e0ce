from __future__ import annotations

import os
import time

import pytest

from DGSTSegmentLib.cli.names import file_stem, images_of, scan_name, work_of
from DGSTSegmentLib.errors import InputError


@pytest.fixture
def results(tmp_path):
    """Names of the results of CTs at these places; nothing is there."""

    def names(*places, folder="out"):
        (tmp_path / folder).mkdir(exist_ok=True)
        images = [str(tmp_path / place) for place in places]
        work = work_of(images, {"out": str(tmp_path / folder)})
        assert [one.image for one in work] == images
        return [os.path.basename(one.paths["out"]).removesuffix(".nii.gz") for one in work]

    return names


@pytest.mark.parametrize("name", ["ct.nii.gz", "ct.NII", "ct.seg.nrrd", "ct.nrrd", "ct.nhdr", "ct.mha", "ct.mhd", "ct"])
def test_every_ending_that_is_read_is_no_part_of_a_name(name):
    assert file_stem(name) == "ct"


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (("a_0000.nii.gz", "b_0000.nii.gz"), ["a", "b"]),
        (("a_0000.nii.gz", "b_0001.nii.gz"), ["a_0000", "b_0001"]),
        (("a_0000.nii.gz", "b.nii.gz"), ["a_0000", "b"]),
        (("_0000.nii.gz",), ["_0000"]),
        (("one/ct.nii.gz", "two/ct.nrrd"), ["one_ct", "two_ct"]),
        (("one/ct.nii.gz", "two/CT.nii.gz"), ["one_ct", "two_CT"]),
        ((".ct.nii.gz", ".one/s/ct.mhd", ".two/s/ct.mhd"), ["ct", "one_s_ct", "two_s_ct"]),
        (("phase:1.nii.gz", r"back\slash.mha"), ["phase_1", "back_slash"]),
        (("series",), ["series"]),
    ],
)
def test_results_are_called_as_their_cts_by_as_much_of_the_path_as_is_needed(results, places, names):
    if os.name == "nt" and any(set(":\\") & set(place) for place in places):
        pytest.skip("no names there")
    assert results(*places) == names


@pytest.mark.parametrize("places", [("ct.nrrd", "ct.nii.gz"), ("a_0000.nii.gz", "A_0000.mha"), ("x/b", "y/b", "x_b")])
def test_two_cts_of_one_name_are_both_told(results, tmp_path, places):
    with pytest.raises(InputError, match="would both be called") as told:
        results(*places)
    assert all(str(tmp_path / place) in str(told.value) for place in (places[0], places[-1]))


def test_a_result_takes_the_place_of_no_ct_however_that_is_written(results, tmp_path):
    with pytest.raises(InputError, match="is an input or another result too"):
        results("out/CT.nii.gz", "scans/b.nii.gz")


def test_paths_are_the_same_however_they_are_written(tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "ct.nii.gz").touch()
    monkeypatch.chdir(tmp_path)
    assert images_of(["scans/../scans/./ct.nii.gz"]) == [str(tmp_path / "scans" / "ct.nii.gz")]
    with pytest.raises(InputError, match="is named twice"):
        images_of(["scans/ct.nii.gz", "./scans/../scans/ct.nii.gz"])


def test_thousands_of_cts_are_prepared_at_once(results):
    began = time.process_time()
    names = results(*(f"patient{n}/study/ct_0000.nii.gz" for n in range(2000)))
    assert names[-1] == "patient1999_study_ct" and len(set(names)) == 2000
    assert time.process_time() - began < 5
    assert scan_name("ct_0000.nii.gz") == "ct"
