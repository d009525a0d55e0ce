"""The same on scanners' own files."""

import numpy as np
import pytest

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import findings
from DGSTSegmentLib.imaging.files import notes_on_ct, read_ct, read_segmentation, write_volume
from DGSTSegmentLib.imaging.orientation import in_axis_order_of, to_lps_order
from DGSTSegmentLib.imaging.resample import onto_grid_of

_TOTAL = "totalsegmentator_examples_Apache2"


@pytest.mark.parametrize(
    "name",
    [
        "sts_ct_gtv_CCBY3/STS_002_ct.nii.gz",
        "sts_019_dicom_rtstruct_CCBY3/CT/image",
        "crlm-1004_ct_CCBY4/ct.nii.gz",
        "lidc-0314_chest_crop_CCBY3/ct.nii.gz",
        f"{_TOTAL}/example_ct.nii.gz",
        f"{_TOTAL}/example_ct_dicom",
        "dcmqi_ct3slice_seg_BSD3/ct-3slice",
    ],
)
def test_every_ct_opens_as_hu_without_remarks(shared_data, name):
    volume = read_ct(shared_data / name)
    assert notes_on_ct(volume) == []
    assert volume.array.min() < -500 and volume.array.max() > 300


def test_a_dicom_series_equals_its_nifti(shared_data):
    dicom = read_ct(shared_data / "sts_019_dicom_rtstruct_CCBY3/CT/image")
    nifti = read_ct(shared_data / "sts_ct_gtv_CCBY3/STS_019_ct.nii.gz")
    np.testing.assert_array_equal(dicom.array, nifti.array)
    assert dicom.geometry.same_grid(nifti.geometry)


def test_an_axis_order_of_left_and_front_is_brought_to_lps_and_back(shared_data):
    stored = read_ct(shared_data / _TOTAL / "example_ct.nii.gz")
    np.testing.assert_allclose(stored.geometry.direction, np.diag([-1, -1, 1]), atol=1e-6)
    ordered = to_lps_order(stored)
    np.testing.assert_allclose(ordered.geometry.direction, np.eye(3), atol=1e-6)
    np.testing.assert_array_equal(ordered.array, stored.array[:, ::-1, ::-1])
    np.testing.assert_array_equal(in_axis_order_of(ordered, stored.geometry).array, stored.array)


def test_what_is_written_for_a_scan_lies_exactly_where_the_scan_lies(shared_data, tmp_path):
    for name in ("sts_ct_gtv_CCBY3/STS_002_ct.nii.gz", f"{_TOTAL}/example_ct_sm.nii.gz"):
        scan = read_ct(shared_data / name)
        write_volume(scan.with_array((scan.array > 0).astype(np.uint8)), tmp_path / "seg.nii.gz")
        written = read_segmentation(tmp_path / "seg.nii.gz").geometry
        np.testing.assert_array_equal(written.ijk_to_world, scan.geometry.ijk_to_world)


def test_a_segmentation_stored_in_another_axis_order_finds_its_dicom_scan(shared_data):
    scan = read_ct(shared_data / _TOTAL / "example_ct_dicom")
    labels = read_segmentation(shared_data / _TOTAL / "example_seg_dicom.nii.gz")
    onto, sentence = onto_grid_of(labels, scan)
    np.testing.assert_array_equal(onto.array, labels.array[:, ::-1])
    assert sentence is not None


def test_an_annotation_of_another_patient_is_refused(shared_data):
    scan = read_ct(shared_data / _TOTAL / "example_ct_dicom")
    with pytest.raises(InputError, match="does not lie where the image lies"):
        onto_grid_of(read_segmentation(shared_data / "sts_ct_gtv_CCBY3/STS_019_gtv.nii.gz"), scan)


def test_a_tumour_is_one_finding_of_soft_tissue(shared_data):
    scan = read_ct(shared_data / "sts_ct_gtv_CCBY3/STS_019_ct.nii.gz")
    mask = read_segmentation(shared_data / "sts_ct_gtv_CCBY3/STS_019_gtv.nii.gz")
    found = findings.find(mask, scan)
    largest = found.items[0]
    assert 0 < largest.mean_hu < 100
    assert largest.short_axis_mm <= largest.long_axis_mm <= np.linalg.norm(largest.extent_mm[:2]) + 1
    assert sum(item.volume_ml for item in found.items) == pytest.approx(
        (mask.array > 0).sum() * mask.geometry.voxel_volume_ml
    )


def test_every_organ_is_a_finding_of_its_own(shared_data):
    organs = read_segmentation(shared_data / _TOTAL / "example_seg.nii.gz")
    found = findings.find(organs)
    assert [item.label for item in found.items] == np.unique(organs.array[organs.array > 0]).tolist()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("qin-headneck-0139_pet_seg_CCBY/PET", "only DICOM of the kind PT"),
        ("dcmqi_ct3slice_seg_BSD3", "only DICOM of the kind SEG"),
        ("dcmqi_ct3slice_seg_BSD3/liver.dcm", "DICOM segmentation .SEG., which is not read"),
        ("sts_019_dicom_rtstruct_CCBY3", "no DICOM images"),
    ],
)
def test_what_is_no_ct_series_is_refused(shared_data, name, said):
    with pytest.raises(InputError, match=said):
        read_ct(shared_data / name)
