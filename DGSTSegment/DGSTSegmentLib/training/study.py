"""The study: annotated cases and the runs learned from them, as plain files that other tools read. No torch here.

::

    study/
      study.json                       id of the study, and which model is the current one
      cases/0001-chest/                case.json, image.nrrd, annotation.seg.nrrd, rejected.seg.nrrd
      runs/0001/                       a fine-tuning, see training.run; once it has a card it is a model
      removed/                         what was removed, kept until the user deletes it
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ..atomic import PARTIAL, atomic_folder, flush_to_disk
from ..errors import InputError
from ..locks import is_locked
from ..networks.card import ModelCard
from ..networks.catalogue import STARTER
from ..networks.description import CARD_FILE, DELTA_FILE, read_description
from .case_files import COMPLETENESS, CaseFiles
from .run_files import LOCK_FILE, REQUEST_FILE, RESULT_FILE, read_record, read_result, write_record
from .study_files import entries, numbered, read_json, subfolders, write_json

STUDY_FILE, CASE_FILE = "study.json", "case.json"
IMAGE_FILE, ANNOTATION_FILE, REJECTED_FILE = "image.nrrd", "annotation.seg.nrrd", "rejected.seg.nrrd"

FileWriter = Callable[[Path], None]


@dataclass(frozen=True)
class StudyCase:
    """What the study knows of a case beside its volumes.

    Args:
        id: name of its folder.
        name: how people call the scan.
        completeness: a name in ``training.case_files.COMPLETENESS``.
        boxes: for ``region``, opposite corners ``[x0, y0, z0, x1, y1, z1]`` of each box, LPS mm.
        marked: how many lymph nodes are marked.
        rejected: how many findings the user refused.
        corrected: how many findings became lymph nodes of which the user erased a part.
        changed: when it was last written, ISO 8601, local time.
        image: tells its voxels from any others; empty where nobody looked.
        window: window and level (HU) that the scan is shown with; empty where nobody chose them.
    """

    id: str
    name: str
    completeness: str = "marked"
    boxes: list[list[float]] = field(default_factory=list)
    marked: int = 0
    rejected: int = 0
    corrected: int = 0
    changed: str = ""
    image: str = ""
    window: list[float] = field(default_factory=list)

    @property
    def has_background(self) -> bool:
        """Whether some of what is no lymph node is stored with the case, whatever unmarked means."""
        return self.rejected + self.corrected > 0

    @property
    def changed_at(self) -> float:
        """``changed`` in seconds since 1970."""
        return datetime.fromisoformat(self.changed).timestamp() if self.changed else 0.0

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StudyCase:
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})


@dataclass(frozen=True)
class StudyRun:
    """One fine-tuning in the study's folder.

    Args:
        id: name of its folder.
        folder: where it lies; a MODEL once ``card`` is there.
        card: of the model that it made; None while there is none.
        resumable: it was stopped or cut off, and can go on; no process is at work there, and its files can be read.
        begun: when it began to read the cases, seconds since 1970 (0 where that cannot be read any more): what changed
            later it may not have learned from.
    """

    id: str
    folder: Path
    card: ModelCard | None
    resumable: bool
    begun: float


class Study:
    """A study folder. Nothing is made on disk before there is something to keep.

    Args:
        folder: where it lies or will lie.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self._was_there = False

    @property
    def key(self) -> str:
        """Tells this study from others, wherever its folder is moved to; empty before there is anything in it.

        Raises:
            InputError: the study's description is damaged.
        """
        return self._description().get("id", "")

    # ------------------------------------------------------------------------------------------------------- cases

    def cases(self) -> list[StudyCase]:
        """The training set, in the order in which the cases came.

        Raises:
            InputError: a case's description is damaged, or the folder cannot be read.
        """
        self._description()
        return [self._read_case(folder) for folder in subfolders(self.folder / "cases", CASE_FILE)]

    def case(self, id_: str) -> StudyCase | None:
        """The case in the folder of that name; None where there is none.

        Raises:
            InputError: its description is damaged.
        """
        folder = self.case_folder(id_)
        return self._read_case(folder) if id_ and (folder / CASE_FILE).is_file() else None

    def case_folder(self, id_: str) -> Path:
        return self.folder / "cases" / id_

    def add(self, case: StudyCase, writers: dict[str, FileWriter]) -> StudyCase:
        """Take a new case in, whole or not at all; returns it with its id and time.

        Args:
            case: its ``id`` is chosen here, and its name gets a number where another case is called so.
            writers: for each file name what writes that file.

        Raises:
            InputError: the folder cannot be written to, or the completeness is unknown.
        """
        written = _checked(replace(case, name=numbered(case.name, {other.name for other in self.cases()})))
        self._describe()
        id_ = f"{self._next_number('cases'):04}-{_slug(written.name)}"
        written = replace(written, id=id_, changed=_now())
        try:
            with atomic_folder(self.case_folder(id_)) as partial:
                for name, write in writers.items():
                    write(partial / name)
                    flush_to_disk(partial / name)
                write_json(partial / CASE_FILE, asdict(written))
        except OSError as error:
            raise InputError(_refusal(self.folder, error)) from error
        return written

    def update(self, case: StudyCase, writers: dict[str, FileWriter]) -> StudyCase:
        """Replace files of a case and its description; each file is the old or the new one, never half.

        Raises:
            InputError: as ``add``, or the case is not there any more.
        """
        folder = self._folder_of(case.id)
        written = replace(_checked(case), changed=_now())
        partials = {name: folder / f"{PARTIAL}{name}" for name in writers}
        try:
            for name, write in writers.items():
                write(partials[name])
                flush_to_disk(partials[name])
            for name, partial in partials.items():
                os.replace(partial, folder / name)
            write_json(folder / CASE_FILE, asdict(written))
        except OSError as error:
            raise InputError(_refusal(self.folder, error)) from error
        finally:
            for partial in partials.values():
                partial.unlink(missing_ok=True)
        return written

    def rename(self, id_: str, name: str) -> StudyCase:
        """Call a case otherwise. Its folder and its files, by which runs know it, stay as they are.

        Raises:
            InputError: there is no name, another case has it, the case is gone, or the folder cannot be written to.
        """
        folder, name = self._folder_of(id_), name.strip()
        if not name or name in {case.name for case in self.cases() if case.id != id_}:
            raise InputError(f"Another case is called {name}; choose another name." if name else "Type a name.")
        renamed = replace(self._read_case(folder), name=name)
        try:
            write_json(folder / CASE_FILE, asdict(renamed))
        except OSError as error:
            raise InputError(_refusal(self.folder, error)) from error
        return renamed

    def remove(self, id_: str) -> Path:
        """Take a case out of the training set; its files are moved, not deleted. Returns where they are.

        Raises:
            InputError: the folder cannot be written to.
        """
        return self._move_away(self.case_folder(id_))

    def case_files(self) -> list[CaseFiles]:
        """The training set as a fine-tuning takes it."""
        return [self._files_of(case) for case in self.cases()]

    # -------------------------------------------------------------------------------------------------------- runs

    def runs(self) -> list[StudyRun]:
        """All runs, oldest first; those with a damaged file too, which cannot go on.

        Raises:
            InputError: the folder cannot be read, or is gone.
        """
        self._description()
        return [_run_of(folder) for folder in subfolders(self.folder / "runs", REQUEST_FILE)]

    def new_run_folder(self) -> Path:
        """Where the next run goes; not made yet."""
        return self.folder / "runs" / f"{self._next_number('runs'):04}"

    def fork_run(self, run: StudyRun) -> Path:
        """A copy of a stopped run that can go on while the model that the run made stays as it is.

        Returns its folder. Prepared cases are shared by hard links where the file system has them.

        Raises:
            InputError: the folder cannot be written to, or the run's request is damaged.
        """
        folder, record = self.new_run_folder(), read_record(run.folder)
        request = replace(record.request, out=str(folder), name=model_name(folder))
        made_of_it = shutil.ignore_patterns(CARD_FILE, DELTA_FILE, RESULT_FILE, LOCK_FILE, f"{PARTIAL}*")
        try:
            shutil.copytree(run.folder, folder, ignore=made_of_it, copy_function=_link_or_copy)
            write_record(folder, replace(record, request=request))
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(_refusal(self.folder, error)) from error
        return folder

    def remove_run(self, id_: str) -> Path:
        """Take a run and its model out of the study; its files are moved, not deleted. Returns where they are.

        Raises:
            InputError: the folder cannot be written to.
        """
        return self._move_away(self.folder / "runs" / id_)

    # --------------------------------------------------------------------------------------------- the current model

    @property
    def model(self) -> str:
        """The current model as a MODEL: a path, or ``starter``. A run of the study is stored relative to it.

        Raises:
            InputError: the study's description is damaged.
        """
        stored = self._description().get("model", STARTER)
        inside = self.folder / stored
        return str(inside) if stored.startswith("runs/") else stored

    @model.setter
    def model(self, spec: str) -> None:
        path = Path(spec)
        inside = path.is_absolute() and self.folder.absolute() in path.parents
        stored = path.relative_to(self.folder.absolute()).as_posix() if inside else spec
        self._describe(model=stored)

    # ----------------------------------------------------------------------------------------------------- internals

    def _description(self) -> dict[str, Any]:
        """What ``study.json`` says; empty for a study that is still to be made.

        Raises:
            InputError: it is damaged, or the study was there and is gone, as with its drive.
        """
        found = read_json(self.folder / STUDY_FILE, {})
        if self._was_there and not found:
            raise InputError(
                f"The training folder {self.folder} is gone; bring its drive back, or choose another folder."
            )
        self._was_there = bool(found)
        return found

    def _describe(self, **changes: str) -> None:
        """Bring ``study.json`` up to date, and give the study its id when it has none."""
        self._description()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(_refusal(self.folder, error)) from error
        old = self._description()
        new = {"format": 1, "id": uuid.uuid4().hex, "model": STARTER, **old, **changes}
        if new != old:
            write_json(self.folder / STUDY_FILE, new)

    def _folder_of(self, id_: str) -> Path:
        folder = self.case_folder(id_)
        if not (folder / CASE_FILE).is_file():
            raise InputError(f"{folder} is gone; add the scan to the training set again.")
        return folder

    def _read_case(self, folder: Path) -> StudyCase:
        data = read_json(folder / CASE_FILE)
        try:
            return replace(StudyCase.from_json(data), id=folder.name)
        except TypeError as error:
            raise InputError(
                f"{folder / CASE_FILE} describes no case ({error}); move {folder} away and add it anew."
            ) from error

    def _files_of(self, case: StudyCase) -> CaseFiles:
        folder = self.case_folder(case.id)
        rejected = folder / REJECTED_FILE
        boxes = "; ".join(" ".join(f"{x:.4f}" for x in box) for box in case.boxes)
        return CaseFiles(
            image=str(folder / IMAGE_FILE),
            annotation=str(folder / ANNOTATION_FILE),
            completeness=case.completeness,
            region=boxes if case.completeness == "region" else None,
            rejected=str(rejected) if case.has_background and rejected.exists() else None,
            name=case.name,
        )

    def _next_number(self, kind: str) -> int:
        names = [p.name for parent in (self.folder / kind, self.folder / "removed") for p in entries(parent)]
        return max((int(m[1]) for name in names if (m := re.match(r"(\d{4})(-|$)", name))), default=0) + 1

    def _move_away(self, folder: Path) -> Path:
        attic = self.folder / "removed"
        try:
            attic.mkdir(exist_ok=True)
            place = attic / folder.name
            while place.exists():
                place = place.with_name(place.name + "-again")
            os.replace(folder, place)
        except OSError as error:
            raise InputError(_refusal(self.folder, error)) from error
        return place


def model_name(run_folder: Path) -> str:
    """How the model of a run is called."""
    return f"Adapted model {int(run_folder.name)}"


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _run_of(folder: Path) -> StudyRun:
    card, begun, resumable = None, 0.0, False
    with suppress(InputError):
        card = read_description(folder).card if (folder / CARD_FILE).is_file() else None
    with suppress(InputError):
        begun = read_record(folder).begun
        result = read_result(folder)
        resumable = (result is None or result.stopped) and not is_locked(folder / LOCK_FILE)
    return StudyRun(folder.name, folder, card, resumable, begun)


def _checked(case: StudyCase) -> StudyCase:
    if case.completeness not in COMPLETENESS:
        raise InputError(f"Completeness must be one of {', '.join(COMPLETENESS)}, not {case.completeness!r}.")
    if case.completeness == "region" and not case.boxes:
        raise InputError(
            f"{case.name} is marked within a box, but there is none; place the box, or choose another sentence."
        )
    return case


def _refusal(folder: Path, error: OSError) -> str:
    return f"The training folder {folder} could not be written ({error.strerror or error}); choose another one."


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "scan"


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
