"""What is written is what is read, in the same place in the world."""

import logging

import numpy as np
import pytest
import SimpleITK as sitk

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import notes_on_ct, read_ct, read_segmentation, read_volume, write_volume

LARGE = r"1e\+12" if np.lib.NumpyVersion(np.__version__) >= "2.3.0" else "1000000000000"
"""As numpy writes 1e12 in single precision; Python 3.10 has an older one."""

ENDINGS = [".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_voxels_and_place_survive_a_round_trip(volume, ending, tmp_path):
    write_volume(volume, tmp_path / f"ct{ending}")
    back = read_volume(tmp_path / f"ct{ending}")
    np.testing.assert_array_equal(back.array, volume.array)
    assert back.array.dtype == volume.array.dtype
    assert back.geometry.same_grid(volume.geometry, tolerance_mm=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_nifti_keeps_large_oblique_grids_to_a_thousandth_of_a_millimetre(seed, tmp_path):
    """NIfTI stores the place in single precision; the far corner of a large scan shows what that costs."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    geometry = Geometry.from_parts((2, 512, 512), rng.uniform(0.3, 1.5, 3), rng.uniform(-1500, 1500, 3), turn)
    write_volume(Volume(np.zeros(geometry.shape, np.uint8), geometry), tmp_path / "ct.nii.gz")
    assert read_volume(tmp_path / "ct.nii.gz").geometry.same_grid(geometry, tolerance_mm=1e-3)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_every_kind_of_number_keeps_its_values(dtype, ending, tmp_path):
    array = np.random.default_rng(0).integers(0, 2, (3, 4, 5)).astype(dtype)
    write_volume(Volume(array, Geometry.from_parts(array.shape, (1, 1, 2))), tmp_path / f"a{ending}")
    back = read_volume(tmp_path / f"a{ending}").array
    assert back.dtype == (np.uint8 if dtype is bool else dtype)
    np.testing.assert_array_equal(back, array)


def test_a_volume_of_one_slice_is_a_volume(tmp_path):
    one_slice = Volume(np.ones((1, 4, 5), np.int16), Geometry.from_parts((1, 4, 5), (1, 1, 3)))
    write_volume(one_slice, tmp_path / "one.nii.gz")
    assert read_volume(tmp_path / "one.nii.gz").geometry.same_grid(one_slice.geometry)


def test_a_header_in_another_file_is_read(volume, tmp_path):
    image = sitk.GetImageFromArray(volume.array)
    sitk.WriteImage(image, str(tmp_path / "ct.mhd"))
    np.testing.assert_array_equal(read_volume(tmp_path / "ct.mhd").array, volume.array)


def test_a_nrrd_in_ras_lies_where_it_says(tmp_path):
    header = (
        "NRRD0004\ntype: uchar\ndimension: 3\nspace: right-anterior-superior\nsizes: 2 3 4\n"
        "space directions: (2,0,0) (0,2,0) (0,0,5)\nkinds: domain domain domain\nencoding: raw\n"
        "space origin: (10,20,30)\n\n"
    )
    (tmp_path / "ras.nrrd").write_bytes(header.encode() + bytes(24))
    geometry = read_volume(tmp_path / "ras.nrrd").geometry
    np.testing.assert_allclose(geometry.to_world([0, 0, 0]), (-10, -20, 30))
    np.testing.assert_allclose(geometry.to_world([1, 1, 1]), (-12, -22, 35))


def test_writing_replaces_and_leaves_nothing_else_behind(volume, tmp_path):
    for number in (1, 2):
        write_volume(volume.with_array(np.full_like(volume.array, number)), tmp_path / "ct.nii.gz")
    assert (read_volume(tmp_path / "ct.nii.gz").array == 2).all()
    assert [path.name for path in tmp_path.iterdir()] == ["ct.nii.gz"]


def test_labels_stored_as_floats_become_small_integers(tmp_path):
    array = np.array([0, 1, 7, 300], dtype=np.float64).reshape(1, 2, 2)
    write_volume(Volume(array, Geometry.from_parts((1, 2, 2), (1, 1, 1))), tmp_path / "seg.nii.gz")
    labels = read_segmentation(tmp_path / "seg.nii.gz").array
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, array)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-1000, 1200, None), (0, 255, "between 0 and 255"), (0, 3000, "No value is below 0"), (7, 7, "same value")],
)
def test_a_volume_unlike_a_ct_is_noted_and_not_refused(low, high, said, tmp_path, caplog):
    array = np.linspace(low, high, 24).reshape(2, 3, 4).astype(np.int16)
    path = tmp_path / "ct.nii.gz"
    write_volume(Volume(array, Geometry.from_parts(array.shape, (1, 1, 1))), path)
    with caplog.at_level(logging.WARNING):
        notes = notes_on_ct(read_ct(path))
    assert [said in note for note in notes] == ([True] if said else [])
    assert (str(path) in caplog.text) == bool(said)


@pytest.mark.parametrize(("value", "shown"), [(-3, "-3"), (0.5, "0.5"), (1e12, LARGE), (0.99999994, "0.99999994")])
def test_an_image_is_not_taken_for_a_segmentation(value, shown, tmp_path):
    array = np.ones((2, 3, 4), np.float32)
    array[0, 0, 0] = value
    write_volume(Volume(array, Geometry.from_parts(array.shape, (1, 1, 1))), tmp_path / "seg.nii.gz")
    with pytest.raises(InputError, match=rf"seg\.nii\.gz is not a segmentation, it holds the value {shown};"):
        read_segmentation(tmp_path / "seg.nii.gz")
