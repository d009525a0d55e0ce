"""Whatever is wrong with a file is said in one sentence that names it."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume, itk
from DGSTSegmentLib.imaging.files import read_ct, read_segmentation, read_volume, write_volume

BINARY_FORMATS = [".nii.gz", ".nii", ".nrrd", ".mha"]
_CT = Volume(
    np.random.default_rng(0).integers(-1000, 1000, (10, 20, 30)).astype(np.int16),
    Geometry.from_parts((10, 20, 30), (1, 1, 2)),
)


def _refusal(path, read=read_volume) -> str:
    with pytest.raises(InputError) as refusal:
        read(path)
    sentence = str(refusal.value)
    assert sentence.count(str(path)) == 1
    assert "\n" not in sentence and "0x" not in sentence
    return sentence


@pytest.mark.parametrize("name", ["nowhere.nii.gz", "nowhere/at/all", "nowhere.txt"])
def test_a_missing_file(name, tmp_path):
    assert "There is no file or folder" in _refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["notes.txt", "picture.png", "noending"])
def test_a_file_of_another_kind(name, tmp_path):
    (tmp_path / name).write_text("hello")
    assert "is not a volume that can be read; give a file ending in .nii.gz" in _refusal(tmp_path / name)


@pytest.mark.parametrize("ending", BINARY_FORMATS)
@pytest.mark.parametrize("content", [b"", b"hello", bytes(2000)], ids=["empty", "text", "zeros"])
def test_a_file_that_is_not_what_its_name_says(ending, content, tmp_path):
    (tmp_path / f"ct{ending}").write_bytes(content)
    assert "could not be read as a volume" in _refusal(tmp_path / f"ct{ending}")


@pytest.mark.parametrize("ending", BINARY_FORMATS)
@pytest.mark.parametrize("kept", [0.6, 0.99])
def test_a_truncated_file(ending, kept, tmp_path):
    path = tmp_path / f"ct{ending}"
    write_volume(_CT, path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert ("truncated" if ".nii" in ending else "could not be read") in _refusal(path)


def test_a_compressed_file_with_a_flipped_bit_fails_its_checksum(tmp_path):
    large = np.tile(_CT.array, (4, 4, 4))
    write_volume(Volume(large, Geometry(large.shape, _CT.geometry.ijk_to_world)), tmp_path / "ct.nii")
    content = bytearray(gzip.compress((tmp_path / "ct.nii").read_bytes(), compresslevel=0))
    content[len(content) // 2] ^= 1
    (tmp_path / "ct.nii.gz").write_bytes(content)
    assert "truncated or damaged" in _refusal(tmp_path / "ct.nii.gz")


@pytest.fixture
def compressed_file(tmp_path, request):
    """A large compressed volume; a header of its own has its voxels beside it."""
    large = np.random.default_rng(0).integers(-1000, 1000, (40, 50, 60)).astype(np.int16)
    path = tmp_path / f"ct{request.param}"
    sitk.WriteImage(sitk.GetImageFromArray(large), str(path), True)
    beside = [other for other in tmp_path.iterdir() if other != path]
    np.testing.assert_array_equal(read_volume(path).array, large)
    return path, (beside or [path])[0]


@pytest.mark.parametrize("compressed_file", [".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"], indirect=True)
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("damage", ["a flipped bit", "zeros"])
def test_a_compressed_file_of_any_format_that_is_damaged_inside_is_refused(compressed_file, place, damage):
    path, voxels = compressed_file
    content = bytearray(voxels.read_bytes())
    at = int(place * len(content))
    content[at : at + 4096] = (
        bytes(4096) if damage == "zeros" else bytes([content[at] ^ 4]) + content[at + 1 : at + 4096]
    )
    voxels.write_bytes(content)
    assert "damaged" in _refusal(path)


@pytest.mark.parametrize("compressed_file", [".nrrd", ".mha"], indirect=True)
def test_a_compressed_file_with_voxels_for_fewer_slices_than_it_says_is_refused(compressed_file):
    path, _ = compressed_file
    said = path.read_bytes().replace(b"60 50 40\n", b"60 50 41\n", 1)
    path.write_bytes(said)
    assert "damaged" in _refusal(path)


@pytest.mark.parametrize("compressed_file", [".nhdr"], indirect=True)
def test_compressed_voxels_in_several_files_are_refused(compressed_file):
    header, voxels = compressed_file
    text = header.read_text().replace(f"data file: {voxels.name}", f"data file: LIST 3\n{voxels.name}")
    header.write_text(text)
    assert "in several files" in _refusal(header)


@pytest.mark.parametrize("compressed_file", [".nhdr"], indirect=True)
def test_lines_before_compressed_voxels_are_not_taken_for_damage(compressed_file):
    header, voxels = compressed_file
    expected = read_volume(header).array
    voxels.write_bytes(b"a line\n" + voxels.read_bytes())
    header.write_text(header.read_text().replace("encoding: gzip\n", "encoding: gzip\nline skip: 1\n"))
    np.testing.assert_array_equal(read_volume(header).array, expected)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_a_compressed_file_in_several_members_is_whole(ending, tmp_path):
    """As parallel compressors write it; in a NRRD only the voxels are compressed."""
    sitk.WriteImage(itk.to_itk(_CT), str(tmp_path / f"ct{ending.removesuffix('.gz')}"))
    content = (
        (tmp_path / f"ct{ending.removesuffix('.gz')}").read_bytes().replace(b"encoding: raw", b"encoding: gzip", 1)
    )
    header = content[: content.index(b"\n\n") + 2] if ending == ".nrrd" else b""
    voxels = content[len(header) :]
    parts = [header, gzip.compress(voxels[:5000]), gzip.compress(voxels[5000:])]
    (tmp_path / f"parts{ending}").write_bytes(b"".join(parts))
    np.testing.assert_array_equal(read_volume(tmp_path / f"parts{ending}").array, _CT.array)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_voxels_that_compress_to_next_to_nothing_are_whole(ending, tmp_path):
    empty = Volume(np.zeros((30, 300, 400), np.int16), Geometry.from_parts((30, 300, 400), (1, 1, 2)))
    write_volume(empty, tmp_path / f"empty{ending}")
    assert not read_volume(tmp_path / f"empty{ending}").array.any()


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_two_and_four_dimensions(ending, tmp_path):
    image = sitk.GetImageFromArray(_CT.array)
    sitk.WriteImage(image[:, :, 0], str(tmp_path / f"slice{ending}"))
    sitk.WriteImage(sitk.JoinSeries([image, image]), str(tmp_path / f"series{ending}"))
    assert "has 2 dimensions (30 x 20)" in _refusal(tmp_path / f"slice{ending}")
    assert "has 4 dimensions (30 x 20 x 10 x 2)" in _refusal(tmp_path / f"series{ending}")
    assert "has 4 dimensions" in _refusal(tmp_path / f"series{ending}", read_segmentation)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite(value, dtype, ending, tmp_path):
    array = _CT.array.astype(dtype)
    array[5, 1, :2] = value
    path = tmp_path / f"ct{ending}"
    write_volume(_CT.with_array(array), path)
    for read in (read_volume, read_ct, read_segmentation):
        assert "holds 2 voxels that are infinite or no numbers" in _refusal(path, read)


def test_voxels_that_are_not_finite_in_the_other_byte_order(tmp_path):
    path = tmp_path / "ct.nii"
    array = _CT.array.astype(np.float32)
    array[5, 1, :2] = np.nan
    write_volume(_CT.with_array(array), path)
    path.write_bytes(_with_bytes_swapped(path.read_bytes()))
    assert "holds 2 voxels" in _refusal(path)


def _with_bytes_swapped(nifti: bytes) -> bytes:
    """A little-endian NIfTI-1 file of single-precision voxels as a big-endian machine writes it."""
    fields = "i10s18sihcB8h3f4h8f3fhcB4f2i80s24s2h6f4f4f4f16s4s4s"
    header = struct.pack(f">{fields}", *struct.unpack(f"<{fields}", nifti[:352]))
    return header + np.frombuffer(nifti[352:], "<f4").astype(">f4").tobytes()


def test_several_values_a_voxel(tmp_path):
    image = sitk.GetImageFromArray(_CT.array)
    path = tmp_path / "colour.nrrd"
    sitk.WriteImage(sitk.Compose(image, image, image), str(path))
    assert "holds 3 values a voxel" in _refusal(path)
    assert "no description of its segments" in _refusal(path, read_segmentation)


@pytest.mark.parametrize(
    "directions", ["(1,0,0) (1,0,0) (0,0,1)", "(1,0,0) (0,0,0) (0,0,1)", "(1e-9,0,0) (0,1e-9,0) (0,0,1e-9)"]
)
def test_a_nrrd_whose_axes_span_no_space(directions, tmp_path):
    header = (
        "NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n"
        f"space directions: {directions}\nencoding: raw\nspace origin: (0,0,0)\n\n"
    )
    path = tmp_path / "flat.nrrd"
    path.write_bytes(header.encode() + bytes(8))
    _refusal(path)


@pytest.mark.parametrize(
    "rows", [[[0, 0, 0, 0]] * 3, [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]], ids=["zero", "an axis without length"]
)
def test_a_nifti_whose_axes_span_no_space(rows, tmp_path):
    path = tmp_path / "flat.nii"
    write_volume(_CT, path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<hh12f", content, 252, 0, 1, *[0.0] * 12)
    struct.pack_into("<12f", content, 280, *np.ravel(rows))
    path.write_bytes(content)
    assert "could not be read as a volume" in _refusal(path)


def test_a_segmentation_is_a_file(tmp_path):
    assert "is a folder; a segmentation is a file" in _refusal(tmp_path, read_segmentation)
    assert "DICOM SEG and RTSTRUCT are not read" in _refusal(tmp_path, read_segmentation)


def test_a_single_dicom_slice(tmp_path):
    (tmp_path / "slice").write_bytes(bytes(128) + b"DICM" + bytes(50))
    assert "is a single DICOM file; give the folder" in _refusal(tmp_path / "slice")


@pytest.mark.parametrize("name", ["seg.png", "seg.mhd", "seg", "seg.gz"])
def test_writing_to_an_unknown_ending(name, tmp_path):
    assert "has no ending that can be written" in _refusal(tmp_path / name, lambda path: write_volume(_CT, path))
    assert list(tmp_path.iterdir()) == []


def test_writing_into_a_folder_that_is_not_there(tmp_path):
    path = tmp_path / "nowhere" / "seg.nii.gz"
    assert "there is no folder" in _refusal(path, lambda path: write_volume(_CT, path))


def test_writing_axes_that_nifti_cannot_hold(tmp_path):
    matrix = np.eye(4)
    matrix[0, 2] = 0.2
    sheared = Volume(_CT.array, Geometry(_CT.geometry.shape, matrix))
    path = tmp_path / "tilted.nii.gz"
    assert "not perpendicular; name it .nrrd" in _refusal(path, lambda path: write_volume(sheared, path))
    write_volume(sheared, tmp_path / "tilted.nrrd")
    assert read_volume(tmp_path / "tilted.nrrd").geometry.same_grid(sheared.geometry)
