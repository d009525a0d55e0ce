"""Section 4: walking through findings, deciding, undoing, filtering, saving."""

from __future__ import annotations

import numpy as np
import pytest

from DGSTSegmentLib.imaging import Geometry, Volume

from ..conftest import tiny_case
from .conftest import balls, mark, open_scan, predicted, press


def found_anew(old, role, token):
    """The findings of ``old`` once more, as a new prediction of the scan in that role."""
    from DGSTSegmentLib.panel import bridge
    from DGSTSegmentLib.panel.prediction import makePrediction

    items = old.findings()
    numbers = bridge.numbersOf(old.node, [item.segmentId for item in items], old.scan).astype(np.int32)
    volume, found = Volume(numbers, bridge.geometryOf(old.scan)), [item.finding.to_json() for item in items]
    return makePrediction(old.scan, role, volume, found, "starter", "Starter", token)


def predicted_again(panel, host, old):
    """The same findings once more, as a new prediction in the place of ``old``."""
    import slicer

    made = found_anew(old, old.role, "again")
    slicer.mrmlScene.RemoveNode(old.node)
    panel.logic.predicted(made)
    host.process_events()
    return made


def test_findings_come_by_size_and_the_first_is_chosen_and_in_the_middle(review, ui):
    import slicer

    from DGSTSegmentLib.panel import bridge

    assert ui.findingsTable.rowCount == 4 and "1 hidden" in ui.countLabel.text
    shorts = [float(ui.findingsTable.item(row, 1).text()) for row in range(4)]
    assert shorts == sorted(shorts, reverse=True)
    finding = review.review.prediction.finding(review.table.chosen).finding
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
    np.testing.assert_allclose(matrix[:3, 3], bridge.toRas(finding.centroid), atol=1e-6)


def test_the_line_above_the_table_says_how_many_findings_have_no_decision(host, review, ui):
    assert ui.countLabel.text == "4 findings, 4 undecided, 1 hidden"
    for key, left in (("a", 3), ("a", 4), ("x", 3)):
        press(host, key)
        assert f"4 findings, {left} undecided" in ui.countLabel.text
    ui.leastShortAxisSpinBox.value = 40
    assert ui.countLabel.text == "0 findings, 5 hidden"


def test_ten_millimetres_and_more_stand_out(ui, review):
    bold = [ui.findingsTable.item(row, 1).font().bold() for row in range(4)]
    assert bold == [True, True, True, False]


def test_arrow_keys_walk_the_table_and_the_views_follow(host, review, ui):
    import slicer
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    first = review.table.chosen
    before = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().GetSliceToRAS().GetElement(0, 3)
    ui.findingsTable.setFocus()
    QTest.keyClick(ui.findingsTable, Qt.Key_Down)
    host.process_events()
    assert review.table.chosen != first
    after = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().GetSliceToRAS().GetElement(0, 3)
    assert abs(after - before) > 5


def test_smaller_findings_show_when_the_limit_is_lowered(review, ui):
    ui.leastShortAxisSpinBox.value = 0
    assert ui.findingsTable.rowCount == 5
    display = review.review.prediction.node.GetDisplayNode()
    ids = {item.number: item.segmentId for item in review.review.prediction.findings()}
    assert all(display.GetSegmentVisibility(id_) for id_ in ids.values())
    ui.leastShortAxisSpinBox.value = 9
    visible = [number for number, id_ in ids.items() if display.GetSegmentVisibility(id_)]
    assert sorted(visible) == sorted(review.table.numbers) and len(visible) == 3


def test_keys_decide_and_pressing_again_takes_back(host, review):
    number = review.table.chosen
    prediction = review.review.prediction
    for key, state in (("a", "accepted"), ("a", "undecided"), ("x", "rejected"), ("a", "accepted")):
        press(host, key)
        assert prediction.finding(number).state == state


def test_next_goes_to_what_has_no_decision_and_ends_when_all_have(host, review):
    walked = []
    for _ in range(4):
        walked.append(review.table.chosen)
        press(host, "a")
        press(host, "n")
    assert walked == review.table.numbers
    assert review.table.chosen == walked[-1]
    assert len(review.review.pending()) == 4


def test_keys_are_silent_while_another_module_is_shown(host, review):
    host.leave()
    press(host, "a")
    assert all(item.state == "undecided" for item in review.review.prediction.findings())
    host.enter()
    press(host, "a")
    assert len(review.review.pending()) == 1


