"""Everything the panel can do, usable from Slicer's Python console without any widget."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from ..locks import is_locked
from ..networks.catalogue import STARTER
from ..training.request import FinetuneRequest
from ..training.run_files import LOCK_FILE
from ..training.study import Study, StudyCase, StudyRun, model_name
from . import bridge, roles
from .adoption import Adopted, Adoption
from .corrections import noteErased
from .engine import EngineSession
from .joining import Joined
from .models import ModelEntry, Models
from .prediction import Prediction, makePrediction, predictionOf
from .review import Review
from .settings import Settings
from .signal import Signal
from .task import Task
from .trainingset import TrainingSet
from .transport import QtTransport


class DGSTSegmentCore:
    """The study, its models, the engine, and what they do with the scans of the scene.

    Args:
        studyFolder: the machine's default where None.
        makeTransport: makes the way to an engine's process.

    Attributes:
        aboutToChangeAnnotation: signal with the annotation node before the program changes it.
        predicted: signal with the ``Prediction`` after lymph nodes were found.
        studyChanged: signal after another study folder was chosen.

    Example, in Slicer's Python console:
        >>> logic = slicer.util.getModuleLogic("DGSTSegment")
        >>> prediction = logic.findLymphNodes(volumeNode).wait()
        >>> logic.review(volumeNode).accept(1)
    """

    def __init__(self, studyFolder: str | None = None, makeTransport: Callable = QtTransport):
        self.settings = Settings()
        self.engine = EngineSession(makeTransport)
        self.aboutToChangeAnnotation, self.predicted, self.studyChanged = Signal(), Signal(), Signal()
        self.study = Study(_place(studyFolder or self.settings.studyFolder))
        self.trainingSet = TrainingSet(self.study, self.aboutToChangeAnnotation)
        self.models = Models(self.study, self.settings)

    def setStudyFolder(self, folder: str) -> None:
        """Work in another study from now on; the machine remembers it.

        Raises:
            InputError: the folder cannot be read, or the engine is at work on this one.
        """
        self.engine.refuseWhileBusy()
        study = Study(_place(folder))
        study.cases()
        self.settings.studyFolder = folder
        self.study = self.trainingSet.study = self.models.study = study
        self.studyChanged()

    # ------------------------------------------------------------------------------------------------------ models

    def describe(self, spec: str) -> Task:
        """Ask the engine for a model's card and the machine's devices; the result is ``engine.client.describe``'s.

        Raises:
            InputError: the engine is at work, or the model's own description cannot be read.
        """
        return self.engine.ask(_("Opening the model"), "describe", {"model": spec, **self.models.baseOf(spec)})

    def describeMachine(self) -> Task:
        """Ask the engine what it can compute on; nothing has to wait for the answer."""
        return self.engine.askAside(_("Looking at this machine"), "describe", {"model": STARTER})

    def addModel(self, spec: str) -> Task:
        """Open a model folder or zip, and put it on the list once it has opened. The result is its ``ModelEntry``.

        Raises:
            InputError: the engine is at work.
        """
        return self._then(self.describe(spec), lambda described: self.models.add(spec, described))

    # -------------------------------------------------------------------------------------------------- prediction

    def findLymphNodes(self, scan, model: ModelEntry | None = None) -> Task:
        """Segment a scan; the result is a ``Prediction``, a segmentation of its own beside the annotation.

        Args:
            scan: CT volume node.
            model: the current one where None.

        Raises:
            InputError: the scan cannot be used, or the engine is at work.
        """
        self.engine.refuseWhileBusy()
        model = model or self.models.chosen
        volume = bridge.volumeOf(scan)
        fields = {
            "model": model.spec,
            **self.models.partsOf(model),
            "image": self.engine.put(volume),
            "out": self.engine.path("segmentation"),
            "findings": self.engine.path("findings"),
            "device": self.settings.device,
        }
        task = self.engine.ask(_("Finding lymph nodes"), "predict", fields)
        task.failed.connect(lambda _error: Path(fields["image"]["array"]).unlink(missing_ok=True))
        return self._then(task, lambda result: self._keepPrediction(scan, model, fields["image"], result))

    def _keepPrediction(self, scan, model: ModelEntry, image: dict[str, Any], result: dict[str, Any]) -> Any:
        Path(image["array"]).unlink(missing_ok=True)
        if result.get("stopped"):
            return None
        Path(result["out"]["array"]).unlink(missing_ok=True)  # the numbers of the findings tell the same, and more
        numbers = self.engine.take(result["findings"]["instances"])
        if slicer.mrmlScene.GetNodeByID(scan.GetID() or "") is not scan:
            raise InputError(_("The scan was deleted while lymph nodes were looked for; the result was dropped."))
        token = uuid.uuid4().hex[:12]
        role, items = model.role, result["findings"]["items"]
        old = roles.nodeOf(scan, role)
        with slicer.util.WaitCursor():
            _keepErased(scan)
            prediction = makePrediction(scan, role, numbers, items, model.spec, model.title, token, result["notes"])
        if old is not None:
            slicer.mrmlScene.RemoveNode(old)
        self.predicted(prediction)
        return prediction

    def prediction(self, scan, role: str) -> Prediction | None:
        """What was found in a scan ``before`` or ``after`` fine-tuning; None where nothing was looked for."""
        return predictionOf(scan, role)

    def review(self, scan, role: str | None = None) -> Review | None:
        """The review of a scan's prediction, by the fine-tuned model where there is one; None without a prediction."""
        wanted = (role,) if role else (roles.AFTER, roles.BEFORE)
        found = next((p for p in (predictionOf(scan, name) for name in wanted) if p is not None), None)
        return None if found is None else Review(found, self.aboutToChangeAnnotation)

    # -------------------------------------------------------------------------------------------------- annotation

    def annotation(self, scan):
        """The scan's annotation node, made when there is none."""
        return roles.annotationOf(scan)

    def takeSegments(
        self, scan, segmentationNode, segmentIds: list[str] | None = None, withOverlapping: bool = False
    ) -> Adopted:
        """Make segments of another segmentation lymph nodes of the scan's annotation, in one step that can be undone.

        Args:
            scan: CT volume node.
            segmentationNode: as the Segment Editor, DICOM or a file made it; it stays as it is.
            segmentIds: which; all where None.
            withOverlapping: also those that share voxels with nodes that are marked already.

        Raises:
            InputError: there is no such segment, it cannot be turned into voxels, or a transform moves the scan or its
                annotation.
        """
        adoption = Adoption(scan, segmentationNode, segmentIds)
        return adoption.carryOut(withOverlapping, self.aboutToChangeAnnotation)

    def addToTrainingSet(self, scan, completeness: str | None = None) -> StudyCase:
        """Keep the scan and its annotation in the study, or bring its case up to date.

        Args:
            scan: CT volume node.
            completeness: what an unmarked voxel means; as chosen for the annotation where None.

        Raises:
            InputError: nothing is marked, the box is missing, or the study folder cannot be written to.
        """
        if completeness is not None:
            roles.setCompleteness(self.annotation(scan), completeness)
        return self.trainingSet.save(scan)

    def joinCase(self, scan) -> Joined:
        """Go on with the case of the very same scan, loaded once more: its marks come beside those of ``scan``.

        Raises:
            InputError: no case of the training set holds the scan, or its files or marks cannot be used.
        """
        return self.trainingSet.join(scan)

    # ------------------------------------------------------------------------------------------------- fine-tuning

    def fineTune(self, **options: Any) -> Task:
        """Adapt the current model's base to the training set. The result is the run's, see ``training.finetune``.
        Of an ensemble of folds the first is adapted.

        Args:
            options: fields of ``training.request.FinetuneRequest`` beside model, cases and out.

        Raises:
            InputError: the training set is empty, an option is none, or the engine is at work.
        """
        self.engine.refuseWhileBusy()
        cases = self.study.case_files()
        if not cases:
            raise InputError(_("The training set is empty; mark lymph nodes in a scan and add it first."))
        folder, model = self.study.new_run_folder(), self.models.chosen
        parts = self.models.partsOf(model)
        if model.card.folds:
            parts["fold"] = model.card.folds[0]
        request = FinetuneRequest(
            model=model.spec,
            cases=cases,
            out=str(folder),
            name=model_name(folder),
            **{"device": self.settings.device, **parts, **options},
        )
        request.validate()
        return self._run(folder, "finetune", request.to_json())

    def resumableRun(self) -> StudyRun | None:
        """The latest run, where it was stopped or cut off.

        Raises:
            InputError: the study folder cannot be read.
        """
        runs = self.study.runs()
        return runs[-1] if runs and runs[-1].resumable else None

    def resume(self) -> Task:
        """Go on with the latest run where it was left; on a CPU to the very same result.

        Where it was stopped and kept, its model stays as it is, and what comes of going on is a new version.

        Raises:
            InputError: no run can be resumed, or the engine is at work.
        """
        self.engine.refuseWhileBusy()
        run = self.resumableRun()
        if run is None:
            raise InputError(_("No fine-tuning was left unfinished; start a new one."))
        folder = run.folder if run.card is None else self.study.fork_run(run)
        return self._run(folder, "resume", {"out": str(folder)})

    def stopAndKeep(self) -> None:
        """End the fine-tuning early; what it learned becomes a model, and it can be resumed."""
        self.engine.stop()

    def cancel(self, task: Task) -> None:
        """End a fine-tuning and drop what it learned, once the engine has let go of it; one that has ended stays."""
        if task.done:
            return

        def drop(_outcome: Any) -> None:
            if not is_locked(task.folder / LOCK_FILE):
                shutil.rmtree(task.folder, ignore_errors=True)
            self.models.changed()

        task.dropped = True
        task.finished.connect(drop)
        task.failed.connect(drop)
        self.engine.stop()

    def _run(self, folder: Path, name: str, fields: dict[str, Any]) -> Task:
        task = self.engine.ask(_("Fine-tuning"), name, fields)
        task.folder = folder
        task.finished.connect(lambda _result: self.models.changed())
        return task

    # --------------------------------------------------------------------------------------------------- internals

    def close(self) -> None:
        """End the engine. A run in its middle can be resumed next time."""
        self.engine.close()

    def _then(self, task: Task, convert: Callable[[dict[str, Any]], Any]) -> Task:
        """A task whose result is what ``convert`` makes of the other's."""
        later = Task(task.title)
        task.progressed.connect(later.progressed)
        task.noted.connect(later.noted)
        task.failed.connect(later.end)

        def finish(result: dict[str, Any]) -> None:
            try:
                outcome = convert(result)
            except InputError as error:
                outcome = error
            except Exception as error:
                later.end(error)
                raise
            later.end(outcome)

        task.finished.connect(finish)
        return later


def _keepErased(scan) -> None:
    """Keep what the user has erased of findings before their prediction, which alone tells it, leaves the scene."""
    predictions = [roles.nodeOf(scan, role) for role in roles.PREDICTIONS]
    if bridge.whyMoved(scan, *predictions, *roles.markNodesOf(scan)) is None:
        noteErased(scan)


def _place(folder: str) -> Path:
    return Path(folder).expanduser().absolute()
