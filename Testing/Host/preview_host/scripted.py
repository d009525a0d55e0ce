"""``slicer.ScriptedLoadableModule`` and ``slicer.i18n``: what the template of a scripted module builds on."""

from __future__ import annotations

import logging
import sys
import types
import unittest
from pathlib import Path

import slicer

NODE_CLASS = "vtkMRMLScriptedModuleNode"


class ScriptedLoadableModule:
    """What Slicer lists of a module."""

    def __init__(self, parent):
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, filename: str) -> str:
        """A file of the folder ``Resources`` beside the module."""
        return _resource(self.moduleName, filename)

    def getDefaultModuleDocumentationLink(self, docPage=None) -> str:
        """Nothing: the host has no documentation pages."""
        return ""

    def runTest(self, msec: int = 100, **kwargs) -> None:
        """Run the module's test class."""
        _run_test(self.moduleName)


class ScriptedLoadableModuleWidget:
    """The panel of a module; ``parent`` holds it and gives the layout."""

    def __init__(self, parent=None):
        import qt

        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        if parent is None:
            self.parent = slicer.qMRMLWidget()
            self.parent.setLayout(qt.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
            self.layout = self.parent.layout()
            self.setup()
            self.parent.show()
        else:
            self.parent = parent
            self.layout = parent.layout()

    def resourcePath(self, filename: str) -> str:
        """A file of the folder ``Resources`` beside the module."""
        return _resource(self.moduleName, filename)

    def setup(self) -> None:
        """For the module; Slicer's own adds its developer section here, which the host has not."""

    def cleanup(self) -> None:
        """For the module."""

    def onReload(self) -> None:
        """Clean up, read the module's file again, and make a new panel; what the file imports stays as it is."""
        from .start import start

        start().make_again()

    def onTest(self, **kwargs) -> None:
        """Run the module's test class."""
        _run_test(self.moduleName)


class ScriptedLoadableModuleLogic:
    """What a module can do without its panel; keeps its parameter node in the scene."""

    def __init__(self, parent=None):
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self):
        """The module's node in the scene, made if there is none."""
        if self.isSingletonParameterNode:
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, NODE_CLASS)
        else:
            node = next(iter(self.getAllParameterNodes()), None)
        return node or slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self) -> list:
        """All nodes of this module."""
        nodes = slicer.util.getNodesByClass(NODE_CLASS)
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self):
        """A new node of this module, not yet in the scene."""
        node = slicer.mrmlScene.CreateNodeByClass(NODE_CLASS)
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of a module's self test."""

    def delayDisplay(self, message: str, requestedDelay=None, msec=None) -> None:
        """Log the message and let the GUI catch up."""
        logging.info(message)
        slicer.app.processEvents()

    def runTest(self) -> None:
        """For the module."""


def install(slicer_module) -> None:
    """Put both modules into ``slicer`` and ``sys.modules``."""
    classes = (ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic)
    _add(slicer_module, "ScriptedLoadableModule", {c.__name__: c for c in (*classes, ScriptedLoadableModuleTest)})
    _add(slicer_module, "i18n", {"tr": _untranslated, "translate": _untranslated_in_context})


def _add(slicer_module, name: str, content: dict) -> None:
    module = types.ModuleType(f"slicer.{name}", __doc__)
    vars(module).update(content)
    setattr(slicer_module, name, module)
    sys.modules[module.__name__] = module


def _untranslated(text: str) -> str:
    return text


def _untranslated_in_context(context: str, text: str) -> str:
    return text


def _resource(module_name: str, filename: str) -> str:
    return str(Path(slicer.util.modulePath(module_name)).parent / "Resources" / filename)


def _run_test(module_name: str) -> None:
    test_class = getattr(sys.modules[module_name], f"{module_name}Test")
    test_class().runTest()
