"""DGSTSegment: adapt a lymph-node model to your own scans inside 3D Slicer, and review what it finds."""

import sys

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from DGSTSegmentLib.panel import sampledata
from DGSTSegmentLib.panel.logic import DGSTSegmentCore

OLDEST_PYTHON = (3, 10)


class DGSTSegment(ScriptedLoadableModule):
    """What Slicer lists."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("DGSTSegment")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "Markups"]
        self.parent.contributors = ["DGSTSegment contributors"]
        self.parent.helpText = _(
            "Mark a few lymph nodes in a CT, adapt a lymph-node model to them on this machine, and review what it "
            "finds, one finding at a time. Nothing leaves this machine. Research software, not a medical device."
        )
        self.parent.acknowledgementText = _(
            "The method is by Luo et al.: Dynamic Gradient Sparsification Training for Few-Shot Fine-tuning of CT "
            "Lymph Node Segmentation Foundation Model, MICCAI 2025, arXiv:2503.00748. Please cite their paper."
        )
        slicer.app.connect("startupCompleted()", sampledata.register)


class DGSTSegmentWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Brings the panel up and passes on Slicer's coming and going."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = self.panel = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        if sys.version_info < OLDEST_PYTHON:
            self.layout.addWidget(qt.QLabel(_("DGSTSegment needs Slicer 5.10 or newer; please update Slicer.")))
            return
        from DGSTSegmentLib.panel.widget import Panel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/DGSTSegment.ui"))
        self.layout.addWidget(uiWidget)
        self.logic = DGSTSegmentLogic()
        self.panel = Panel(uiWidget, self.logic)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)
        self.panel.bind()
        if self.parent.isEntered:  # Slicer's Reload makes a new panel and does not enter it
            self.enter()

    def cleanup(self):
        self.removeObservers()
        if self.panel is not None:
            self.panel.cleanup()

    def enter(self):
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        if self.panel is not None:
            self.panel.exit()

    def onReload(self):
        """Import the module's package anew too; Slicer itself reads this file only."""
        for name in [name for name in sys.modules if name.split(".")[0] == "DGSTSegmentLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onNodeRemoved(self, caller, event):
        self.panel.onNodeRemoved()

    def onSceneStartClose(self, caller, event):
        self.panel.onSceneStartClose()

    def onSceneEndClose(self, caller, event):
        self.panel.onSceneEndClose(self.parent.isEntered)

    def onSceneStartImport(self, caller, event):
        self.panel.onSceneStartImport()

    def onSceneEndImport(self, caller, event):
        self.panel.onSceneEndImport(self.parent.isEntered)


class DGSTSegmentLogic(DGSTSegmentCore, ScriptedLoadableModuleLogic):
    """All that the module can do, without a widget; see ``DGSTSegmentLib.panel.logic``."""

    def __init__(self, studyFolder=None):
        ScriptedLoadableModuleLogic.__init__(self)
        DGSTSegmentCore.__init__(self, studyFolder)


class DGSTSegmentTest(ScriptedLoadableModuleTest):
    """Annotate, fine-tune and review a made-up scan with the starter; for Slicer's Reload and Test, and ctest."""

    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def runTest(self):
        self.setUp()
        self.test_annotate_finetune_review()

    def test_annotate_finetune_review(self):
        from DGSTSegmentLib.panel.selftest import annotateFinetuneReview

        annotateFinetuneReview(self, DGSTSegmentLogic)
