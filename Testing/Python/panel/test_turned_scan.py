"""A scan that is turned for good, or kept with its slices in the other order."""

from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Geometry, Volume
from DGSTSegmentLib.imaging.findings import find as measure

from .conftest import ball, mark, predicted
from .test_scenes import flipped


def harden(host, degrees, *nodes):
    """Turn nodes around the patient's left-right axis, for good."""
    import slicer
    import vtk

    transform, turn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Turn"), vtk.vtkTransform()
    turn.RotateX(degrees)
    turn.Translate(0, 0, 6)
    transform.SetMatrixTransformToParent(turn.GetMatrix())
    for node in nodes:
        node.SetAndObserveTransformNodeID(transform.GetID())
        node.HardenTransform()
    host.process_events()


@pytest.fixture
def column(panel, host):
    """A finding that is long along the patient's axis."""
    array = np.zeros((30, 24, 24), np.uint16)
    array[4:26, 9:15, 9:15] = 1
    return predicted(panel, host, Volume(array, Geometry.from_parts(array.shape, (1, 1, 1))))


def test_findings_are_measured_anew_once_they_were_turned_for_good(host, panel, ui, column):
    from DGSTSegmentLib.panel import bridge

    assert float(ui.findingsTable.item(0, 2).text()) < 10
    harden(host, 90, column.scan, column.node)
    numbers = Volume(
        bridge.numbersOf(column.node, bridge.segmentIds(column.node), column.scan), bridge.geometryOf(column.scan)
    )
    (wanted,) = measure(numbers, bridge.volumeOf(column.scan)).items
    assert wanted.long_axis_mm > 20
    finding = column.finding(1).finding
    for name in ("short_axis_mm", "long_axis_mm", "volume_ml", "extent_mm", "mean_hu"):
        assert getattr(finding, name) == pytest.approx(getattr(wanted, name), rel=1e-6)
    assert finding.confidence == pytest.approx(0.9), "the model's own, which no measuring knows"
    assert float(ui.findingsTable.item(0, 2).text()) > 20


@pytest.mark.parametrize("moved", ["scan", "annotation"])
def test_marks_beside_a_scan_that_alone_was_moved_for_good_are_not_kept_unasked(
    host, panel, ui, logic, scan, refusal, moved
):
    from preview_host import answers

    from DGSTSegmentLib.panel import roles

    mark(logic, scan, ball())
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    ui.addCaseButton.click()
    before = logic.trainingSet.cases()
    harden(host, 10, scan if moved == "scan" else annotation)
    with pytest.raises(refusal, match="lymph nodes: does not lie on the voxels of Tiny scan"):
        logic.addToTrainingSet(scan)
    panel.annotate.refreshAddButton()
    answers.give("Cancel")
    ui.addCaseButton.click()
    assert "hardened on one of them only" in answers.asked[-1] and logic.trainingSet.cases() == before
    harden(host, 10, annotation if moved == "scan" else scan)
    assert logic.addToTrainingSet(scan).marked == 1


def test_marks_on_finer_voxels_of_the_scan_lie_where_they_should(host, logic, scan):
    import slicer

    from DGSTSegmentLib.panel import bridge, roles
    from DGSTSegmentLib.panel.placed import PlacedMask

    id_ = mark(logic, scan, ball())
    coarse, annotation = bridge.geometryOf(scan), roles.nodeOf(scan, roles.ANNOTATION)
    fine = coarse.ijk_to_world @ np.diag([0.5, 0.5, 0.5, 1.0])
    fine[:3, 3] = coarse.to_world([-0.25, -0.25, -0.25])
    mask = ball().repeat(2, 0).repeat(2, 1).repeat(2, 2)
    image = bridge.imageOf(PlacedMask.of(mask), Geometry(mask.shape, fine))
    annotation.GetSegmentation().GetSegment(id_).AddRepresentation(bridge.labelmapName(), image)
    assert not bridge.isBeside(annotation, scan)
    np.testing.assert_array_equal(bridge.unionMask(annotation, scan), ball())
    assert logic.addToTrainingSet(scan).marked == 1
    harden(host, 0, annotation)
    assert bridge.isBeside(annotation, scan)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_what_was_accepted_is_no_correction_once_slicer_has_turned_the_slices_around(host, panel, logic):
    """A node of the annotation is seen on the grid that the scan is loaded with."""
    import slicer
    import vtk

    from DGSTSegmentLib.panel import bridge, roles
    from DGSTSegmentLib.panel.reviewed import lymphNodesOf
    from DGSTSegmentLib.views.slicer_data import image_data

    array = np.zeros((20, 24, 24), np.uint16)
    array[3:9, 4:10, 5:9] = 1
    array[3:5, 10:12, 5:9] = 1
    array[12:16, 14:20, 14:20] = 2
    right = Volume(array, Geometry.from_parts(array.shape, (1, 1, 2)))
    made = predicted(panel, host, flipped(right))
    for number in (1, 2):
        panel.review.review.accept(number)
    panel.review.review.apply()
    scan = made.scan
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    id_ = bridge.segmentIds(annotation)[1]
    cut = bridge.segmentMask(annotation, id_, scan)
    cut[:, :16] = False
    from DGSTSegmentLib.panel.placed import PlacedMask

    bridge.setSegmentMask(annotation, id_, PlacedMask.of(cut), bridge.geometryOf(scan))
    assert [node.source for node in lymphNodesOf(scan)] == ["accepted", "corrected"]
    there = bridge.volumeOf(scan)
    loaded = flipped(there.with_array(there.array.copy()))
    matrix = vtk.vtkMatrix4x4()
    slicer.util.updateVTKMatrixFromArray(matrix, np.diag([-1.0, -1, 1, 1]) @ loaded.geometry.ijk_to_world)
    scan.SetIJKToRASMatrix(matrix)
    scan.SetAndObserveImageData(image_data(loaded.array))
    assert [node.source for node in lymphNodesOf(scan)] == ["accepted", "corrected"]
