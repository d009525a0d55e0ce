"""A disk that takes no more is said, and what stood there before still stands."""

import gzip
import os
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.arrays import save_array
from DGSTSegmentLib.imaging.files import read_volume, write_volume

from ..conftest import files_of_at_most

pytest.importorskip("resource", reason="file size limits are a thing of Unix")

ENDINGS = [".nii.gz", ".nii", ".nrrd", ".mha"]
_SMALL = Volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4), Geometry.from_parts((2, 3, 4), (1, 1, 1)))
_LARGE = Volume(
    np.random.default_rng(0).integers(-1000, 1000, (30, 40, 50)).astype(np.int16),
    Geometry.from_parts((30, 40, 50), (1, 1, 1)),
)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_cannot_grow_is_refused_and_the_old_one_stays(ending, tmp_path):
    path = tmp_path / f"ct{ending}"
    write_volume(_SMALL, path)
    with files_of_at_most(40_000), pytest.raises(InputError, match="could not be written"):
        write_volume(_LARGE, path)
    np.testing.assert_array_equal(read_volume(path).array, _SMALL.array)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".nrrd", ".seg.nrrd", ".mha"])
@pytest.mark.parametrize("part", [0.0, 0.9])
def test_a_disk_that_takes_only_the_beginning_of_a_small_file_is_refused(ending, part, tmp_path):
    """The C library hands over the last 4 kB when the file is closed, and nobody hears that it could not."""
    path = tmp_path / f"nodes{ending}"
    write_volume(_LARGE, path)
    size = path.stat().st_size
    write_volume(_SMALL, path)
    with files_of_at_most(int(part * size) // 4096 * 4096), pytest.raises(InputError, match="could not be written"):
        write_volume(_LARGE if part else _SMALL.with_array(_SMALL.array + 1), path)
    np.testing.assert_array_equal(read_volume(path).array, _SMALL.array)


@pytest.mark.parametrize("most", [0, 100])
def test_a_nifti_file_without_a_whole_header_is_said_to_be_the_disks_fault(most, tmp_path):
    with files_of_at_most(most), pytest.raises(InputError, match="the disk took only a part of it"):
        write_volume(_LARGE, tmp_path / "nodes.nii.gz")


def _raw_voxels(path):
    """The float32 voxels as they lie in the file; ITK would read those of a NIfTI file that are no numbers as 0."""
    if ".nii" not in path.name:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    return np.frombuffer(content[352:], "<f4")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_volume_with_voxels_that_are_no_numbers_is_written_as_it_is(ending, tmp_path):
    array = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    array[1, 2, 3] = np.nan
    write_volume(_SMALL.with_array(array), tmp_path / f"p{ending}")
    np.testing.assert_array_equal(_raw_voxels(tmp_path / f"p{ending}").reshape(array.shape), array)


@pytest.mark.parametrize("short", [1, 4096])
def test_an_array_that_the_disk_takes_only_a_part_of_is_refused(short, tmp_path):
    whole = tmp_path / "whole.npy"
    save_array(whole, _LARGE.array)
    np.testing.assert_array_equal(np.load(whole), _LARGE.array)
    with files_of_at_most(whole.stat().st_size - short), pytest.raises(OSError):
        save_array(tmp_path / "part.npy", _LARGE.array)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_is_refused_and_the_old_file_stays(ending, small_disk):
    path = small_disk / f"ct{ending}"
    write_volume(_SMALL, path)
    with pytest.raises(InputError, match="free some space or choose another folder, nothing was changed"):
        write_volume(_LARGE, path)
    np.testing.assert_array_equal(read_volume(path).array, _SMALL.array)
    assert list(small_disk.iterdir()) == [path]