def test_coming_back_leaves_the_views_where_they_were(host, review, ui):
    import slicer

    view = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    view.SetFieldOfView(7.0, 7.0, 1.0)
    view.JumpSliceByCentering(3.0, -4.0, 5.0)
    before = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS()).copy()
    chosen = review.table.chosen
    host.leave()
    host.enter()
    assert view.GetFieldOfView()[0] == 7.0 and review.table.chosen == chosen
    np.testing.assert_array_equal(slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS()), before)


def test_what_was_found_while_another_module_was_shown_is_what_is_shown_then(host, panel, review, ui):
    before = review.review.prediction
    panel.state.parameters.shown = "before"
    host.leave()
    after = found_anew(before, "after", "after")
    panel.logic.predicted(after)
    host.process_events()
    host.enter()
    assert review.review.prediction.node is after.node
    assert after.node.GetDisplayNode().GetVisibility() and not before.node.GetDisplayNode().GetVisibility()


def test_what_is_found_while_a_brush_is_held_leaves_the_views_under_it(host, panel, review, ui, monkeypatch):
    import slicer

    ui.newNodeButton.click()
    view = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    view.JumpSliceByCentering(3.0, -4.0, 5.0)
    before, said = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS()).copy(), []
    monkeypatch.setattr(slicer.util, "showStatusMessage", lambda message, duration=0: said.append(message))
    again = predicted_again(panel, host, review.review.prediction)
    np.testing.assert_array_equal(slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS()), before)
    assert ui.segmentEditor.activeEffect().name == "Paint"
    assert review.review.prediction.node is again.node and review.table.chosen == 0
    assert any("key N goes to the first" in text for text in said)
    press(host, "n")
    assert review.table.chosen == review.table.numbers[0] and ui.segmentEditor.activeEffect() is None


def test_keys_decide_nothing_while_their_section_is_closed_or_a_brush_is_held(host, review, ui):
    first = review.table.chosen
    ui.reviewSection.collapsed = True
    press(host, "x")
    assert review.review.prediction.finding(first).state == "undecided"
    ui.reviewSection.collapsed = False
    ui.newNodeButton.click()
    press(host, "a")
    assert review.review.prediction.finding(first).state == "undecided", "A ends an outline of the effect Draw"
    press(host, "n")
    assert ui.segmentEditor.activeEffect() is None and review.table.chosen
    press(host, "x")
    assert review.review.prediction.finding(review.table.chosen).state == "rejected"


def test_accepted_findings_become_segments_of_their_own_and_undo_takes_them_back(host, review, ui, logic):
    from DGSTSegmentLib.panel import bridge, roles

    numbers = review.table.numbers[:2]
    for number in numbers:
        review.goTo(number)
        press(host, "a")
    ui.applyButton.click()
    scan = review.review.scan
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    for id_, number in zip(bridge.segmentIds(annotation), numbers, strict=True):
        wanted = bridge.segmentMask(
            review.review.prediction.node, review.review.prediction.finding(number).segmentId, scan
        )
        np.testing.assert_array_equal(bridge.segmentMask(annotation, id_, scan), wanted)
    assert not ui.applyButton.enabled
    ui.segmentEditor.undo()
    host.process_events()
    assert bridge.segmentIds(annotation) == []
    assert len(review.review.pending()) == 2


def test_rejected_findings_become_known_background_of_the_case(host, review, ui, logic):
    from DGSTSegmentLib.panel import bridge, roles
    from DGSTSegmentLib.training.case import read_case

    press(host, "a")
    press(host, "n")
    rejected = review.table.chosen
    press(host, "x")
    ui.applyButton.click()
    ui.addCaseButton.click()
    scan = review.review.scan
    mask = bridge.segmentMask(review.review.prediction.node, review.review.prediction.finding(rejected).segmentId, scan)
    case = read_case(logic.study.case_files()[0])
    np.testing.assert_array_equal(case.rejected.array, mask)
    assert not roles.nodeOf(scan, roles.REJECTED).GetDisplayNode().GetVisibility()


def test_a_decision_that_is_changed_moves_from_background_to_annotation(host, review, ui, logic):
    from DGSTSegmentLib.panel import bridge, roles

    press(host, "x")
    ui.applyButton.click()
    press(host, "a")
    ui.applyButton.click()
    scan = review.review.scan
    assert bridge.segmentIds(roles.nodeOf(scan, roles.REJECTED)) == []
    assert len(bridge.segmentIds(roles.nodeOf(scan, roles.ANNOTATION))) == 1
    press(host, "a")
    ui.applyButton.click()
    assert bridge.segmentIds(roles.nodeOf(scan, roles.ANNOTATION)) == []


