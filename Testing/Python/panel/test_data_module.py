"""Where the Data module shows what belongs to a scan: with its patient and study."""

from __future__ import annotations

from .conftest import ball, mark


def test_what_belongs_to_a_scan_lies_under_its_study(ui, logic, scan):
    import slicer

    from DGSTSegmentLib.panel import roles

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    study = hierarchy.CreateStudyItem(patient, "Study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(scan), study)
    prediction = roles.makeNode(scan, roles.AFTER, "found")
    mark(logic, scan, ball())
    ui.regionRadio.click()
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    for node in (prediction, annotation, roles.rejectedOf(scan), roles.regionOf(annotation)):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study, node.GetName()


def test_what_belongs_to_a_scan_without_a_study_lies_beside_it(ui, logic, scan):
    import slicer

    from DGSTSegmentLib.panel import roles

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    ui.newNodeButton.click()
    item = hierarchy.GetItemByDataNode(roles.nodeOf(scan, roles.ANNOTATION))
    assert hierarchy.GetItemParent(item) == hierarchy.GetSceneItemID()
