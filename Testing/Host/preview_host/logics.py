"""The real MRML scene and logics, started in the order in which they want to be started."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import slicer
from vtkmodules.vtkCommonCore import vtkCollection, vtkLogger

MODULE_LOGICS = {
    "Annotations": "vtkSlicerAnnotationModuleLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "Colors": "vtkSlicerColorLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}
WITHOUT_THEIR_FILES = {"Terminologies"}
SHARE = "share"
COLORS = 64
GOLDEN_RATIO = 0.618034


def new_scene():
    """An empty scene with what every Slicer scene has from the start."""
    scene = slicer.vtkMRMLScene()
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    return scene


def application_logic(scene, folder: str):
    """The logic that views and module logics ask for their surroundings.

    Args:
        folder: takes the place of Slicer's installation and of its temporary folder.
    """
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetTemporaryPath(folder)
    logic.SetHomeDirectory(folder)
    logic.SetShareDirectory(SHARE)
    _write_color_table(Path(folder, SHARE, "ColorFiles"))
    logic.SetMRMLScene(scene)
    logic.GetColorLogic().SetMRMLScene(scene)
    logic.SetSliceLogics(vtkCollection())
    logic.SetViewLogics(vtkCollection())
    for factory in (
        slicer.vtkMRMLSliceViewDisplayableManagerFactory,
        slicer.vtkMRMLThreeDViewDisplayableManagerFactory,
    ):
        factory.GetInstance().SetMRMLApplicationLogic(logic)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    return logic


def remote_io_logics(scene, application) -> list:
    """The logics that read scenes; keep them as long as the scene."""
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.SetMRMLScene(scene)
    remote.AddDataIOToScene()
    data = slicer.vtkDataIOManagerLogic()
    data.SetMRMLApplicationLogic(application)
    data.SetAndObserveDataIOManager(remote.GetDataIOManager())
    application.SetMRMLSceneDataIO(scene, remote, data)
    return [remote, data]


def module_logics(scene, application, folder: str) -> dict[str, object]:
    """The logics of Slicer's own modules, by module name."""
    logics = {}
    for name, class_name in MODULE_LOGICS.items():
        logic = getattr(slicer, class_name)()
        if hasattr(logic, "SetModuleShareDirectory"):
            logic.SetModuleShareDirectory(folder)
        logic.SetMRMLApplicationLogic(application)
        with _silence() if name in WITHOUT_THEIR_FILES else nullcontext():
            logic.SetMRMLScene(scene)
        application.SetModuleLogic(name, logic)
        logics[name] = logic
    return logics


def _write_color_table(folder: Path) -> None:
    """The colors that label volumes take for granted; slicer-core has none."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["0 Background 0 0 0 0"]
    for number in range(1, COLORS):
        rgb = colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1, 0.6, 0.9)
        lines.append(f"{number} {number} {' '.join(str(round(255 * part)) for part in rgb)} 255")
    (folder / "GenericColors.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def _silence() -> Iterator[None]:
    """For a logic that complains of files which slicer-core does not bring; it works without them."""
    before = vtkLogger.GetCurrentVerbosityCutoff()
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtkLogger.SetStderrVerbosity(before)
