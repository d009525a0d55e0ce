"""Stand-in for the manager that loads and saves, by Slicer's own logics and storage nodes."""

from __future__ import annotations

from pathlib import Path

import slicer
from vtkmodules.vtkCommonCore import vtkCommand

WRITERS = {
    "vtkMRMLSegmentationNode": "SegmentationFile",
    "vtkMRMLVolumeNode": "VolumeFile",
    "vtkMRMLTableNode": "TableFile",
    "vtkMRMLMarkupsNode": "MarkupsFile",
    "vtkMRMLModelNode": "ModelFile",
}
READERS = {
    "SegmentationFile": (".seg.nrrd", ".seg.nhdr"),
    "SceneFile": (".mrml", ".mrb"),
    "TableFile": (".csv", ".tsv"),
    "MarkupsFile": (".mrk.json",),
    "ModelFile": (".vtk", ".vtp", ".stl", ".obj"),
    "VolumeFile": (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"),
}


class CoreIOManager:
    """Files to nodes and back, for the types that the module uses."""

    def __init__(self, scene, application_logic, module_logics: dict[str, object]):
        self._scene, self._application_logic, self._logics = scene, application_logic, module_logics

    def fileType(self, fileName: str) -> str:
        """The type of a file by its name; ``NoFile`` when nothing reads it."""
        name = Path(fileName).name.lower()
        return next((kind for kind, endings in READERS.items() if name.endswith(endings)), "NoFile")

    def fileWriterFileType(self, node) -> str:
        """The type of file that a node is saved as."""
        return next((kind for class_name, kind in WRITERS.items() if node.IsA(class_name)), "NoFile")

    def loadNodes(self, fileType: str, parameters: dict, loadedNodes, userMessages) -> bool:
        """Load a file; nodes are appended to ``loadedNodes``, what went wrong to ``userMessages``."""
        readers = {
            "VolumeFile": self._load_volume,
            "SegmentationFile": self._load_segmentation,
            "SceneFile": self._load_scene,
            "TableFile": lambda path, _: self._logics["Tables"].AddTable(path),
            "MarkupsFile": self._load_markups,
            "ModelFile": lambda path, _: self._logics["Models"].AddModel(path),
        }
        path = str(parameters["fileName"])
        if fileType not in readers or not Path(path).is_file():
            userMessages.AddMessage(vtkCommand.ErrorEvent, f"cannot read {path}")
            return False
        loaded = readers[fileType](path, parameters)
        if isinstance(loaded, slicer.vtkMRMLNode) and loadedNodes is not None:
            loadedNodes.AddItem(loaded)
        return bool(loaded)

    def saveNodes(self, fileType: str, parameters: dict, userMessages=None) -> bool:
        """Save a node, or the scene, as a file."""
        path = str(parameters["fileName"])
        if fileType == "SceneFile":
            return self._save_scene(path, userMessages)
        node = self._scene.GetNodeByID(parameters["nodeID"])
        node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        if "useCompression" in parameters:
            storage.SetUseCompression(int(parameters["useCompression"]))
        return bool(storage.WriteData(node))

    def _load_volume(self, path: str, parameters: dict):
        options = int(parameters.get("labelmap", False)) + 2 * int(parameters.get("center", False))
        return self._logics["Volumes"].AddArchetypeVolume(path, parameters.get("name", _stem(path)), options)

    def _load_segmentation(self, path: str, parameters: dict):
        name = parameters.get("name", "")
        return self._logics["Segmentations"].LoadSegmentationFromFile(path, True, name)

    def _load_markups(self, path: str, parameters: dict):
        node_id = self._logics["Markups"].LoadMarkups(path, parameters.get("name", _stem(path)))
        return self._scene.GetNodeByID(node_id) if node_id else None

    def _load_scene(self, path: str, parameters: dict) -> bool:
        clear = parameters.get("clear", False)
        if path.endswith(".mrb"):
            return bool(self._scene.ReadFromMRB(path, clear))
        self._scene.SetURL(path)
        return bool(self._scene.Connect() if clear else self._scene.Import())

    def _save_scene(self, path: str, messages) -> bool:
        if path.endswith(".mrb"):
            return bool(self._scene.WriteToMRB(path, None, messages))
        if path.endswith(".mrml"):
            self._scene.SetURL(path)
            return bool(self._scene.Commit(path))
        return bool(self._application_logic.SaveSceneToSlicerDataBundleDirectory(path, None, messages))


def _stem(path: str) -> str:
    return Path(path).name.removesuffix(".gz").rsplit(".", 1)[0]