def test_deciding_twice_does_not_annotate_twice(host, review, ui):
    from DGSTSegmentLib.panel import bridge, roles

    press(host, "a")
    ui.applyButton.click()
    review.review.apply()
    assert len(bridge.segmentIds(roles.nodeOf(review.review.scan, roles.ANNOTATION))) == 1


def test_a_prediction_deleted_elsewhere_leaves_an_empty_review(host, review, ui):
    import slicer

    slicer.mrmlScene.RemoveNode(review.review.prediction.node)
    host.process_events()
    assert review.review is None and ui.findingsTable.rowCount == 0
    press(host, "a")
    press(host, "n")
    assert not ui.acceptButton.enabled


def test_what_is_annotated_already_needs_no_decision_and_is_not_annotated_twice(host, review, ui):
    from DGSTSegmentLib.panel import bridge, roles

    press(host, "a")
    ui.applyButton.click()
    annotation = roles.nodeOf(review.review.scan, roles.ANNOTATION)
    prediction = review.review.prediction
    first = review.table.chosen
    prediction.setState(first, "undecided")
    annotation.GetSegmentation().GetNthSegment(0).RemoveTag("DGSTSegment.From")
    review.reload()
    assert prediction.finding(first).state == "annotated"
    press(host, "x")
    assert prediction.finding(first).state == "annotated", "the annotation would win, silently"
    assert not review.review.pending()
    review.goToFirst()
    assert review.table.chosen != first
    review.goTo(first)
    press(host, "a")
    ui.applyButton.click()
    assert len(bridge.segmentIds(annotation)) == 1


def test_what_was_rejected_before_is_not_asked_about_again(host, panel, review, ui):
    press(host, "x")
    ui.applyButton.click()
    numbers = review.review.prediction
    again = predicted_again(panel, host, numbers)
    states = [item.state for item in again.findings()]
    assert states.count("refused") == 1 and states.count("undecided") == 4


def test_a_finding_is_never_decided_on_unseen(host, panel, review, ui):
    """The number chosen in one prediction means nothing in another one."""
    review.goTo(review.table.numbers[2])
    shape = (30, 40, 40)
    array = balls(shape, [(10, 10, 10), (10, 30, 30), (20, 10, 30)], [6, 5, 4])
    predicted(panel, host, Volume(array, Geometry.from_parts(shape, (1, 1, 1))), "Other")
    assert panel.review.table.chosen == panel.review.table.numbers[0]


def test_another_scan_hides_what_belongs_to_the_first(host, panel, review, ui):
    from DGSTSegmentLib.panel import roles

    press(host, "a")
    ui.applyButton.click()
    first = review.review.scan
    nodes = [roles.nodeOf(first, roles.ANNOTATION), review.review.prediction.node]
    assert all(node.GetDisplayNode().GetVisibility() for node in nodes)
    open_scan(panel, host, tiny_case(1)[0], "Other")
    assert not any(node.GetDisplayNode().GetVisibility() for node in nodes)
    ui.inputVolumeSelector.setCurrentNode(first)
    assert all(node.GetDisplayNode().GetVisibility() for node in nodes)


def test_choosing_a_scan_shows_it(host, panel, ui):
    import slicer

    node = open_scan(panel, host, tiny_case(1)[0], "Other")
    red = slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceCompositeNode()
    assert red.GetBackgroundVolumeID() == node.GetID()


def test_a_scan_with_one_prediction_shows_it_whatever_was_chosen_before(host, panel, ui):
    shape = (30, 40, 40)
    array = balls(shape, [(10, 10, 10), (10, 30, 30)], [6, 5])
    panel.state.parameters.shown = "before"
    made = predicted(panel, host, Volume(array, Geometry.from_parts(shape, (1, 1, 1))), "One", role="after")
    panel.state.parameters.shown = "before"
    panel.review.showScan()
    assert panel.review.review.prediction.node is made.node and ui.findingsTable.rowCount == 2


def test_edit_takes_the_finding_into_the_annotation_and_arms_the_brush(host, review, ui):
    from DGSTSegmentLib.panel import bridge, roles

    press(host, "e")
    annotation = roles.nodeOf(review.review.scan, roles.ANNOTATION)
    assert ui.segmentEditor.currentSegmentID() == bridge.segmentIds(annotation)[0]
    assert ui.segmentEditor.activeEffect().name == "Paint"
    assert not review.review.pending()


