"""What a file leaves open about where its voxels lie is said, and what cannot be right is refused."""

import gzip
import logging
import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import (
    notes_on_ct,
    read_ct,
    read_segmentation,
    read_segments,
    read_volume,
    write_volume,
)
from DGSTSegmentLib.imaging.nifti_header import read_nifti_header

_CT = Volume(
    np.random.default_rng(0).integers(-1000, 1000, (10, 20, 30)).astype(np.int16),
    Geometry.from_parts((10, 20, 30), (1, 1, 2), (5, -7, 11)),
)
_NO_DIRECTIONS = "does not say how its voxels lie in the patient"


def _nifti(path, qform, sform, move=(0, 0, 0), shear=0.0, ct=_CT):
    """``ct`` with these codes of qform and sform, and an sform that is moved (mm) or sheared."""
    write_volume(ct, path)
    compressed = path.suffix == ".gz"
    content = bytearray(gzip.decompress(path.read_bytes()) if compressed else path.read_bytes())
    struct.pack_into("<2h", content, 252, qform, sform)
    rows = np.diag([-1, -1, 1, 1]) @ ct.geometry.ijk_to_world
    rows[:3, 3] += move
    rows[:3, 2] += [shear, 0, 0]
    struct.pack_into("<12f", content, 280, *rows[:3].ravel())
    path.write_bytes(gzip.compress(content) if compressed else content)
    return path


def _refusal(path, read=read_volume) -> str:
    with pytest.raises(InputError) as refusal:
        read(path)
    assert str(refusal.value).count(str(path)) == 1
    return str(refusal.value)


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1), (1, 2), (2, 1), (0, 2)])
def test_a_nifti_whose_forms_agree_is_read_without_a_word(codes, tmp_path):
    volume = read_ct(_nifti(tmp_path / "ct.nii", *codes))
    assert volume.geometry.same_grid(_CT.geometry) and notes_on_ct(volume) == []


@pytest.mark.parametrize("seed", range(20))
def test_the_forms_of_a_large_oblique_nifti_agree_in_spite_of_rounding(seed, tmp_path):
    """Near half a turn the quaternion in single precision knows its angle least."""
    rng = np.random.default_rng(seed)
    turn = Rotation.from_euler("xyz", [180, 0, 0] + rng.normal(0, 0.1, 3), degrees=True).as_matrix()
    geometry = Geometry.from_parts((2, 512, 512), (0.7, 0.7, 3), rng.uniform(-500, 500, 3), turn)
    large = Volume(np.zeros(geometry.shape, np.uint8), geometry)
    assert read_volume(_nifti(tmp_path / "ct.nii", 1, 1, ct=large)).notes == ()


@pytest.mark.parametrize("codes", [(1, 1), (2, 2)])
def test_two_forms_for_one_space_that_disagree_are_refused(codes, tmp_path):
    sentence = _refusal(_nifti(tmp_path / "ct.nii", *codes, move=(100, 0, 0)))
    assert "qform and sform are 100.0 mm apart" in sentence


@pytest.mark.parametrize("codes", [(1, 2), (1, 4), (2, 1)])
def test_forms_for_two_spaces_are_noted_with_the_one_that_was_taken(codes, tmp_path, caplog):
    path = _nifti(tmp_path / "ct.nii", *codes, move=(100, 0, 0))
    with caplog.at_level(logging.WARNING):
        volume = read_ct(path)
    by_qform = volume.geometry.same_grid(_CT.geometry)
    assert volume.geometry.origin[0] == pytest.approx(5 if by_qform else -95)
    assert f"100.0 mm apart; its {'qform' if by_qform else 'sform'} was taken" in notes_on_ct(volume)[0]
    assert str(path) in caplog.text


@pytest.mark.parametrize("codes", [(1, 1), (1, 2)])
def test_a_sheared_form_beside_a_straight_one_is_refused_as_a_tilted_gantry(codes, tmp_path):
    assert "tilted gantry" in _refusal(_nifti(tmp_path / "ct.nii", *codes, shear=0.6))


def _tilted(path, degrees):
    """A CT of labels, too, of which the sform alone says where it lies, sheared by an angle."""
    labels = _CT.with_array((_CT.array > 0).astype(np.uint8))
    return _nifti(path, 0, 1, shear=2 * np.tan(np.radians(degrees)), ct=labels)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("read", [read_volume, read_segmentation])
@pytest.mark.parametrize(("degrees", "said"), [(0.01, "0.01"), (0.05, "0.05"), (17, "17")])
def test_a_sheared_form_that_stands_alone_is_not_called_damaged(degrees, said, read, ending, tmp_path):
    sentence = _refusal(_tilted(tmp_path / f"ct{ending}", degrees), read)
    assert f"axes are not perpendicular but {said} degrees off" in sentence and "damaged" not in sentence
    assert sentence.endswith("resample the scan to a straight grid first.")


def test_a_sheared_form_that_itk_would_straighten_is_refused_beyond_the_tolerance_only(monkeypatch, tmp_path):
    monkeypatch.setenv("ITK_NIFTI_SFORM_PERMISSIVE", "YES")
    assert "not perpendicular" in _refusal(_tilted(tmp_path / "tilted.nii", 1))
    assert read_volume(_tilted(tmp_path / "slightly.nii", 0.05)).geometry.same_grid(_CT.geometry, tolerance_mm=0.1)


def test_a_form_that_stands_alone_is_read_with_as_little_shear_as_itk_takes(tmp_path):
    assert read_volume(_tilted(tmp_path / "ct.nii", 0.005)).notes == ()


