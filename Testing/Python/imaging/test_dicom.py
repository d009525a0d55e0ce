"""A CT series comes in as HU in its place, or not at all."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging.files import read_segmentation, read_volume

from ..conftest import raised_with_little_memory

_HU = np.arange(6 * 4 * 5, dtype=np.int16).reshape(6, 4, 5) * 10 - 600


def _write_slice(
    path,
    hu,
    position,
    series="1.2.3.4",
    modality="CT",
    orientation=(1, 0, 0, 0, 1, 0),
    description="CT",
    spacing=(0.8, 0.6),
    rescale=(2, -1024),
    kind=CTImageStorage,
):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    scan = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    scan.SOPClassUID, scan.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    scan.Modality, scan.SeriesDescription = modality, description
    scan.StudyInstanceUID, scan.SeriesInstanceUID, scan.FrameOfReferenceUID = "1.2.3", series, "1.2.9"
    scan.ImagePositionPatient, scan.ImageOrientationPatient = [round(x, 6) for x in position], list(orientation)
    scan.PixelSpacing, scan.SliceThickness = list(spacing), 2.5
    scan.Rows, scan.Columns = hu.shape
    scan.SamplesPerPixel, scan.PhotometricInterpretation = 1, "MONOCHROME2"
    scan.BitsAllocated, scan.BitsStored, scan.HighBit, scan.PixelRepresentation = 16, 16, 15, 0
    slope, intercept = scan.RescaleSlope, scan.RescaleIntercept = rescale
    scan.PixelData = ((hu - intercept) // slope).astype(np.uint16).tobytes()
    pydicom.dcmwrite(path, scan, enforce_file_format=True)


def _write_series(folder, heights=(0, 2.5, 5, 7.5, 10, 12.5), shift=0.0, **how):
    """Slices at ``heights`` (mm) along the slices' normal, in a shuffled order of file names; each lies ``shift``
    times its height further along x, as with a tilted gantry."""
    folder.mkdir(exist_ok=True)
    row, column = np.reshape(how.get("orientation", (1, 0, 0, 0, 1, 0)), (2, 3))
    names = np.random.default_rng(0).permutation(len(heights))
    for hu, height, name in zip(_HU, heights, names, strict=False):
        position = np.array([-30.0, -40.0, 100.0]) + height * np.cross(row, column) + [shift * height, 0, 0]
        _write_slice(folder / f"{how.get('series', '1')}-{name}.dcm", hu, position, **how)


def _refusal(folder) -> str:
    with pytest.raises(InputError) as refusal:
        read_volume(folder)
    sentence = str(refusal.value)
    assert sentence.count(str(folder)) == 1 and "\n" not in sentence
    sentence.encode()
    return sentence


@pytest.mark.parametrize(
    "orientation",
    [(1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0), (0, 1, 0, 0, 0, -1), (0.8, 0.6, 0, -0.6, 0.8, 0)],
    ids=["axial", "prone", "sagittal", "oblique"],
)
def test_a_series_comes_in_hu_and_in_its_place(orientation, tmp_path):
    _write_series(tmp_path / "ct", orientation=orientation)
    volume = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(volume.array, _HU)
    row, column = np.reshape(orientation, (2, 3))
    expected = np.array([-30, -40, 100]) + 2 * 2.5 * np.cross(row, column) + 3 * 0.8 * column + 4 * 0.6 * row
    np.testing.assert_allclose(volume.geometry.to_world([2, 3, 4]), expected, atol=1e-4)


def _rewritten(folder, **how):
    """The first slice along the normal, written once more with another header."""
    _write_series(folder)
    first = min(folder.iterdir(), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])
    _write_slice(first, np.maximum(_HU[0], 0) if "rescale" in how else _HU[0], (-30.0, -40.0, 100.0), **how)
    return folder


def test_slices_with_scales_of_their_own_all_come_in_hu(tmp_path):
    volume = read_volume(_rewritten(tmp_path / "ct", rescale=(1, 0)))
    np.testing.assert_array_equal(volume.array, np.concatenate([np.maximum(_HU[:1], 0), _HU[1:]]))


def _edit(folder, change, one=None):
    """Change the headers of all slices, or of ``one``, counted along the normal from the first."""
    files = sorted(folder.iterdir(), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])
    for path in files if one is None else [files[one]]:
        scan = pydicom.dcmread(path)
        change(scan)
        pydicom.dcmwrite(path, scan, enforce_file_format=True)
    return folder


def _store_signed(scan):
    """The same HU as signed values, without intercept and slope."""
    hu = scan.pixel_array * 2 - 1024
    scan.PixelRepresentation, scan.RescaleSlope, scan.RescaleIntercept = 1, 1, 0
    scan.PixelData = hu.astype(np.int16).tobytes()


def _store_unsigned(scan):
    hu = scan.pixel_array
    scan.PixelRepresentation, scan.PixelData = 0, np.maximum(hu, 0).astype(np.uint16).tobytes()


@pytest.mark.parametrize("one", [0, 3, 5])
def test_slices_of_which_some_are_stored_without_a_sign_all_come_in_hu(tmp_path, one):
    _write_series(tmp_path / "ct")
    _edit(_edit(tmp_path / "ct", _store_signed), _store_unsigned, one)
    expected = _HU.copy()
    expected[one] = np.maximum(expected[one], 0)
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, expected)


@pytest.mark.parametrize(("one", "count"), [(None, "6 of 6"), (0, "1 of 6"), (3, "1 of 6")])
def test_slices_whose_hu_would_come_inverted_are_refused(one, count, tmp_path):
    _write_series(tmp_path / "ct")
    _edit(tmp_path / "ct", lambda scan: setattr(scan, "PhotometricInterpretation", "MONOCHROME1"), one)
    sentence = _refusal(tmp_path / "ct")
    assert f"{count} slices" in sentence and "MONOCHROME1" in sentence
    assert sentence.endswith("; export the series as MONOCHROME2 or as NIfTI.")


@pytest.mark.parametrize("one", [None, 2], ids=["none says it", "all but one say it"])
@pytest.mark.parametrize("how", ["left out", "empty"])
@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("PixelSpacing", "pixel spacing (0028|0030)"),
        ("ImageOrientationPatient", "orientation (0020|0037)"),
        ("ImagePositionPatient", "position (0020|0032)"),
    ],
)
def test_slices_that_leave_out_where_they_lie_are_refused(tmp_path, field, what, how, one):
    _write_series(tmp_path / "ct")
    _edit(tmp_path / "ct", lambda scan: setattr(scan, field, None) if how == "empty" else delattr(scan, field), one)
    count = "6 of 6" if one is None else "1 of 6"
    assert f"do not say their {what}" in _refusal(tmp_path / "ct") and count in _refusal(tmp_path / "ct")


def test_slices_that_say_they_lie_nowhere_apart_are_refused_by_the_name_of_that(tmp_path):
    _write_series(tmp_path / "ct")
    _edit(tmp_path / "ct", lambda scan: setattr(scan, "SpacingBetweenSlices", 0))
    assert "0 mm apart" in _refusal(tmp_path / "ct") and "SpacingBetweenSlices" in _refusal(tmp_path / "ct")


@pytest.mark.parametrize(
    ("character_set", "description"), [("ISO_IR 100", "Schädel"), ("ISO_IR 192", "Schädel"), ("ISO_IR 144", "Череп")]
)
def test_a_series_is_named_in_its_own_letters(tmp_path, character_set, description):
    for series in ("1.2.7", "1.2.8"):
        _write_series(tmp_path / "ct", series=series, description="")
    for path in (tmp_path / "ct").iterdir():
        scan = pydicom.dcmread(path)
        scan.SpecificCharacterSet, scan.SeriesDescription = character_set, description
        pydicom.dcmwrite(path, scan, enforce_file_format=True)
    assert f"{description}, 6 slices" in _refusal(tmp_path / "ct")


_ENHANCED_CT, _SEG, _RTSTRUCT = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2.1", "66.4", "481.3"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [(_ENHANCED_CT, "enhanced CT"), (_SEG, "SEG"), (_RTSTRUCT, "RTSTRUCT"), (CTImageStorage, "folder")],
)
def test_a_dicom_file_that_is_no_slice_is_told_from_one_that_is(tmp_path, kind, said):
    _write_slice(tmp_path / "file", _HU[0], (0, 0, 0), kind=kind)
    for read in (read_volume, read_segmentation):
        with pytest.raises(InputError, match=said) as refusal:
            read(tmp_path / "file")
        assert ("which is not read" in str(refusal.value)) == (said != "folder")


def test_a_folder_with_an_enhanced_ct_does_not_send_back_to_the_folder(tmp_path):
    (tmp_path / "ct").mkdir()
    _write_slice(tmp_path / "ct" / "all", _HU[0], (0, 0, 0), kind=_ENHANCED_CT)
    sentence = _refusal(tmp_path / "ct")
    assert "enhanced CT" in sentence and "convert it to NIfTI" in sentence and "give the folder" not in sentence


@pytest.mark.parametrize(
    ("how", "what"), [({"orientation": (0, 1, 0, 0, 0, -1)}, "orientation"), ({"spacing": (2, 2)}, "pixel spacing")]
)
def test_a_slice_that_lies_otherwise_than_the_others(tmp_path, how, what):
    assert f"their {what} differs" in _refusal(_rewritten(tmp_path / "ct", **how))


def test_slices_that_are_placed_with_a_little_jitter_are_read(tmp_path):
    _write_series(tmp_path / "ct", heights=(0, 2.51, 4.99, 7.5, 10.02, 12.5))
    assert read_volume(tmp_path / "ct").geometry.spacing[2] == pytest.approx(2.5, abs=0.02)


def test_other_files_in_the_folder_do_no_harm(tmp_path):
    _write_series(tmp_path / "ct")
    (tmp_path / "ct" / "notes.txt").write_text("hello")
    _write_slice(tmp_path / "ct" / "pet.dcm", _HU[0], (0, 0, 0), series="1.2.7", modality="PT")
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, _HU)


def test_a_missing_slice_is_named_by_its_place(tmp_path):
    _write_series(tmp_path / "ct", heights=(0, 2.5, 5, 10, 12.5))
    assert "1 seem to be missing after the one at 105.0 mm" in _refusal(tmp_path / "ct")


def test_uneven_spacing(tmp_path):
    _write_series(tmp_path / "ct", heights=(0, 2, 5, 7, 10, 12.5))
    assert "their spacing varies from 2.00 to 3.00 mm" in _refusal(tmp_path / "ct")


def test_two_slices_at_one_place(tmp_path):
    _write_series(tmp_path / "ct", heights=(0, 2.5, 5, 5, 7.5, 10))
    assert "several lie at the same place" in _refusal(tmp_path / "ct")


def test_a_tilted_gantry(tmp_path):
    _write_series(tmp_path / "ct", shift=0.3)
    assert "tilted gantry" in _refusal(tmp_path / "ct")


def test_slices_of_different_size(tmp_path):
    _write_series(tmp_path / "ct")
    _write_slice(tmp_path / "ct" / "odd.dcm", _HU[0, :3, :3], (-30, -40, 115), series="1.2.3.4")
    assert "could not be read" in _refusal(tmp_path / "ct")


def test_several_series_are_named(tmp_path):
    _write_series(tmp_path / "ct", series="1.2.5", description="thin")
    _write_series(tmp_path / "ct", series="1.2.6", description="thick")
    sentence = _refusal(tmp_path / "ct")
    assert "2 CT series" in sentence and "thin, 6 slices" in sentence and "thick, 6 slices" in sentence


def test_a_series_of_another_kind(tmp_path):
    _write_series(tmp_path / "pet", modality="PT")
    assert "only DICOM of the kind PT" in _refusal(tmp_path / "pet")


def test_a_single_slice(tmp_path):
    _write_series(tmp_path / "ct", heights=(0,))
    assert "single file" in _refusal(tmp_path / "ct")


def test_a_folder_without_dicom(tmp_path, capfd):
    (tmp_path / "notes.txt").write_text("hello")
    assert "holds no DICOM images" in _refusal(tmp_path)
    assert capfd.readouterr().err == ""


def test_a_folder_of_volumes_is_to_be_given_file_by_file(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz", "c.NRRD", "notes.txt"):
        (tmp_path / name).touch()
    said = _refusal(tmp_path)
    assert "volumes (a.nii.gz and 2 more); give one of these files at a time" in said
    assert "takes several as scans/*.nii.gz with a folder as --out" in said


def test_a_truncated_slice(tmp_path):
    _write_series(tmp_path / "ct")
    slice_file = sorted((tmp_path / "ct").iterdir())[2]
    slice_file.write_bytes(slice_file.read_bytes()[:-20])
    _refusal(tmp_path / "ct")


def test_a_series_that_memory_does_not_hold_is_not_called_unreadable(tmp_path):
    _write_series(tmp_path / "ct")
    for side in ("Rows", "Columns"):
        _edit(tmp_path / "ct", lambda scan, side=side: setattr(scan, side, 20_000))
    assert raised_with_little_memory(1000, "files.read_volume(path)", tmp_path / "ct") == "MemoryError"
