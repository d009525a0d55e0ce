"""The training set: cases between the scene and the study folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from ..training.study import ANNOTATION_FILE, IMAGE_FILE, REJECTED_FILE, FileWriter, Study, StudyCase
from . import bridge, corrections, roles
from .casefiles import gridOf, readInto, removedOnFailure, writeSegmentation, writeVolume
from .casestate import ImageDigests, digestOf, imageState, refuseBeside, stateOf
from .joining import Joined, Marks, holdsNothing, joinMarks, marksOf
from .region import boxOf, makeRegion, refuseEmpty
from .signal import Signal
from .window import setWindow, windowOf

_SAVED, _SAVED_AT = "DGSTSegment.Saved", "DGSTSegment.SavedAt"
"""What of a scan is in each study's training set, by the study's key, and since when: another scene may have saved
something newer."""


class TrainingSet:
    """Annotated scans that the next fine-tuning learns from.

    Args:
        study: where they are kept.
        aboutToChange: called with an annotation node before it is changed.

    Attributes:
        changed: signal after a case came, changed or went.
        digests: of the images of the scene's scans, by which a scan is known again.
    """

    def __init__(self, study: Study, aboutToChange: Signal):
        self.study, self._aboutToChange = study, aboutToChange
        self.changed = Signal()
        self.digests = ImageDigests()
        self._savedAt: dict[tuple[str, str], tuple] = {}
        self._images: dict[tuple[str, str], tuple] = {}

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
        return self.study.case(roles.caseOf(scan, self._studyKey))

    def save(self, scan, replaceNewer: bool = False, asTheyLie: bool = False) -> StudyCase:
        """Add a scan with its annotation to the training set, or bring its case up to date.

        Args:
            replaceNewer: also where the case was saved from another scene since this one had it.
            asTheyLie: also where the marks do not lie on the scan's voxels.

        Raises:
            InputError: nothing is marked, the box is missing, a transform moves scan or marks or was hardened on one of
                them only, the case is newer or holds the same scan under another name, or the study folder cannot be
                written to.
        """
        if not asTheyLie:
            refuseBeside(scan)
        old = self.caseOf(scan)
        case = self._described(scan, old, replaceNewer)
        writers = self._writers(scan, case)
        saved = self.study.update(case, writers) if old else self.study.add(case, writers)
        roles.setCase(scan, self._studyKey, saved.id)
        self._remember(scan, saved)
        self.changed()
        return saved

    def _described(self, scan, old: StudyCase | None, replaceNewer: bool) -> StudyCase:
        """What is to be saved of a scan, in place of ``old``.

        Raises:
            InputError: as ``save``.
        """
        annotation, rejected = roles.markNodesOf(scan)
        completeness = roles.completenessOf(annotation)
        marked, rejections = bridge.countMarked(annotation), corrections.countRejected(rejected)
        name = scan.GetName()
        if not marked and not rejections and completeness == "marked":
            problem = _("No lymph node is marked in {scan}; mark at least one, or say that you marked every one.")
            raise InputError(problem.format(scan=name))
        bridge.geometryOf(scan)
        region = roles.regionOf(annotation) if completeness == "region" else None
        bridge.refuseMoved(annotation, rejected, region)
        if self._isOlderThan(scan, old) and not replaceNewer:
            problem = _("{scan} was changed in the training set since this scene had it; open it from the table first.")
            raise InputError(problem.format(scan=name))
        box = boxOf(region) if completeness == "region" else None
        if box is not None and marked:
            refuseEmpty(box, annotation, scan)
        image = old.image if old is not None and self._isImageSaved(scan) else ""
        image = image or self.digests.of(scan)
        if old is None:
            self._refuseTwin(scan, image)
        return StudyCase(
            id=old.id if old else "",
            name=old.name if old else name,
            completeness=completeness,
            boxes=[] if box is None else [box],
            marked=marked,
            rejected=rejections,
            corrected=corrections.noteErased(scan),
            image=image,
            window=windowOf(scan),
        )

    def _writers(self, scan, case: StudyCase) -> dict[str, FileWriter]:
        """What writes the files of a case; the image only where it is new or has changed."""
        annotation, rejected = roles.markNodesOf(scan)
        writers: dict[str, FileWriter] = {ANNOTATION_FILE: lambda path: writeSegmentation(annotation, scan, path)}
        if case.has_background:
            writers[REJECTED_FILE] = lambda path: writeSegmentation(rejected, scan, path)
        if not case.id or not self._isImageSaved(scan):
            writers[IMAGE_FILE] = lambda path: writeVolume(scan, path)
        return writers

    def _isImageSaved(self, scan) -> bool:
        """Whether the scan's voxels and place are still those of the case."""
        return self._images.get(self._here(scan)) == imageState(scan)

    def _refuseTwin(self, scan, image: str) -> None:
        """One scan in two cases would be learned from and measured on at once."""
        twin = next((case for case in self.cases() if case.image == image), None)
        if twin is not None:
            raise InputError(
                _("{scan} is in the training set already, as {name}; go on with that case.").format(
                    scan=scan.GetName(), name=twin.name
                )
            )

    # ---------------------------------------------------------------------------------------------- the same scan again

    def alike(self, scan) -> list[StudyCase]:
        """The cases that may hold the very scan, which is none of them: those of the same grid. Quickly told.

        Raises:
            InputError: the study folder cannot be read.
        """
        if scan.GetImageData() is None or scan.GetParentTransformNode() is not None or self.caseOf(scan) is not None:
            return []
        image = self.digests.of(scan) if self.digests.isKnown(scan) else None
        cases = [case for case in self.cases() if case.image and image in (None, case.image)]
        grids = [(case, gridOf(self._imageFile(case))) for case in cases]
        here = bridge.geometryOf(scan)
        return [case for case, grid in grids if grid is not None and grid.same_grid(here)]

    def twinOf(self, scan) -> StudyCase | None:
        """The case that holds the very same scan, loaded once more; None where the scan has its case, or is new.

        Raises:
            InputError: the study folder cannot be read.
        """
        alike = self.alike(scan)
        return next((case for case in alike if case.image == self.digests.of(scan)), None)

    def join(self, scan) -> Joined:
        """Go on with the case of the very same scan: its marks come beside those that the scan has already.

        They are the stored ones; where the case is open in this scene as another volume, that one's, which hands the
        case and its marks over.

        Raises:
            InputError: no case holds the scan, a transform moves the marks, or a file of the case is damaged.
        """
        case = self.twinOf(scan)
        if case is None:
            raise InputError(_("No case of the training set holds {scan}.").format(scan=scan.GetName()))
        bridge.refuseMoved(*roles.markNodesOf(scan))
        there, wasEmpty, made = roles.scanOfCase(self._studyKey, case.id), holdsNothing(scan), []
        try:
            marks = self._storedMarks(case, made) if there is None else marksOf(there)
            self._aboutToChange(roles.annotationOf(scan))
            joined = joinMarks(scan, marks)
        finally:
            for node in made:
                slicer.mrmlScene.RemoveNode(node)
        saved, savedAt = digestOf(scan) if wasEmpty else "", case.changed
        if there is not None:
            saved, savedAt = (roles.byStudy(there, name).get(self._studyKey, "") for name in (_SAVED, _SAVED_AT))
            roles.giveUp(there)
            roles.setCase(there, self._studyKey, "")
        roles.setCase(scan, self._studyKey, case.id)
        self._takeAs(scan, saved, savedAt)
        self.changed()
        return joined

    def _storedMarks(self, case: StudyCase, made: list) -> Marks:
        folder = self.study.case_folder(case.id)
        nodes = [
            readInto("vtkMRMLSegmentationNode", case.name, folder / name, made)
            for name in (ANNOTATION_FILE, REJECTED_FILE)[: 2 if case.has_background else 1]
        ]
        return Marks(nodes[0], nodes[1] if case.has_background else None, case.completeness, *case.boxes[:1])

    # ------------------------------------------------------------------------------------------- changed since, or not

    def isOlder(self, scan) -> bool:
        """Whether the scan's case was saved from another scene since this one saved or opened it."""
        return self._isOlderThan(scan, self.caseOf(scan))

    def _isOlderThan(self, scan, case: StudyCase | None) -> bool:
        known = roles.byStudy(scan, _SAVED_AT).get(self._studyKey)
        return case is not None and known is not None and known != case.changed

    def hasChanges(self, scan) -> bool:
        """Whether an open case of the training set was changed since it was saved or opened."""
        case = self.caseOf(scan)
        return case is not None and (self._isOlderThan(scan, case) or self._wasChangedHere(scan))

    def _wasChangedHere(self, scan) -> bool:
        """Whether the scan's marks are others than this scene last saved or opened."""
        here = self._here(scan)
        if here not in self._savedAt:  # it came with a saved scene
            isSaved = roles.byStudy(scan, _SAVED).get(self._studyKey) == digestOf(scan)
            self._savedAt[here] = stateOf(scan) if isSaved else ()
        return stateOf(scan) != self._savedAt[here]

    def _here(self, scan) -> tuple[str, str]:
        """A scan as this study knows it; told without reading the study, since each brush stroke asks."""
        return str(self.study.folder), scan.GetID()

    def changedScans(self) -> list:
        """The open scans of the training set that were changed since they were saved or opened, and those of which that
        cannot be told, since a transform moves them; none of which only the training set has a newer state."""
        return [scan for scan in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if self._mayHaveChanges(scan)]

    def _mayHaveChanges(self, scan) -> bool:
        case = self.caseOf(scan)
        return case is not None and (scan.GetParentTransformNode() is not None or self._wasChangedHere(scan))

    def newScans(self) -> list:
        """The open scans that hold marks or rejected findings and are not in the training set."""
        scans = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        return [
            scan
            for scan in scans
            if self.caseOf(scan) is None and any(bridge.countMarked(node) for node in roles.markNodesOf(scan))
        ]

    def forgetScene(self) -> None:
        """The scene closes: other scans may get the same ids."""
        self._savedAt.clear()
        self.digests.forget()
        self._images.clear()

    def _remember(self, scan, case: StudyCase) -> None:
        self._takeAs(scan, digestOf(scan), case.changed)
        self._savedAt[self._here(scan)] = stateOf(scan)

    def _takeAs(self, scan, saved: str, savedAt: str) -> None:
        """The scan is its case's, whose marks had that digest when they were saved at that time."""
        for attribute, value in ((_SAVED, saved), (_SAVED_AT, savedAt)):
            roles.setByStudy(scan, attribute, self._studyKey, value)
        self._savedAt.pop(self._here(scan), None)
        self._images[self._here(scan)] = imageState(scan)

    def marksLost(self, scan) -> int:
        """How many marked nodes of the stored case ``save`` would take away."""
        case = self.caseOf(scan)
        return 0 if case is None else max(0, case.marked - bridge.countMarked(roles.nodeOf(scan, roles.ANNOTATION)))

    def isOtherImage(self, scan) -> bool:
        """Whether ``save`` would put other voxels in the place of the stored case's image."""
        case = self.caseOf(scan)
        return bool(case and case.image) and not self._isImageSaved(scan) and self.digests.of(scan) != case.image

    def isOpenAndOlder(self, id_: str) -> bool:
        """Whether the case is open as it was before another scene changed it."""
        scan = roles.scanOfCase(self._studyKey, id_)
        return scan is not None and self._isOlderThan(scan, self.study.case(id_))

    def open(self, id_: str, replaceOlder: bool = False):
        """Bring a case into the scene; where it is open already, that scan, with what was changed since.

        Returns the scan's volume node.

        Args:
            replaceOlder: put the case's marks in the place of the open ones where those are older.

        Raises:
            InputError: a file of the case is missing or damaged, or an older state of the case is open.
        """
        scan, case = roles.scanOfCase(self._studyKey, id_), self.study.case(id_)
        if case is None:
            raise InputError(_("The case {name} is not in the training folder any more.").format(name=id_))
        if scan is None:
            return self._load(case)
        if self._isOlderThan(scan, case):
            self._replaceMarks(case, scan, replaceOlder)
        elif roles.nodeOf(scan, roles.ANNOTATION) is None:  # it was deleted in another module
            with removedOnFailure() as made:
                self._loadMarks(case, scan, made)
        return scan

    def _replaceMarks(self, case: StudyCase, scan, mayReplace: bool) -> None:
        """Put the case's marks in the place of older ones.

        Raises:
            InputError: that may not be done, a file cannot be read, or the scan's voxels or their place are not the
                case's.
        """
        problem = _("{scan} is open as it was before the training set was changed.")
        if mayReplace:
            problem = _(
                "{scan} is not the scan of its case any more; remove it in the module Data, then open the case."
            )
        if not mayReplace or not self._isImageOf(case, scan):
            raise InputError(problem.format(scan=scan.GetName()))
        annotation, rejected = roles.markNodesOf(scan)
        old = annotation, rejected, roles.regionOf(annotation) if annotation is not None else None
        with removedOnFailure() as made:
            self._loadMarks(case, scan, made, anew=True)
        for node in old:
            if node is not None:
                slicer.mrmlScene.RemoveNode(node)
        self._remember(scan, case)

    def _isImageOf(self, case: StudyCase, scan) -> bool:
        """Whether the scan has the voxels and the place of the case's image."""
        made = []
        try:
            stored = readInto("vtkMRMLScalarVolumeNode", case.name, self._imageFile(case), made)
            there, here = bridge.volumeOf(stored), bridge.volumeOf(scan)
            return there.geometry.same_grid(here.geometry) and np.array_equal(there.array, here.array)
        finally:
            for node in made:
                slicer.mrmlScene.RemoveNode(node)

    def _imageFile(self, case: StudyCase) -> Path:
        return self.study.case_folder(case.id) / IMAGE_FILE

    def _load(self, case: StudyCase):
        with removedOnFailure() as made:
            scan = readInto("vtkMRMLScalarVolumeNode", case.name, self._imageFile(case), made)
            self._loadMarks(case, scan, made)
        setWindow(scan, case.window)
        roles.setCase(scan, self._studyKey, case.id)
        self._remember(scan, case)
        return scan

    def _loadMarks(self, case: StudyCase, scan, made: list, anew: bool = False) -> None:
        """Annotation, rejected findings and box of a case beside its scan; new nodes are noted in ``made``.

        Args:
            anew: also the rejected findings that are open already.
        """
        folder = self.study.case_folder(case.id)
        name = roles.nameOf(case.name, roles.ANNOTATION)
        annotation = readInto("vtkMRMLSegmentationNode", name, folder / ANNOTATION_FILE, made)
        roles.claim(annotation, scan, roles.ANNOTATION)
        annotation.SetReferenceImageGeometryParameterFromVolumeNode(scan)
        if case.has_background and (anew or roles.nodeOf(scan, roles.REJECTED) is None):
            name = roles.nameOf(case.name, roles.REJECTED)
            rejected = readInto("vtkMRMLSegmentationNode", name, folder / REJECTED_FILE, made)
            roles.claim(rejected, scan, roles.REJECTED)
            rejected.GetDisplayNode().SetVisibility(False)
        roles.setCompleteness(annotation, case.completeness)
        if case.boxes:
            roles.setRegion(annotation, makeRegion(case.name, case.boxes[0]))

    def rename(self, id_: str, name: str) -> None:
        """Call a case otherwise; scans of the scene keep their names.

        Raises:
            InputError: another case is called so, or the study folder cannot be written to.
        """
        self.study.rename(id_, name)
        self.changed()

    def remove(self, id_: str) -> Path:
        """Take a case out; the scene keeps what is open, the files go to the study's folder ``removed``.

        Raises:
            InputError: the study folder cannot be written to.
        """
        place = self.study.remove(id_)
        scan = roles.scanOfCase(self._studyKey, id_)
        if scan is not None:
            roles.setCase(scan, self._studyKey, "")
        self.changed()
        return place

    @property
    def _studyKey(self) -> str:
        return self.study.key
