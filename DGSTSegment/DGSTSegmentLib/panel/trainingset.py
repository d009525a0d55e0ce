"""The training set: cases between the scene and the study folder."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from ..errors import InputError
from ..training.study import ANNOTATION_FILE, IMAGE_FILE, REJECTED_FILE, FileWriter, Study, StudyCase
from . import bridge, roles
from .signal import Signal

_COMPLETENESS = "DGSTSegment.Completeness"
_SAVED, _SAVED_AT = "DGSTSegment.Saved", "DGSTSegment.SavedAt"
"""What of a scan is in the training set, and since when: another scene may have saved something newer."""


class TrainingSet:
    """Annotated scans that the next fine-tuning learns from.

    Args:
        study: where they are kept.

    Attributes:
        changed: signal after a case came, changed or went.
    """

    def __init__(self, study: Study):
        self.study = study
        self.changed = Signal()
        self._savedAt: dict[str, tuple] = {}
        self._images: dict[str, tuple] = {}

    def cases(self) -> list[StudyCase]:
        """Raises:
        InputError: the study folder cannot be read.
        """
        return self.study.cases()

    def caseOf(self, scan) -> StudyCase | None:
        """The scan's case; None where it is not in the training set.

        Raises:
            InputError: the study folder cannot be read.
        """
        return self.study.case(roles.caseOf(scan, self._place))

    def save(self, scan, replaceNewer: bool = False) -> StudyCase:
        """Add a scan with its annotation to the training set, or bring its case up to date.

        Args:
            replaceNewer: also where the case was saved from another scene since this one had it.

        Raises:
            InputError: nothing is marked, the box is missing, a transform moves scan or marks, the case is newer or
                holds the same scan under another name, or the study folder cannot be written to.
        """
        old = self.caseOf(scan)
        case = self._described(scan, old, replaceNewer)
        writers = self._writers(scan, case)
        saved = self.study.update(case, writers) if old else self.study.add(case, writers)
        roles.setCase(scan, self._place, saved.id)
        self._remember(scan, saved)
        self.changed()
        return saved

    def _described(self, scan, old: StudyCase | None, replaceNewer: bool) -> StudyCase:
        """What is to be saved of a scan, in place of ``old``.

        Raises:
            InputError: as ``save``.
        """
        annotation, rejected = (roles.nodeOf(scan, role) for role in (roles.ANNOTATION, roles.REJECTED))
        completeness, marked, refused = completenessOf(annotation), _countMarked(annotation), _countMarked(rejected)
        name = scan.GetName()
        if not marked and not refused and completeness != "all":
            raise InputError(
                _("No lymph node is marked in {scan}; mark at least one, or say that you marked every one.").format(
                    scan=name
                )
            )
        bridge.geometryOf(scan)
        bridge.refuseMoved(annotation, rejected)
        if self._isOlderThan(scan, old) and not replaceNewer:
            raise InputError(
                _(
                    "{scan} was changed in the training set since this scene had it; remove it here, and open it there."
                ).format(scan=name)
            )
        image = old.image if old is not None and self._isImageSaved(scan) else ""
        image = image or _imageDigest(scan)
        if old is None:
            self._refuseTwin(scan, image)
        return StudyCase(
            id=old.id if old else "",
            name=old.name if old else name,
            completeness=completeness,
            boxes=[boxOf(roles.regionOf(annotation))] if completeness == "region" else [],
            marked=marked,
            rejected=refused,
            image=image,
        )

    def _writers(self, scan, case: StudyCase) -> dict[str, FileWriter]:
        """What writes the files of a case; the image only where it is new or has changed."""
        annotation, rejected = (roles.nodeOf(scan, role) for role in (roles.ANNOTATION, roles.REJECTED))
        writers: dict[str, FileWriter] = {ANNOTATION_FILE: lambda path: _writeSegmentation(annotation, scan, path)}
        if case.rejected:
            writers[REJECTED_FILE] = lambda path: _writeSegmentation(rejected, scan, path)
        if not case.id or not self._isImageSaved(scan):
            writers[IMAGE_FILE] = lambda path: _writeVolume(scan, path)
        return writers

    def _isImageSaved(self, scan) -> bool:
        """Whether the scan's voxels and place are still those of the case."""
        return self._images.get(scan.GetID()) == _imageState(scan)

    def _refuseTwin(self, scan, image: str) -> None:
        """One scan in two cases would be learned from and measured on at once."""
        twin = next((case for case in self.cases() if case.image == image), None)
        if twin is not None:
            raise InputError(
                _("{scan} is in the training set already, as {name}; open that case and go on marking there.").format(
                    scan=scan.GetName(), name=twin.name
                )
            )

    def isOlder(self, scan) -> bool:
        """Whether the scan's case was saved from another scene since this one saved or opened it."""
        return self._isOlderThan(scan, self.caseOf(scan))

    def _isOlderThan(self, scan, case: StudyCase | None) -> bool:
        known = _savedAt(scan).get(self._place)
        return case is not None and known is not None and known != case.changed

    def hasChanges(self, scan) -> bool:
        """Whether an open case of the training set was changed since it was saved or opened."""
        return self._differs(scan, self.caseOf(scan))

    def _differs(self, scan, case: StudyCase | None) -> bool:
        if case is None:
            return False
        if self._isOlderThan(scan, case):
            return True
        if scan.GetID() not in self._savedAt:  # it came with a saved scene
            isSaved = scan.GetAttribute(_SAVED) == _digest(scan)
            self._savedAt[scan.GetID()] = _state(scan) if isSaved else ()
        return _state(scan) != self._savedAt[scan.GetID()]

    def changedScans(self) -> list:
        """The open scans of the training set that were changed since they were saved or opened, and those of which that
        cannot be told, since a transform moves them."""
        return [scan for scan in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if self._mayHaveChanges(scan)]

    def _mayHaveChanges(self, scan) -> bool:
        case = self.caseOf(scan)
        return case is not None and (scan.GetParentTransformNode() is not None or self._differs(scan, case))

    def newScans(self) -> list:
        """The open scans that hold marks or refusals and are not in the training set."""
        scans = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        return [
            scan
            for scan in scans
            if self.caseOf(scan) is None
            and any(_countMarked(roles.nodeOf(scan, role)) for role in (roles.ANNOTATION, roles.REJECTED))
        ]

    def forgetScene(self) -> None:
        """The scene closes: other scans may get the same ids."""
        self._savedAt.clear()
        self._images.clear()

    def _remember(self, scan, case: StudyCase) -> None:
        scan.SetAttribute(_SAVED, _digest(scan))
        scan.SetAttribute(_SAVED_AT, json.dumps({**_savedAt(scan), self._place: case.changed}))
        self._savedAt[scan.GetID()] = _state(scan)
        self._images[scan.GetID()] = _imageState(scan)

    def marksLost(self, scan) -> int:
        """How many marked nodes of the stored case ``save`` would take away."""
        case = self.caseOf(scan)
        return 0 if case is None else max(0, case.marked - _countMarked(roles.nodeOf(scan, roles.ANNOTATION)))

    def open(self, id_: str):
        """Bring a case into the scene; where it is open already, that scan, with what was changed since.

        Returns the scan's volume node.

        Raises:
            InputError: a file of the case is missing or damaged, or an older state of the case is open.
        """
        scan, case = roles.scanOfCase(self._place, id_), self.study.case(id_)
        if case is None:
            raise InputError(_("The case {name} is not in the study folder any more.").format(name=id_))
        if scan is None:
            return self._load(case)
        if self._isOlderThan(scan, case):
            raise InputError(
                _(
                    "{scan} is open as it was before the training set was changed; remove it here, then open it again."
                ).format(scan=scan.GetName())
            )
        if roles.nodeOf(scan, roles.ANNOTATION) is None:  # it was deleted in another module
            self._loadMarks(case, scan, [])
        return scan

    def _load(self, case: StudyCase):
        made = []
        try:
            path = self.study.case_folder(case.id) / IMAGE_FILE
            scan = _readInto("vtkMRMLScalarVolumeNode", case.name, path, made)
            self._loadMarks(case, scan, made)
        except InputError:
            for node in made:
                slicer.mrmlScene.RemoveNode(node)
            raise
        roles.setCase(scan, self._place, case.id)
        self._remember(scan, case)
        return scan

    def _loadMarks(self, case: StudyCase, scan, made: list) -> None:
        """Annotation, refused findings and box of a case beside its scan; new nodes are noted in ``made``."""
        folder = self.study.case_folder(case.id)
        name = _("{scan}: lymph nodes").format(scan=case.name)
        annotation = _readInto("vtkMRMLSegmentationNode", name, folder / ANNOTATION_FILE, made)
        roles.claim(annotation, scan, roles.ANNOTATION)
        annotation.SetReferenceImageGeometryParameterFromVolumeNode(scan)
        if case.rejected and roles.nodeOf(scan, roles.REJECTED) is None:
            name = _("{scan}: no lymph nodes").format(scan=case.name)
            rejected = _readInto("vtkMRMLSegmentationNode", name, folder / REJECTED_FILE, made)
            roles.claim(rejected, scan, roles.REJECTED)
            rejected.GetDisplayNode().SetVisibility(False)
        setCompleteness(annotation, case.completeness)
        if case.boxes:
            roles.setRegion(annotation, makeRegion(case.name, case.boxes[0]))

    def remove(self, id_: str) -> Path:
        """Take a case out; the scene keeps what is open, the files go to the study's folder ``removed``.

        Raises:
            InputError: the study folder cannot be written to.
        """
        place = self.study.remove(id_)
        scan = roles.scanOfCase(self._place, id_)
        if scan is not None:
            roles.setCase(scan, self._place, "")
        self.changed()
        return place

    @property
    def _place(self) -> str:
        return self.study.key


