"""Scans of any orientation: what the panel puts on them lies voxel for voxel where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.findings import find as measure
from DGSTSegmentLib.training.case import read_case

from .conftest import mark

SHAPE, SPACING, ORIGIN = (14, 20, 24), (0.9, 1.5, 3.0), (10.0, -20.0, 30.0)
TURNED = Rotation.from_euler("xyz", [20, -30, 40], degrees=True).as_matrix()
DIRECTIONS = {
    "straight": np.eye(3),
    "oblique": TURNED,
    "left-handed": np.diag([1, -1, 1]),
    "left-handed and oblique": TURNED @ np.diag([1, 1, -1]),
    "flipped": np.diag([-1, -1, 1]),
    "permuted": np.eye(3)[:, [2, 0, 1]],
}


@pytest.fixture(params=DIRECTIONS)
def volume(request):
    geometry = Geometry.from_parts(SHAPE, SPACING, ORIGIN, DIRECTIONS[request.param])
    hu = np.random.default_rng(0).integers(-200, 300, SHAPE).astype(np.int16)
    return Volume(hu, geometry)


@pytest.fixture
def nodes(volume):
    """Two touching nodes and one apart, as label values."""
    array = np.zeros(SHAPE, np.uint8)
    array[2:5, 3:8, 4:9] = 1
    array[5:9, 3:8, 4:12] = 2
    array[1:3, 14:18, 15:20] = 3
    return volume.with_array(array)


def test_a_volume_comes_out_of_the_scene_as_it_went_in(widget, volume):
    from DGSTSegmentLib.panel import bridge

    back = bridge.volumeOf(bridge.addVolume(volume, "scan"))
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.geometry.ijk_to_world, volume.geometry.ijk_to_world, atol=1e-12)


def test_what_is_marked_is_read_from_shared_labelmaps_as_from_single_segments(widget, volume, nodes):
    from DGSTSegmentLib.panel import bridge, roles

    scan = bridge.addVolume(volume, "scan")
    overlapping = nodes.array == 2
    overlapping[4:6, 3:6, 4:7] = True
    ids = [mark(widget.logic, scan, mask) for mask in (nodes.array == 1, overlapping, nodes.array == 3)]
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    assert bridge._unionOfLayers(annotation, bridge.geometryOf(scan)) is not None
    np.testing.assert_array_equal(bridge.unionMask(annotation, scan), (nodes.array > 0) | overlapping)
    annotation.GetSegmentation().RemoveSegment(ids[1])
    rest = (nodes.array == 1) | (nodes.array == 3)
    np.testing.assert_array_equal(bridge.unionMask(annotation, scan), rest)
    part = volume.array[2:12, 2:16, 3:20]
    toWorld = volume.geometry.ijk_to_world.copy()
    toWorld[:3, 3] = volume.geometry.to_world([2, 2, 3])
    cut = bridge.addVolume(Volume(part, Geometry(part.shape, toWorld)), "cut")
    np.testing.assert_array_equal(bridge.unionMask(annotation, cut), rest[2:12, 2:16, 3:20])


def test_each_labelmap_is_gone_through_once_however_many_nodes_are_marked_in_it(logic, volume, monkeypatch):
    from scipy import ndimage

    from DGSTSegmentLib.panel import bridge, casestate, roles

    scan = bridge.addVolume(volume, "scan")
    masks = []
    for first in range(1, 11):
        mask = np.zeros(SHAPE, bool)
        mask[first : first + 2, first : first + 3, 2 * first : 2 * first + 2] = True
        masks.append(mask)
    ids = [mark(logic, scan, mask) for mask in [*masks, np.zeros(SHAPE, bool)]]
    annotation, passes, finding = roles.nodeOf(scan, roles.ANNOTATION), [], ndimage.find_objects
    monkeypatch.setattr(ndimage, "find_objects", lambda *args: passes.append(1) or finding(*args))
    name = "Binary labelmap"
    layers = annotation.GetSegmentation().GetNumberOfLayers(name)
    assert bridge.countMarked(annotation) == 10
    casestate.digestOf(scan)
    assert len(passes) <= 2 * layers < 2 * len(masks)
    found = {}
    for id_, placed in bridge.tightMasks(annotation, scan):
        found[id_] = np.zeros(SHAPE, bool)
        found[id_][tuple(slice(low, end) for low, end in placed.box)] = placed.mask
    assert list(found) == ids[:10]
    for id_, mask in zip(ids, masks, strict=False):
        np.testing.assert_array_equal(found[id_], mask)


def test_findings_become_segments_voxel_for_voxel(widget, volume, nodes):
    from DGSTSegmentLib.panel import bridge, prediction, roles

    scan = bridge.addVolume(volume, "scan")
    found = measure(nodes, volume)
    items = [item.to_json() for item in found.items]
    made = prediction.makePrediction(scan, roles.BEFORE, found.instances, items, "starter", "Starter", "x")
    for item in made.findings():
        mask = bridge.segmentMask(made.node, item.segmentId, scan)
        np.testing.assert_array_equal(mask, found.instances.array == item.number)


def test_findings_are_seen_in_3d_by_the_surfaces_that_slicer_would_make(widget, volume, nodes):
    import slicer

    from DGSTSegmentLib.panel import bridge, prediction, roles

    def surfaces(node):
        name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        ids = bridge.segmentIds(node)
        return [node.GetSegmentation().GetSegment(id_).GetRepresentation(name) for id_ in ids]

    scan = bridge.addVolume(volume, "scan")
    found = measure(nodes, volume)
    items = [item.to_json() for item in found.items]
    made = prediction.makePrediction(scan, roles.BEFORE, found.instances, items, "starter", "Starter", "x")
    ours = surfaces(made.node)
    alike = roles.makeNode(scan, roles.AFTER, "by Slicer")
    bridge.importNumbers(found.instances, alike, scan, [item.number for item in found.items])
    alike.CreateClosedSurfaceRepresentation()
    for one, other in zip(ours, surfaces(alike), strict=True):
        assert one.GetNumberOfPolys() == other.GetNumberOfPolys() > 0
        np.testing.assert_allclose(one.GetBounds(), other.GetBounds(), atol=1e-3)


def test_looking_at_segments_leaves_nothing_in_the_scene(logic, volume, nodes):
    import slicer

    from DGSTSegmentLib.panel import bridge, roles

    scan = bridge.addVolume(volume, "scan")
    mark(logic, scan, nodes.array == 1)
    mark(logic, scan, nodes.array == 2)
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    before = slicer.mrmlScene.GetNumberOfNodes()
    ids = bridge.segmentIds(annotation)
    np.testing.assert_array_equal(bridge.numbersOf(annotation, ids[::-1], scan) == 1, nodes.array == 2)
    bridge.segmentMask(annotation, ids[0], scan)
    bridge.unionMask(annotation, scan)
    bridge.importNumbers(nodes, roles.makeNode(scan, roles.REJECTED, "x"), scan, [1, 2, 3])
    assert slicer.mrmlScene.GetNumberOfNodes() <= before + 2, "the new segmentation and its display, nothing else"


def test_a_case_is_written_as_it_was_marked_and_comes_back_to_the_same_place(logic, volume, nodes):
    import slicer

    from DGSTSegmentLib.panel import bridge, roles

    scan = bridge.addVolume(volume, "scan")
    for value in (1, 2, 3):
        mark(logic, scan, nodes.array == value)
    case = logic.addToTrainingSet(scan)
    read = read_case(logic.study.case_files()[0])
    assert read.image.geometry.same_grid(volume.geometry)
    np.testing.assert_array_equal(read.image.array, volume.array)
    np.testing.assert_array_equal(read.annotation.array > 0, nodes.array > 0)
    assert len(np.unique(read.annotation.array)) == 4, "touching nodes stay apart"

    slicer.mrmlScene.Clear(0)
    reopened = logic.trainingSet.open(case.id)
    annotation = roles.nodeOf(reopened, roles.ANNOTATION)
    geometry = bridge.geometryOf(reopened)
    masks = [bridge.segmentMask(annotation, id_, reopened) for id_ in bridge.segmentIds(annotation)]
    for value, mask in zip((1, 2, 3), masks, strict=True):
        points = np.sort(geometry.to_world(np.argwhere(mask)), axis=0)
        np.testing.assert_allclose(
            points, np.sort(volume.geometry.to_world(np.argwhere(nodes.array == value)), axis=0), atol=1e-3
        )


def test_segments_that_overlap_survive_the_training_set(logic, volume):
    import slicer

    from DGSTSegmentLib.panel import bridge, roles

    scan = bridge.addVolume(volume, "scan")
    first, second = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    first[3:8, 4:10, 4:10] = True
    second[6:10, 6:14, 6:14] = True
    mark(logic, scan, first)
    mark(logic, scan, second)
    case = logic.addToTrainingSet(scan)
    slicer.mrmlScene.Clear(0)
    annotation = roles.nodeOf(logic.trainingSet.open(case.id), roles.ANNOTATION)
    counts = [
        bridge.segmentMask(annotation, id_, roles.scanOf(annotation)).sum() for id_ in bridge.segmentIds(annotation)
    ]
    assert counts == [first.sum(), second.sum()]


def test_the_box_of_a_region_is_told_in_the_patients_coordinates(logic, volume):
    from DGSTSegmentLib.panel import bridge, roles
    from DGSTSegmentLib.panel.region import makeRegion

    scan = bridge.addVolume(volume, "scan")
    mask = np.zeros(SHAPE, bool)
    mask[4:7, 5:9, 6:10] = True
    mark(logic, scan, mask)
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    corners = volume.geometry.to_world([[3, 4, 5], [8, 10, 12]])
    box = [*corners.min(axis=0), *corners.max(axis=0)]
    roles.setRegion(annotation, makeRegion("scan", box))
    case = logic.addToTrainingSet(scan, "region")
    np.testing.assert_allclose(case.boxes[0], box, atol=1e-6)
    region = read_case(logic.study.case_files()[0]).region
    inside = volume.geometry.to_world(np.argwhere(region.array))
    assert (inside >= np.asarray(box[:3]) - 1e-3).all() and (inside <= np.asarray(box[3:]) + 1e-3).all()