def test_a_nifti_without_a_form_is_noted(tmp_path):
    path = _nifti(tmp_path / "ct.nii", 0, 0)
    assert _NO_DIRECTIONS in notes_on_ct(read_ct(path))[0]


def _nrrd(path, *lines):
    """A volume of eight voxels with these lines in its header."""
    header = ["NRRD0004", "type: uchar", "dimension: 3", "sizes: 2 2 2", "encoding: raw", *lines]
    path.write_bytes("\n".join([*header, "", ""]).encode() + bytes(range(8)))
    return path


def _metaimage(path, *lines):
    header = ["ObjectType = Image", "NDims = 3", "BinaryData = True", *lines, "DimSize = 2 2 2"]
    header += ["ElementType = MET_UCHAR", "ElementDataFile = LOCAL", ""]
    path.write_bytes("\n".join(header).encode() + bytes(range(8)))
    return path


_DIRECTIONS = "space directions: (1,0,0) (0,1,0) (0,0,2)"
_SPACE = "space: left-posterior-superior"


@pytest.mark.parametrize(
    ("make", "lines", "noted"),
    [
        (_nrrd, [_SPACE, _DIRECTIONS], False),
        (_nrrd, ["space: RAS", _DIRECTIONS], False),
        (_nrrd, ["space: Left-Anterior-Superior", _DIRECTIONS], False),
        (_nrrd, ["space: 3D-right-handed", _DIRECTIONS], True),
        (_nrrd, ["space: 3D-left-handed", _DIRECTIONS], True),
        (_nrrd, ["space: scanner-xyz", _DIRECTIONS], True),
        (_nrrd, ["space dimension: 3", _DIRECTIONS], True),
        (_nrrd, ["spacings: 1 1 2"], True),
        (_metaimage, ["ElementSpacing = 1 1 2", "TransformMatrix = 1 0 0 0 1 0 0 0 1"], False),
        (_metaimage, ["ElementSpacing = 1 1 2"], True),
        (_metaimage, ["ElementSpacing: 1 1 2", "TransformMatrix: 1 0 0 0 1 0 0 0 1"], False),
    ],
)
def test_a_file_without_directions_is_noted_as_scan_and_as_segmentation(make, lines, noted, tmp_path, caplog):
    path = make(tmp_path / f"ct{'.nrrd' if make is _nrrd else '.mha'}", *lines)
    assert read_volume(path).geometry.spacing == (1, 1, 2)
    assert any(_NO_DIRECTIONS in note for note in notes_on_ct(read_volume(path))) == noted
    assert any(_NO_DIRECTIONS in note for note in read_segments(path).notes) == noted
    with caplog.at_level(logging.WARNING):
        read_segmentation(path)
    assert (f"{path}: The file" in caplog.text) == noted


@pytest.mark.parametrize(("make", "ending"), [(_nrrd, ".nrrd"), (_metaimage, ".mha")])
def test_a_file_without_the_size_of_its_voxels_is_refused(make, ending, tmp_path):
    assert "does not say how large its voxels are" in _refusal(make(tmp_path / f"ct{ending}"))


@pytest.mark.parametrize("size", [0.001, 1000])
def test_voxels_of_an_unlikely_size_are_noted(size, tmp_path):
    directions = f"space directions: ({size},0,0) (0,{size},0) (0,0,{size})"
    path = _nrrd(tmp_path / "ct.nrrd", _SPACE, directions)
    assert any("unlike a CT's; check their unit" in note for note in notes_on_ct(read_volume(path)))


def test_a_sheared_grid_is_noted_as_a_tilted_gantry():
    matrix = np.diag([1.0, 1.0, 2.0, 1.0])
    assert notes_on_ct(Volume(_CT.array, Geometry(_CT.array.shape, matrix))) == []
    matrix[1, 2] = 2 * np.tan(np.radians(15))
    (note,) = notes_on_ct(Volume(_CT.array, Geometry(_CT.array.shape, matrix)))
    assert "15.0 degrees off" in note and "tilted gantry" in note


def test_voxels_that_begin_within_the_header_are_refused(tmp_path):
    path = tmp_path / "ct.nii"
    write_volume(_CT, path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<f", content, 108, 0)
    path.write_bytes(content)
    assert "begin at byte 0, within its header" in _refusal(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_header_of_nifti_2_is_understood(order, tmp_path):
    """Some versions of ITK open such files."""
    header = bytearray(544)
    struct.pack_into(f"{order}i8s2h8q", header, 0, 540, b"n+2\0\r\n\x1a\n", 2, 8, 3, 2, 2, 2, 1, 1, 1, 1)
    struct.pack_into(f"{order}8d", header, 104, -1, 1, 2, 3, 0, 0, 0, 0)
    struct.pack_into(f"{order}q", header, 168, 544)
    struct.pack_into(f"{order}2i6d", header, 344, 1, 2, 0, 0, 1, 5, 6, 7)
    struct.pack_into(f"{order}12d", header, 400, *range(12))
    (tmp_path / "ct.nii").write_bytes(header)
    read = read_nifti_header(tmp_path / "ct.nii")
    assert (read.byte_order, read.offset, read.lowest_offset) == (order, 544, 544)
    assert (read.qform_code, read.sform_code) == (1, 2)
    np.testing.assert_array_equal(read.qform, [[-1, 0, 0, 5], [0, -2, 0, 6], [0, 0, -3, 7], [0, 0, 0, 1]])
    np.testing.assert_array_equal(read.sform[:3].ravel(), range(12))


def test_whether_a_nifti_is_compressed_is_seen_from_its_bytes_and_not_from_its_name(tmp_path):
    write_volume(_CT, tmp_path / "ct.nii")
    (tmp_path / "ct.nii").rename(tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "ct.nii.gz").array, _CT.array)