def completenessOf(annotation) -> str:
    """What an unmarked voxel of the annotation means: a name in ``training.case_files.COMPLETENESS``."""
    return (annotation.GetAttribute(_COMPLETENESS) if annotation is not None else None) or "marked"


def setCompleteness(annotation, name: str) -> None:
    annotation.SetAttribute(_COMPLETENESS, name)


def makeRegion(name: str, box: list[float]):
    """A box (ROI node) from opposite corners ``[x0, y0, z0, x1, y1, z1]``, LPS mm. It cannot be turned."""
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", _("{scan}: box").format(scan=name))
    roi.CreateDefaultDisplayNodes()
    low, high = box[:3], box[3:]
    roi.SetCenter(*bridge.toRas([(a + b) / 2 for a, b in zip(low, high, strict=True)]))
    roi.SetSize(*[abs(b - a) for a, b in zip(low, high, strict=True)])
    display = roi.GetDisplayNode()
    display.SetFillVisibility(False)
    display.SetHandlesInteractive(True)
    display.SetRotationHandleVisibility(False)
    return roi


def boxOf(roi) -> list[float]:
    """Opposite corners ``[x0, y0, z0, x1, y1, z1]`` of a box, LPS mm.

    Raises:
        InputError: there is no box, it is empty, or it is turned.
    """
    if roi is None or min(roi.GetSize()) <= 0:
        raise InputError(
            _("There is no box to say where every lymph node is marked; place it, or choose another sentence.")
        )
    toWorld = slicer.util.arrayFromVTKMatrix(roi.GetObjectToWorldMatrix())[:3, :3]
    if abs(abs(toWorld) - abs(toWorld).round()).max() > 1e-3:
        raise InputError(
            _("The box {name} is turned; make a new one that lies straight in the patient.").format(name=roi.GetName())
        )
    bounds = [0.0] * 6
    roi.GetBounds(bounds)
    x0, x1, y0, y1, z0, z1 = bounds
    return [-x1, -y1, z0, -x0, -y0, z1]


