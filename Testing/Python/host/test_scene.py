"""Saving, closing and loading: what Slicer's own code does, by the host's way to it."""

from __future__ import annotations

import numpy as np
import pytest

RNG = np.random.default_rng(0)
ARRAY = RNG.integers(-1000, 1000, (6, 8, 10)).astype(np.int16)
MASK = (ARRAY > 500).astype(np.uint8)
LEFT_HANDED = np.array([[1.0, 0, 0, -30], [0, -1.5, 0, 12], [0, 0, 2.0, -7], [0, 0, 0, 1]])


def add_case(add_volume):
    import slicer

    volume = add_volume(ARRAY)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "annotation")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.GetSegmentation().AddEmptySegment("node", "Lymph node 1")
    slicer.util.updateSegmentBinaryLabelmapFromArray(MASK, segmentation, "node", volume)
    return volume, segmentation


@pytest.mark.parametrize("name", ["scene.mrb", "folder"])
def test_a_saved_scene_comes_back_whole(host, add_volume, tmp_path, name):
    import slicer

    _, segmentation = add_case(add_volume)
    segmentation.SetAttribute("completeness", "region")
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "region")
    roi.SetSize(4, 5, 6)
    segmentation.SetNodeReferenceID("region", roi.GetID())
    if name == "folder":
        (tmp_path / name).mkdir()
    assert slicer.util.saveScene(str(tmp_path / name), {})
    host.close_scene()
    assert not slicer.util.getNodesByClass("vtkMRMLSegmentationNode")

    path = tmp_path / name
    slicer.util.loadScene(str(next(path.glob("*.mrml")) if path.is_dir() else path), {})
    volume, segmentation = slicer.util.getNode("ct"), slicer.util.getNode("annotation")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), ARRAY)
    np.testing.assert_array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "node", volume), MASK)
    assert segmentation.GetAttribute("completeness") == "region"
    assert segmentation.GetNodeReference("region").GetSize() == (4, 5, 6)


def test_views_show_a_loaded_scene(host, add_volume, tmp_path):
    import slicer
    from preview_host.probes import pixels

    add_case(add_volume)
    before = pixels("Red")
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    host.close_scene()
    assert (pixels("Red") != before).any()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"), {})
    away = np.abs(pixels("Red").astype(int) - before)
    assert np.median(away) <= 1  # positions are rounded in the file
    assert away.mean() < 3


@pytest.mark.parametrize("matrix", [np.diag([-1.0, -1.0, 2.0, 1.0]), LEFT_HANDED], ids=["axial", "left-handed"])
def test_files_of_single_nodes_keep_voxels_and_place(host, add_volume, tmp_path, matrix):
    import slicer

    volume = add_volume(ARRAY, matrix)
    assert slicer.util.saveNode(volume, str(tmp_path / "ct.nrrd"), {})
    loaded = slicer.util.loadVolume(str(tmp_path / "ct.nrrd"), {"name": "again"})
    assert loaded.GetName() == "again"
    np.testing.assert_allclose(by_place(loaded), by_place(volume), atol=1e-4)


def test_a_segmentation_keeps_its_segments_in_a_file(host, add_volume, tmp_path):
    import slicer

    volume, segmentation = add_case(add_volume)
    assert slicer.util.saveNode(segmentation, str(tmp_path / "a.seg.nrrd"), {})
    loaded = slicer.util.loadSegmentation(str(tmp_path / "a.seg.nrrd"), {"name": "again"})
    assert loaded.GetSegmentation().GetSegment("node").GetName() == "Lymph node 1"
    np.testing.assert_array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(loaded, "node", volume), MASK)


def test_a_file_that_is_not_there_is_an_error(host, tmp_path):
    import slicer

    with pytest.raises(RuntimeError, match=r"missing\.nrrd"):
        slicer.util.loadVolume(str(tmp_path / "missing.nrrd"), {})


def test_closing_the_scene_leaves_views_that_work(host, add_volume):
    from preview_host.probes import pixels

    for _ in range(2):
        add_volume(ARRAY)
        assert pixels("Red").std() > 10
        host.close_scene()
        assert pixels("Green").std() < 10
        assert pixels("3D").any()


def by_place(node) -> np.ndarray:
    """Rows of R, A, S and value, in the order of their places."""
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    array = slicer.util.arrayFromVolume(node)
    kji = np.indices(array.shape).reshape(3, -1)
    ras = slicer.util.arrayFromVTKMatrix(matrix) @ np.vstack([kji[::-1], np.ones(kji.shape[1])])
    rows = np.column_stack([ras[:3].T.round(3), array.ravel()])
    return rows[np.lexsort(rows.T[::-1])]
