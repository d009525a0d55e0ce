"""``dgst predict`` of several CTs by one engine: one that fails ends nothing, and what is there can be left out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.faults import DISK_FULL
from ..engine.protocol import EngineError
from ..errors import InputError
from ..locks import held
from ..training.request import MODEL_PARTS
from . import engine
from .names import Work, first_of, work_of
from .outputs import results_folder
from .progress import ProgressView, progress_view
from .record import Record, stamp_of

if TYPE_CHECKING:
    from ..engine.client import EngineClient

RESULTS = ("out", "probability")
"""Fields of a prediction's request that are paths to write."""

LOCK_FILE = "predictions.lock"
"""In each folder while a batch works in it: what it finds there, it has to be the only one to add to."""


@dataclass
class Outcome:
    """What came of several predictions.

    Args:
        predictions: the engine's results, in order, each with its ``image``.
        left_out: CTs whose results were there already, and where.
        failed: CTs that could not be segmented, and why.
        error: what the command is to end with; None where all are there.
    """

    predictions: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, dict[str, str | None]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None

    def to_json(self) -> dict[str, Any]:
        return {"predictions": self.predictions, "left_out": self.left_out, "failed": self.failed}


def predict_each(
    images: Sequence[str], folders: Mapping[str, str], fields: Mapping[str, Any], go_on: bool, verbose: bool = False
) -> Outcome:
    """Segment CT after CT; what it writes lies in folders, under the name of its CT.

    What happens once the work has begun, Ctrl-C too, is told by the outcome's ``error``.

    Args:
        images: absolute paths.
        folders: of each of ``RESULTS`` that is wanted; made where they are not there.
        fields: of the requests, but for the paths.
        go_on: leave out CTs whose results are there, in place of refusing to overwrite them.
        verbose: show the engine's log.

    Raises:
        InputError: the folders cannot be written to or hold other results, another batch is at work in one, or the
            model cannot be used.
        EngineError: the machine cannot do it.
    """
    folders = {result: results_folder(folder) for result, folder in folders.items()}
    with _made(folders.values()), _held(folders.values()):
        work, record = work_of(images, folders), Record(folders["out"])
        there = [one for one in work if _is_there(one)]
        if not go_on:
            _refuse_to_replace(there)
        for one in there:
            _refuse_a_part(one)
            record.refuse_another_image(one)
        batch = _Batch(work, there, record, fields)
        return batch.carry_out(folders["out"], verbose)


class _Batch:
    """CTs on their way through one engine.

    Args:
        work: all that are asked for.
        there: those of them whose results are there.
        record: of the results.
        fields: of the requests, but for the paths.
    """

    def __init__(self, work: Sequence[Work], there: Sequence[Work], record: Record, fields: Mapping[str, Any]):
        self._there, self._record, self._fields = there, record, fields
        self._total, self._todo = len(work), [one for one in work if one not in there]
        self._outcome = Outcome(
            left_out={one.image: {result: one.paths.get(result) for result in RESULTS} for one in there}
        )
        self._now: tuple[Work, dict[str, Any]] | None = None
        self._predicting_s, self._last, self._engine_failed = 0.0, "", False

    def carry_out(self, folder: str, verbose: bool) -> Outcome:
        outcome = self._outcome
        try:
            with progress_view() as view, engine.open_client(view, verbose) as client:
                self._check_model(client, view)
                why = self._predict_all(client, view)
            outcome.error = self._error(why or self._write_record(), folder)
        except (KeyboardInterrupt, engine.Interrupted) as interrupt:
            why = self._keep_the_last(interrupt) or "Interrupted"
            outcome.error = engine.Interrupted(f"{why}; {self._done_in(folder)}.")
            outcome.error.__cause__ = interrupt
        return outcome

    def _check_model(self, client: EngineClient, view: ProgressView) -> None:
        """
        Raises:
            InputError: the model cannot be used, computes where it cannot, or others made what is there.
        """
        asked = {name: self._fields[name] for name in ("model", *MODEL_PARTS) if name in self._fields}
        described = engine.ask_client(client, view, "describe", asked)
        devices = [device["name"] for device in described["devices"]]
        if self._fields.get("device") == "cuda" and "cuda" not in devices:
            why = f" ({reason})" if (reason := described.get("why_no_gpu")) else ""
            raise InputError(f"There is no CUDA GPU to compute on{why}; choose the device auto or cpu.")
        for one in self._there:
            self._record.refuse_another_model(one, described)

    def _predict_all(self, client: EngineClient, view: ProgressView) -> str:
        """Why it ended before all were tried; nothing where they were."""
        for n, one in enumerate(self._todo):
            view.on_each(len(self._todo), n, one.title, self._seconds_left(len(self._todo) - n))
            try:
                self._predict(client, view, one)
                self._last = ""
            except (InputError, EngineError) as error:
                sentence = str(error)
                self._outcome.failed[one.image] = sentence
                view.say(sentence if one.image in sentence else f"{one.image}: {sentence}")
                if why := self._why_to_give_up(one, error):
                    return why
        view.on_each(len(self._todo), len(self._todo))
        return ""

    def _predict(self, client: EngineClient, view: ProgressView, one: Work) -> None:
        """
        Raises:
            InputError, EngineError: as ``engine.ask_client``, or a result is there by now.
            Interrupted: Ctrl-C.
        """
        if _is_there(one):
            raise InputError(f"The result of {one.image} appeared meanwhile in its folder; it was left as it is.")
        self._now = (one, stamp_of(one.image))
        began = time.monotonic()
        result = engine.ask_client(client, view, "predict", {**self._fields, "image": one.image, **one.paths})
        self._predicting_s += time.monotonic() - began
        if why := self._keep(result):
            view.say(f"{why}.")

    def _keep(self, result: dict[str, Any]) -> str:
        """Why it could not be recorded, which is tried again after the next one; nothing where it was."""
        (one, stamp), self._now = self._now, None
        self._record.add(one, stamp, result)
        self._outcome.predictions.append({"image": one.image, **result})
        return self._write_record()

    def _keep_the_last(self, interrupt: BaseException) -> str:
        """Keep what was complete when Ctrl-C came; why it could not be, if so."""
        result = getattr(interrupt, "result", None)
        complete = result is not None and self._now is not None
        return self._keep(result) if complete else self._write_record()

    def _write_record(self) -> str:
        """Why it could not be written; nothing where it was."""
        try:
            self._record.write()
        except InputError as error:
            return str(error).rstrip(".")
        return ""

    def _seconds_left(self, left: int) -> float | None:
        """By what the CTs took that could be predicted."""
        predicted = len(self._outcome.predictions)
        return self._predicting_s / predicted * left if predicted else None

    def _why_to_give_up(self, one: Work, error: Exception) -> str:
        """A sentence where two CTs in a row failed of what is not theirs."""
        last, self._last = self._last, _not_of_the_ct(one, error)
        self._engine_failed = self._engine_failed or isinstance(error, EngineError)
        if not last or last != self._last:
            return ""
        what = "The engine failed" if isinstance(error, EngineError) else "Results could not be written"
        return f"{what} at two CTs in a row, the last time so: {str(error).rstrip('.')}"

    def _error(self, why: str, folder: str) -> Exception | None:
        failed, kind = list(self._outcome.failed), EngineError if self._engine_failed else InputError
        if why:
            return kind(f"{why}; {self._done_in(folder)}.")
        if not failed:
            return None
        return kind(
            f"{len(failed)} of {self._total} CTs could not be segmented ({first_of(failed)}); why was said "
            "above, and --continue then leaves out the others."
        )

    def _done_in(self, folder: str) -> str:
        done = len(self._outcome.left_out) + len(self._outcome.predictions)
        later = "and --continue goes on with the others" if self._record.is_kept else "but --continue will not know all"
        return f"{done} of {self._total} are in {folder}, {later}"


