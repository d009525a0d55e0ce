"""Segments of other segmentations become lymph nodes of the scan."""

from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Geometry, Volume

from .conftest import mark, open_scan

SHAPE = (20, 30, 40)
GEOMETRY = Geometry.from_parts(SHAPE, (1, 1, 2), (-20, -15, 5))


@pytest.fixture
def ct(panel, host):
    """A scan of 1 x 1 x 2 mm voxels, chosen in the panel."""
    return open_scan(panel, host, Volume(np.full(SHAPE, 40, np.int16), GEOMETRY), "CT")


def cuboid(*spans, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*span) for span in spans)] = True
    return mask


def segmentation(masks, geometry=GEOMETRY, name="Hand-made"):
    """A segmentation that the panel does not know, with a segment of each mask on a grid of its own."""
    import slicer

    from DGSTSegmentLib.panel import bridge
    from DGSTSegmentLib.panel.placed import PlacedMask

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    for title, mask in masks.items():
        id_ = node.GetSegmentation().AddEmptySegment(title, title)
        if mask is not None:
            bridge.setSegmentMask(node, id_, PlacedMask.of(mask), geometry)
    return node


def nodes_in(scan):
    """Masks of the annotation's segments on the scan's grid, by their names."""
    from DGSTSegmentLib.panel import bridge, roles

    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    ids = [] if annotation is None else bridge.segmentIds(annotation)
    segments = annotation.GetSegmentation() if ids else None
    return {segments.GetSegment(id_).GetName(): bridge.segmentMask(annotation, id_, scan) for id_ in ids}


def test_segments_of_another_segmentation_become_lymph_nodes_and_one_undo_takes_them_back(host, ui, ct):
    from preview_host import answers

    from DGSTSegmentLib.panel import bridge, roles

    masks = {"4R": cuboid((4, 7), (5, 9), (6, 11)), "7": cuboid((10, 13), (5, 9), (6, 11)), "left out": None}
    other = segmentation(masks)
    seen = []

    def look(dialog):
        items = next(w for w in dialog.children() if w.objectName == "segmentList")
        seen.extend(items.item(row).text() for row in range(items.count))

    answers.give(look)
    ui.fromSegmentationButton.click()
    assert seen == ["4R", "7", "left out (empty)"]
    found = nodes_in(ct)
    assert list(found) == ["4R", "7"]
    for name, mask in found.items():
        np.testing.assert_array_equal(mask, masks[name])
    assert len(bridge.segmentIds(other)) == 3 and other.GetAttribute("DGSTSegment.Role") is None
    ui.segmentEditor.undo()
    assert bridge.segmentIds(roles.nodeOf(ct, roles.ANNOTATION)) == []


def test_only_checked_segments_of_the_chosen_segmentation_are_taken(ui, ct):
    import qt
    from preview_host import answers

    segmentation({"other": cuboid((1, 3), (1, 3), (1, 3))}, name="First")
    segmentation({"a": cuboid((4, 7), (5, 9), (6, 11)), "b": cuboid((10, 13), (5, 9), (6, 11))}, name="Second")

    def choose(dialog):
        named = {widget.objectName: widget for widget in dialog.children()}
        named["segmentationSelector"].setCurrentIndex(1)
        named["segmentList"].item(0).setCheckState(qt.Qt.Unchecked)

    answers.give(choose, None)
    ui.fromSegmentationButton.click()
    assert list(nodes_in(ct)) == ["b"]
    ui.fromSegmentationButton.click()
    assert list(nodes_in(ct)) == ["b"], "canceled"


def test_lymph_nodes_are_checked_at_first_and_all_and_none_are_one_click(ui, ct):
    """As beside the organs of another program, by name or by terminology; else everything is."""
    import qt
    from preview_host import answers

    from DGSTSegmentLib.panel.lymphnode import TERMINOLOGY

    organs = segmentation({"liver": cuboid((1, 3), (1, 3), (1, 3)), "colon": cuboid((4, 6), (1, 3), (1, 3))}, name="A")
    mixed = {"aorta": cuboid((1, 3), (1, 3), (1, 3)), "LN_7": cuboid((4, 7), (5, 9), (6, 11))}
    mixed |= {"Lymph_node_4R": cuboid((10, 13), (5, 9), (6, 11)), "lymph (none)": None}
    both = segmentation(mixed, name="B")
    segment = both.GetSegmentation().GetSegment("LN_7")
    segment.SetTag(segment.GetTerminologyEntryTagName(), TERMINOLOGY)
    seen = []

    def look(dialog):
        named = {widget.objectName: widget for widget in dialog.children() if widget.objectName}
        items, add = named["segmentList"], named["addButton"]

        def checked():
            rows = [items.item(row) for row in range(items.count)]
            seen.append([item.text() for item in rows if item.checkState() == qt.Qt.Checked])
            return add.enabled

        assert checked()
        named["segmentationSelector"].setCurrentIndex(1)
        assert checked()
        named["noneButton"].click()
        assert not checked(), "nothing to add"
        named["allButton"].click()
        assert checked()
        named["noneButton"].click()
        items.item(1).setCheckState(qt.Qt.Checked)
        assert checked()

    answers.give(look)
    ui.fromSegmentationButton.click()
    nodes = ["LN_7", "Lymph_node_4R"]
    assert seen == [["liver", "colon"], nodes, [], ["aorta", *nodes], ["LN_7"]]
    assert list(nodes_in(ct)) == ["LN_7"] and organs is not both