def _countMarked(node) -> int:
    if node is None:
        return 0
    return sum(not bridge.isEmpty(node, id_) for id_ in bridge.segmentIds(node))


def _digest(scan) -> str:
    """Names what ``save`` would write; the same in every scene that holds the same."""
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    place = np.round(bridge.geometryOf(scan).ijk_to_world, 4).tolist()
    digest = hashlib.sha256(repr((completenessOf(annotation), _box(annotation), place)).encode())
    for node in (annotation, roles.nodeOf(scan, roles.REJECTED)):
        for id_ in bridge.segmentIds(node) if node is not None else []:
            if not bridge.isEmpty(node, id_):
                digest.update(np.packbits(bridge.segmentMask(node, id_, scan)).tobytes())
    return digest.hexdigest()


def _box(annotation) -> tuple:
    roi = roles.regionOf(annotation) if annotation is not None else None
    return () if roi is None else tuple(round(x, 3) for x in (*roi.GetCenter(), *roi.GetSize()))


def _state(scan) -> tuple:
    """Quick to tell, good for one scene: changes with the annotation, the refusals, the completeness and the box."""
    annotation = roles.nodeOf(scan, roles.ANNOTATION)
    rejected = roles.nodeOf(scan, roles.REJECTED)
    painted = [bridge.paintedState(node) for node in (annotation, rejected) if node is not None]
    return (*painted, completenessOf(annotation), _box(annotation), _imageState(scan))