def _not_of_the_ct(one: Work, error: Exception) -> str:
    """What may stand in the way of all CTs, without the paths of this one; nothing where it is the CT's own."""
    if isinstance(error, EngineError):
        return "engine"
    sentence = str(error)
    for path in one.paths.values():
        sentence = sentence.replace(path, "")
    return sentence if sentence == DISK_FULL or "be written" in sentence else ""


def _is_there(one: Work) -> bool:
    """Whether any of its results is."""
    return any(map(os.path.exists, one.paths.values()))


def _refuse_a_part(one: Work) -> None:
    """
    Raises:
        InputError: only a part of the CT's results is there.
    """
    lacking = [path for path in one.paths.values() if not os.path.exists(path)]
    if lacking:
        there = next(path for path in one.paths.values() if path not in lacking)
        raise InputError(
            f"{there} is there, but {lacking[0]} is not, and one is not made without replacing the other; give other "
            f"folders, or move {there} away."
        )


def _refuse_to_replace(there: Sequence[Work]) -> None:
    """
    Raises:
        InputError: something is there.
    """
    paths = [path for one in there for path in one.paths.values() if os.path.exists(path)]
    if paths:
        more = f" and {len(paths) - 1} more are" if len(paths) > 1 else " is"
        raise InputError(
            f"{paths[0]}{more} there already; add --continue to leave out CTs whose results are there, or give another "
            "folder."
        )


@contextmanager
def _made(folders: Iterable[str]) -> Iterator[None]:
    """Folders to write into; those that were not there and hold nothing in the end are gone again."""
    new = [Path(folder) for folder in folders if not os.path.isdir(folder)]
    try:
        for folder in new:
            folder.mkdir(exist_ok=True)
        yield
    finally:
        for folder in new:
            with suppress(OSError):  # it holds something
                folder.rmdir()


@contextmanager
def _held(folders: Iterable[str]) -> Iterator[None]:
    """The folders, to be written to by nobody else.

    Raises:
        InputError: somebody does, or one cannot be written to.
    """
    with ExitStack() as locks:
        for folder in dict.fromkeys(map(os.path.realpath, folders)):
            try:
                locks.enter_context(held(os.path.join(folder, LOCK_FILE)))
            except BlockingIOError as error:
                raise InputError(
                    f"Another dgst predict is at work in {folder}; wait until that has ended and add --continue, or "
                    "give another folder."
                ) from error
            except OSError as error:
                raise InputError(f"{folder} cannot be written to ({error.strerror}); give another folder.") from error
        yield
