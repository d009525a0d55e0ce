"""Too little memory is not put down to the file that is read or written."""

import pytest
import SimpleITK as sitk

from ..conftest import raised_with_little_memory


def _nifti(folder, header):
    """200 MB of zeros in a NIfTI file that takes no room on the disk."""
    content = header.read_bytes()[:352]
    path = folder / "ct.nii"
    path.write_bytes(content[:46] + (100).to_bytes(2, "little") + content[48:])
    with open(path, "rb+") as file:
        file.truncate(352 + 200_000_000)
    return path


def _metaimage(folder, header):
    path = folder / "ct.mhd"
    path.write_text(header.read_text().replace("1000 1000 1\n", "1000 1000 100\n"))
    with open(header.with_suffix(".raw"), "rb+") as file:
        file.truncate(200_000_000)
    return path


@pytest.mark.parametrize(
    ("make", "ending", "megabytes"),
    [(_metaimage, ".mhd", 100), (_nifti, ".nii", 100), (_nifti, ".nii", 300)],
    ids=["MetaImage", "NIfTI", "NIfTI, of which ITK needs two copies"],
)
def test_a_volume_that_memory_does_not_hold_is_not_called_damaged(make, ending, megabytes, tmp_path):
    header = tmp_path / f"slice{ending}"
    sitk.WriteImage(sitk.Image(1000, 1000, 1, sitk.sitkInt16), str(header))
    path = make(tmp_path, header)
    assert raised_with_little_memory(1000, "files.read_volume(path)", path) == "nothing"
    assert raised_with_little_memory(megabytes, "files.read_volume(path)", path) == "MemoryError"


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_a_volume_that_memory_does_not_hold_twice_is_not_put_down_to_the_disk(ending, tmp_path):
    """There is room for ITK's copy of the volume, but not to see whether all of it was written."""
    write = f"files.write_volume(zeros, path / 'ct{ending}')"
    assert raised_with_little_memory(150, write, tmp_path) == "MemoryError"
    assert list(tmp_path.iterdir()) == []
    assert raised_with_little_memory(1000, write, tmp_path) == "nothing"