def _imageState(scan) -> tuple:
    """Changes with the scan's voxels and its place, as when a transform is hardened on it."""
    image = scan.GetImageData()
    matrix = vtk.vtkMatrix4x4()
    scan.GetIJKToRASMatrix(matrix)
    return (image.GetMTime() if image is not None else 0, *slicer.util.arrayFromVTKMatrix(matrix).ravel().tolist())


def _writeVolume(scan, path: Path) -> None:
    """Through a storage node of its own, so that the scan's own file stays where the user has it."""
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(False)
    if not storage.WriteData(scan):
        raise OSError(_("the scan could not be written, the disk may be full"))
    _refuseBroken(path, isScan=True)


def _writeSegmentation(node, scan, path: Path) -> None:
    """An empty one has no place of its own; it is written as an empty labelmap on the scan's grid."""
    if not _countMarked(node):
        storage, node = slicer.vtkMRMLNRRDStorageNode(), bridge.labelmapOf(np.uint8(0), scan)
    else:
        node.SetReferenceImageGeometryParameterFromVolumeNode(scan)
        storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(node):
        raise OSError(_("the segmentation could not be written, the disk may be full"))
    _refuseBroken(path, isScan=False)


def _refuseBroken(path: Path, isScan: bool) -> None:
    """Raises:
    OSError: the disk does not take the file, which Slicer's writer does not hear of where it fills at the end.
    InputError: the file cannot be read, or holds what cannot be learned from.
    """
    from ..imaging.files import read_segments, read_volume

    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    (read_volume if isScan else read_segments)(path)


def _savedAt(scan) -> dict[str, str]:
    """When each study's case of the scan was saved, as far as this scene knows, by the study's key."""
    return json.loads(scan.GetAttribute(_SAVED_AT) or "{}")


def _imageDigest(scan) -> str:
    """Tells the voxels of a scan from any others'."""
    array = slicer.util.arrayFromVolume(scan)
    return hashlib.blake2b(np.ascontiguousarray(array), digest_size=16).hexdigest()


def _readInto(nodeClass: str, name: str, path: Path, made: list):
    """A new node with what a file holds; it is noted in ``made`` before it is read."""
    if not path.exists():
        raise InputError(_("{path} is gone; the case cannot be opened.").format(path=path))
    node = slicer.mrmlScene.AddNewNodeByClass(nodeClass, slicer.mrmlScene.GenerateUniqueName(name))
    made.append(node)
    isScan = nodeClass == "vtkMRMLScalarVolumeNode"
    storage = slicer.vtkMRMLNRRDStorageNode() if isScan else slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not storage.ReadData(node):
        raise InputError(_("{path} is damaged; the case cannot be opened.").format(path=path))
    node.CreateDefaultDisplayNodes()
    return node