@pytest.fixture
def trimmed(host, review):
    """The first finding taken into the annotation and cut in half there: its scan and where the erased half lay."""
    from DGSTSegmentLib.panel import bridge, roles
    from DGSTSegmentLib.panel.placed import PlacedMask

    press(host, "e")
    scan = review.review.scan
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    (id_,) = bridge.segmentIds(annotation)
    whole, geometry = bridge.segmentMask(annotation, id_, scan), bridge.geometryOf(scan)
    kept = whole.copy()
    kept[: np.argwhere(whole)[:, 0].min() + 2] = False
    bridge.setSegmentMask(annotation, id_, PlacedMask.of(kept), geometry)
    return scan, whole & ~kept


def saved_rejection(logic, scan):
    """Adds the case, or brings it up to date; the known background that fine-tuning reads with it."""
    from DGSTSegmentLib.training.case import read_case

    logic.addToTrainingSet(scan)
    case = read_case(logic.study.case_files()[0])
    return None if case.rejected is None else case.rejected.array > 0


def test_what_is_erased_of_a_finding_becomes_known_background(trimmed, logic):
    from DGSTSegmentLib.training.case import read_case
    from DGSTSegmentLib.training.knowledge import REJECTED, knowledge_of

    scan, erased = trimmed
    assert erased.any()
    np.testing.assert_array_equal(saved_rejection(logic, scan), erased)
    (stored,) = logic.study.cases()
    assert (stored.marked, stored.rejected, stored.corrected) == (1, 0, 1)
    case = read_case(logic.study.case_files()[0])
    assert case.completeness == "marked" and (knowledge_of(case)[erased] == REJECTED).all()


def test_what_is_painted_again_is_no_longer_erased(trimmed, logic):
    from DGSTSegmentLib.panel import bridge, roles
    from DGSTSegmentLib.panel.placed import PlacedMask

    scan, erased = trimmed
    saved_rejection(logic, scan)
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    (id_,) = bridge.segmentIds(annotation)
    whole = bridge.segmentMask(annotation, id_, scan) | erased
    bridge.setSegmentMask(annotation, id_, PlacedMask.of(whole), bridge.geometryOf(scan))
    assert saved_rejection(logic, scan) is None
    assert logic.study.cases()[0].corrected == 0


def test_what_was_erased_stays_so_without_the_prediction_and_goes_with_the_lymph_node(trimmed, review, logic):
    import slicer

    from DGSTSegmentLib.panel import bridge, roles

    scan, erased = trimmed
    saved_rejection(logic, scan)
    slicer.mrmlScene.RemoveNode(review.review.prediction.node)
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    other = mark(logic, scan, np.roll(erased, 8, axis=0))
    assert other in bridge.segmentIds(annotation)
    np.testing.assert_array_equal(saved_rejection(logic, scan), erased)
    annotation.GetSegmentation().RemoveSegment(bridge.segmentIds(annotation)[0])
    assert saved_rejection(logic, scan) is None


def test_a_case_that_is_opened_again_still_knows_what_was_erased(host, trimmed, logic):
    from DGSTSegmentLib.panel import bridge, roles

    scan, erased = trimmed
    saved_rejection(logic, scan)
    host.close_scene()
    scan = logic.trainingSet.open(logic.study.cases()[0].id)
    np.testing.assert_array_equal(bridge.unionMask(roles.nodeOf(scan, roles.REJECTED), scan), erased)
    assert not logic.trainingSet.hasChanges(scan)
    mark(logic, scan, np.roll(erased, 8, axis=0))
    logic.addToTrainingSet(scan)
    assert (logic.study.cases()[0].marked, logic.study.cases()[0].corrected) == (2, 1)


def test_the_overlap_with_the_annotation_is_told(host, review, ui):
    press(host, "a")
    ui.applyButton.click()
    column = [ui.findingsTable.item(row, 6).text() for row in range(4)]
    assert column == ["100 %", "0 %", "0 %", "0 %"]


