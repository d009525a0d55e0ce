"""The module's own test, in whatever Slicer it runs: annotate, fine-tune and review a made-up scan."""

from __future__ import annotations

import shutil
import tempfile

import numpy as np
import slicer

from . import bridge, dependencies, lymphnode, roles, sampledata
from .placed import PlacedMask

STEPS = 3


def annotateFinetuneReview(test, makeLogic) -> None:
    """The whole way by the logic.

    Args:
        test: ``ScriptedLoadableModuleTest``, for its assertions and messages.
        makeLogic: makes the module's logic for a study folder.

    Raises:
        unittest.SkipTest: packages of the engine are missing.
    """
    missing = dependencies.missing()
    if missing:
        test.skipTest(f"{', '.join(missing)} are not installed; find lymph nodes once to install them")
    folder = tempfile.mkdtemp(prefix="dgst-selftest-")
    remembered = makeLogic().settings.studyFolder
    logic = makeLogic(folder)
    try:
        scan = sampledata.loadPhantom()
        _annotate(test, logic, scan)
        _finetune(test, logic)
        _review(test, logic, scan)
        test.assertEqual(logic.settings.studyFolder, remembered)
    finally:
        logic.close()
        shutil.rmtree(folder, ignore_errors=True)
    test.delayDisplay("Annotate, fine-tune, review: passed.")


def _annotate(test, logic, scan) -> None:
    from ..imaging.phantoms import make_phantom

    test.delayDisplay("Marking a lymph node")
    nodes = make_phantom("target", sampledata.SEED).nodes
    annotation = logic.annotation(scan)
    segmentId = lymphnode.addLymphNode(annotation)
    value = np.bincount(nodes.array[nodes.array > 0]).argmax()
    bridge.setSegmentMask(annotation, segmentId, PlacedMask.of(nodes.array == value), nodes.geometry)
    np.testing.assert_array_equal(bridge.segmentMask(annotation, segmentId, scan), nodes.array == value)
    case = logic.addToTrainingSet(scan)
    test.assertEqual(case.marked, 1)


def _finetune(test, logic) -> None:
    test.delayDisplay("Fine-tuning for some steps")
    steps = []
    task = logic.fineTune(steps=STEPS, device="cpu")
    task.progressed.connect(lambda event: steps.append(event["step"]) if event["phase"] == "train" else None)
    result = task.wait(600)
    test.assertEqual(result["steps"], STEPS)
    test.assertEqual(steps[-1], STEPS)
    test.assertGreater(result["weights_changed"], 0)
    test.assertEqual(logic.models.current.spec, "starter", "no model comes into use without the user's word")
    logic.models.use(result["model"])


def _review(test, logic, scan) -> None:
    test.delayDisplay("Finding lymph nodes with the new model")
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    before = bridge.unionMask(annotation, scan)
    prediction = logic.findLymphNodes(scan).wait(600)
    test.assertEqual(prediction.role, roles.AFTER)
    np.testing.assert_array_equal(bridge.unionMask(annotation, scan), before)
    findings = prediction.findings()
    test.assertGreater(len(findings), 1)
    review = logic.review(scan)
    review.accept(findings[0].number)
    review.reject(findings[1].number)
    applied = review.apply()
    test.assertEqual((applied.annotated, applied.rejected), (1, 1))
    count = annotation.GetSegmentation().GetNumberOfSegments()
    test.assertEqual(count, 2 - applied.merged, "a finding over the marked node becomes one with it")
    test.assertEqual(logic.addToTrainingSet(scan).rejected, 1)
    slicer.app.processEvents()