@pytest.mark.parametrize("isMoved", [False, True])
def test_segments_on_another_grid_are_resampled_and_what_lies_outside_is_named(ui, logic, ct, isMoved):
    """Half of the voxels' size, turned axes, and beyond the scan's end; with a transform that moves them by 4 mm."""
    import slicer
    import vtk

    turned = np.diag([-1.0, -1.0, 1.0])
    fine = Geometry.from_parts((50, 60, 80), (0.5, 0.5, 1), (25, 14.5, 5), turned)
    inside = cuboid((4, 10), (10, 20), (30, 44), shape=fine.shape)
    tiny = cuboid((20, 21), (31, 32), (51, 52), shape=fine.shape)
    cut = cuboid((30, 34), (10, 20), (0, 18), shape=fine.shape)
    outside = cuboid((44, 48), (10, 20), (30, 44), shape=fine.shape)
    other = segmentation({"in": inside, "tiny": tiny, "cut": cut, "out": outside}, fine)
    if isMoved:
        shift = vtk.vtkTransform()
        shift.Translate(4, 0, 0)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        node.SetAndObserveTransformToParent(shift)
        other.SetAndObserveTransformNodeID(node.GetID())
    adopted = logic.takeSegments(ct, other)
    assert adopted.added == ["in", "tiny", "cut"] and adopted.outside == ["out"] and adopted.cut == ["cut"]
    found = nodes_in(ct)
    points = fine.to_world(np.argwhere(inside)) + ([-4, 0, 0] if isMoved else [0, 0, 0])
    marked = GEOMETRY.to_world(np.argwhere(found["in"]))
    np.testing.assert_allclose(marked.mean(axis=0), points.mean(axis=0), atol=0.5)
    assert found["in"].sum() * 2 == pytest.approx(inside.sum() / 4, rel=0.15)
    assert found["tiny"].any(), "a node between the scan's voxels does not vanish"


def test_surfaces_are_turned_into_voxels_and_stay_as_they_are(ui, logic, ct):
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "RTSTRUCT")
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    middle = (5.0, 2.0, 25.0)  # RAS
    ball = vtk.vtkSphereSource()
    ball.SetCenter(*middle)
    ball.SetRadius(6)
    ball.SetThetaResolution(40)
    ball.SetPhiResolution(40)
    ball.Update()
    node.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "7", [1, 0, 0])
    node.AddSegmentFromClosedSurfaceRepresentation(vtk.vtkPolyData(), "nothing", [1, 0, 0])
    adopted = logic.takeSegments(ct, node)
    assert (adopted.added, adopted.empty) == (["7"], ["nothing"])
    mask = nodes_in(ct)["7"]
    assert mask.sum() * 2 == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.1)
    np.testing.assert_allclose(GEOMETRY.to_world(np.argwhere(mask)).mean(axis=0), [-5, -2, 25], atol=0.3)
    assert not node.GetSegmentation().ContainsRepresentation("Binary labelmap")


@pytest.mark.parametrize(("answer", "names"), [("Yes", ["Lymph node 1", "a", "b"]), ("No", ["Lymph node 1", "b"])])
def test_segments_that_overlap_marked_nodes_are_asked_about(ui, logic, ct, answer, names):
    from preview_host import answers

    mark(logic, ct, cuboid((4, 7), (5, 9), (6, 11)))
    segmentation({"a": cuboid((6, 9), (5, 9), (6, 11)), "b": cuboid((10, 13), (5, 9), (6, 11))})
    answers.give("accept", answer)
    ui.fromSegmentationButton.click()
    assert "overlap lymph nodes that are marked already: a." in answers.asked[-1]
    assert list(nodes_in(ct)) == names
    told = any("Not added, overlapping marked nodes: a." in text for text in answers.shown)
    assert told == (answer == "No")


def test_segments_that_are_called_alike_are_told_apart(logic, ct):
    mark(logic, ct, cuboid((4, 7), (5, 9), (6, 11)))
    node = segmentation({"a": cuboid((6, 9), (5, 9), (6, 11)), "b": cuboid((10, 13), (5, 9), (6, 11))})
    node.GetSegmentation().GetSegment("b").SetName("a")
    adopted = logic.takeSegments(ct, node)
    assert (adopted.added, adopted.overlapping) == (["a"], ["a"])
    np.testing.assert_array_equal(nodes_in(ct)["a"], cuboid((10, 13), (5, 9), (6, 11)))


def test_a_scene_without_another_segmentation_says_so(ui, logic, ct, refusal):
    from preview_host import answers

    mark(logic, ct, cuboid((4, 7), (5, 9), (6, 11)))
    ui.fromSegmentationButton.click()
    assert any("no other segmentation in the scene" in text for text in answers.shown)
    other = segmentation({"a": cuboid((6, 9), (5, 9), (6, 11))})
    with pytest.raises(refusal, match="holds no segment x"):
        logic.takeSegments(ct, other, ["x"])


def test_contours_that_cannot_be_turned_into_voxels_are_refused_and_nothing_is_changed(ui, logic, ct, refusal):
    """As of an RTSTRUCT in a Slicer without SlicerRT, which brings that conversion."""
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "RTSTRUCT")
    node.GetSegmentation().SetSourceRepresentationName("Planar contour")
    circle = vtk.vtkRegularPolygonSource()
    circle.Update()
    segment = slicer.vtkSegment()
    segment.SetName("7")
    segment.AddRepresentation("Planar contour", circle.GetOutput())
    node.GetSegmentation().AddSegment(segment, "7")
    with pytest.raises(refusal, match="RTSTRUCT could not be turned into voxels; export it as a binary labelmap"):
        logic.takeSegments(ct, node)
    assert nodes_in(ct) == {}