def test_where_a_finding_lies_follows_what_another_module_does_to_it(host, review, ui):
    from DGSTSegmentLib.panel import bridge
    from DGSTSegmentLib.panel.placed import PlacedMask

    press(host, "a")
    ui.applyButton.click()
    prediction = review.review.prediction
    item = prediction.findings()[0]
    found = prediction.masksOf([item])[item.number]
    half = PlacedMask(found.mask.copy(), found.first)
    half.mask[half.mask.shape[0] // 2 :] = False
    bridge.setSegmentMask(prediction.node, item.segmentId, half, bridge.geometryOf(prediction.scan))
    now = prediction.masksOf([item])[item.number]
    np.testing.assert_array_equal(now.mask, half.tight().mask)
    assert now.box == half.tight().box


def test_a_finding_of_which_a_whole_node_is_left_still_wants_a_decision(host, panel, ui, logic):
    shape = (40, 60, 60)
    array = balls(shape, [(20, 20, 30), (20, 41, 30)], [12, 10])
    joined = Volume((array > 0).astype(np.uint16), Geometry.from_parts(shape, (1, 1, 1)))
    made = predicted(panel, host, joined, "Joined")
    mark(logic, made.scan, array == 1)
    panel.review.reload()
    assert 0.5 < panel.review.overlaps[1] < 0.9 and made.finding(1).state == "undecided"
    most = array == 1
    most[:, 27:48] |= array[:, 27:48] == 2
    mark(logic, made.scan, most)
    panel.review.reload()
    assert panel.review.overlaps[1] > 0.9 and made.finding(1).state == "annotated"


def test_the_overlay_is_seen_and_outline_only_leaves_the_inside_free(host, review, ui):
    from preview_host.probes import pixels

    def inside():
        picture = pixels("Red").astype(int)
        middle = picture[picture.shape[0] // 2 - 2 : picture.shape[0] // 2 + 2, picture.shape[1] // 2 - 2 :][:, :4]
        return middle.mean(axis=(0, 1))

    filled = inside()
    assert filled[0] - filled[2] > 20, "before fine-tuning findings are orange"
    ui.outlineCheckBox.click()
    free = inside()
    assert abs(free[0] - free[2]) < 3
    picture = pixels("Red").astype(int)
    assert ((picture[..., 0] - picture[..., 2]) > 60).any(), "the outline itself is there"


def test_findings_are_seen_in_the_3d_view(host, review):
    import slicer
    from preview_host.probes import pixels

    def orange():
        slicer.app.layoutManager().resetThreeDViews()
        picture = pixels("3D").astype(int)
        return int((picture[..., 0] - picture[..., 2] > 60).sum())

    assert orange() > 100
    review.review.prediction.node.GetDisplayNode().SetVisibility(False)
    assert orange() < 10


def test_the_opacity_slider_dims_the_fill(host, review, ui):
    display = review.review.prediction.node.GetDisplayNode()
    ui.opacitySlider.value = 0.8
    assert display.GetOpacity2DFill() == pytest.approx(0.8)
    ui.opacitySlider.value = 0.1
    assert display.GetOpacity2DFill() == pytest.approx(0.1)


def test_two_hundred_findings_are_all_in_the_table(host, panel, ui):
    shape = (32, 92, 92)
    centers = [(k, j, i) for k in (5, 16, 27) for j in range(5, 92, 10) for i in range(5, 92, 10)][:200]
    array = balls(shape, centers, [3 + n % 3 / 2 for n in range(200)])
    made = predicted(panel, host, Volume(array, Geometry.from_parts(shape, (1, 1, 1))), "Crowded")
    assert len(made.findings()) == 200
    assert ui.findingsTable.rowCount == 200
    press(host, "a")
    press(host, "n")
    assert len(panel.review.review.pending()) == 1


def test_start_from_finding_takes_the_finding_that_is_shown(host, panel, ui):
    """Also where only one prediction exists, and the other one was chosen to be shown before."""
    from DGSTSegmentLib.panel import bridge, roles

    shape = (30, 40, 40)
    array = balls(shape, [(10, 10, 10), (10, 30, 30)], [6, 5])
    made = predicted(panel, host, Volume(array, Geometry.from_parts(shape, (1, 1, 1))), "One", role="after")
    panel.state.parameters.shown = "before"
    panel.review.showScan()
    panel.review.goTo(panel.review.table.numbers[1])
    panel.annotate.refresh()
    ui.fromFindingButton.click()
    annotation = roles.nodeOf(made.scan, roles.ANNOTATION)
    wanted = bridge.segmentMask(made.node, made.finding(panel.review.table.chosen).segmentId, made.scan)
    np.testing.assert_array_equal(bridge.unionMask(annotation, made.scan), wanted)
    assert ui.segmentEditor.activeEffect().name == "Paint"
