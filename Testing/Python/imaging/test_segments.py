"""Slicer's segmentations come in with their names, and with one label value a segment."""

import logging

import numpy as np
import pytest

from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.files import read_segmentation, read_segments, read_volume, write_volume

_SHAPE = (2, 3, 4)


def _write_layers(path, layers: list[np.ndarray], segments: list[dict]):
    """A .seg.nrrd as Slicer writes it when segments overlap: the layer is the fastest running axis."""
    lines = [
        "NRRD0004",
        "type: unsigned char",
        "dimension: 4",
        "space: left-posterior-superior",
        f"sizes: {len(layers)} 4 3 2",
        "space directions: none (0.5,0,0) (0,0.5,0) (0,0,2)",
        "kinds: list domain domain domain",
        "encoding: raw",
        "space origin: (5,6,7)",
        "Segmentation_MasterRepresentation:=Binary labelmap",
    ]
    lines += [f"Segment{n}_{key}:={value}" for n, segment in enumerate(segments) for key, value in segment.items()]
    voxels = np.stack(layers, axis=-1).astype(np.uint8).tobytes()
    path.write_bytes(("\n".join(lines) + "\n\n").encode() + voxels)


def _box(*where) -> np.ndarray:
    mask = np.zeros(_SHAPE, bool)
    mask[where] = True
    return mask


LEFT, MIDDLE, RIGHT = _box(..., slice(0, 2)), _box(..., slice(1, 3)), _box(..., slice(3, 4))


def test_layers_become_one_label_value_a_segment(tmp_path):
    layers = [LEFT * 1 + RIGHT * 2, _box(1, 2, 3) * 3]
    described = [
        {"ID": "Segment_1", "Name": "station 4R", "LabelValue": 1, "Layer": 0},
        {"ID": "Segment_2", "Name": "station 7", "LabelValue": 2, "Layer": 0},
        {"ID": "Segment_3", "Name": "calcified", "LabelValue": 3, "Layer": 1},
    ]
    _write_layers(tmp_path / "nodes.seg.nrrd", layers, described)
    segmentation = read_segments(tmp_path / "nodes.seg.nrrd")
    expected = LEFT * 1 + RIGHT * 2
    expected[1, 2, 3] = 3
    np.testing.assert_array_equal(segmentation.volume.array, expected)
    assert segmentation.names == {1: "station 4R", 2: "station 7", 3: "calcified"}
    np.testing.assert_allclose(segmentation.volume.geometry.to_world([1, 1, 1]), (5.5, 6.5, 9))


def test_overlaps_go_to_the_later_segment_and_are_said(tmp_path, caplog):
    described = [{"Name": "first", "LabelValue": 1, "Layer": 0}, {"Name": "second", "LabelValue": 2, "Layer": 1}]
    path = tmp_path / "nodes.seg.nrrd"
    _write_layers(path, [LEFT * 1, MIDDLE * 2], described)
    with caplog.at_level(logging.WARNING):
        labels = read_segmentation(path).array
    np.testing.assert_array_equal(labels, np.where(MIDDLE, 2, LEFT))
    assert "the segment second takes 6 voxels that earlier segments also hold" in caplog.text
    assert str(path) in caplog.text


def test_segments_that_do_not_overlap_give_no_note(tmp_path):
    described = [{"Name": "first", "LabelValue": 1, "Layer": 0}, {"Name": "second", "LabelValue": 2, "Layer": 1}]
    _write_layers(tmp_path / "nodes.seg.nrrd", [LEFT * 1, RIGHT * 2], described)
    assert read_segments(tmp_path / "nodes.seg.nrrd").notes == ()


def test_segments_with_the_same_value_in_their_layers_are_kept_apart(tmp_path):
    described = [{"Name": "first", "LabelValue": 1, "Layer": 0}, {"Name": "second", "LabelValue": 1, "Layer": 1}]
    _write_layers(tmp_path / "nodes.seg.nrrd", [LEFT, RIGHT], described)
    segmentation = read_segments(tmp_path / "nodes.seg.nrrd")
    np.testing.assert_array_equal(segmentation.volume.array, LEFT * 1 + RIGHT * 2)
    assert segmentation.names == {1: "first", 2: "second"}


def test_older_files_have_one_layer_a_segment_and_do_not_say_so(tmp_path):
    _write_layers(tmp_path / "nodes.seg.nrrd", [LEFT, RIGHT], [{"ID": "a"}, {"ID": "b"}])
    segmentation = read_segments(tmp_path / "nodes.seg.nrrd")
    np.testing.assert_array_equal(segmentation.volume.array, LEFT * 1 + RIGHT * 2)
    assert segmentation.names == {1: "a", 2: "b"}


@pytest.mark.parametrize(
    "described",
    [[], [{"Name": "first", "LabelValue": 1, "Layer": 5}], [{"Name": "first", "LabelValue": "one", "Layer": 0}]],
    ids=["nothing", "a layer that is not there", "a value that is no number"],
)
def test_layers_that_are_not_well_described_are_refused(described, tmp_path):
    _write_layers(tmp_path / "nodes.seg.nrrd", [LEFT, RIGHT], described)
    with pytest.raises(InputError, match=r"nodes\.seg\.nrrd .*segments"):
        read_segments(tmp_path / "nodes.seg.nrrd")


def test_layers_are_not_taken_for_an_image(tmp_path):
    _write_layers(tmp_path / "nodes.seg.nrrd", [LEFT, RIGHT], [{"ID": "a"}, {"ID": "b"}])
    with pytest.raises(InputError, match="2 values a voxel"):
        read_volume(tmp_path / "nodes.seg.nrrd")


def test_names_survive_a_round_trip(tmp_path):
    labels = Volume((LEFT * 2 + RIGHT * 7).astype(np.uint8), Geometry.from_parts(_SHAPE, (1, 1, 2)))
    names = {2: "station 4R", 7: "Lymphknoten, groß"}
    write_volume(labels, tmp_path / "nodes.seg.nrrd", names)
    segmentation = read_segments(tmp_path / "nodes.seg.nrrd")
    np.testing.assert_array_equal(segmentation.volume.array, labels.array)
    assert segmentation.names == names
