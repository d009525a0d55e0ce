"""What a fine-tuning works on: the model as it was named, and the cases of the study, few of them in memory."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import monai
import numpy as np
import torch

from .. import __version__
from ..errors import InputError
from ..networks.foundation import open_model
from ..networks.model import FoundationModel
from .case import Case, missing_file, read_case
from .case_files import CaseFiles, told_apart
from .devices import choose_device, choose_precision, why_no_gpu
from .events import Reporter
from .held_case import HELD_OUT_FOLDER
from .holdout import choose_held_out, with_twins
from .inputs import Described, Fixed, Inputs
from .preparation import is_prepared
from .request import MODEL_PARTS, FinetuneRequest
from .run import Run
from .run_files import refuse_unfinished

KEPT_BYTES = 2 * 2**30
"""Voxels of cases that stay in memory from when they were checked to when they are worked on."""


class Cases:
    """The cases of a study, read one by one: no more of them than ``KEPT_BYTES`` stay in memory untaken.

    Args:
        files: where they lie.
        reporter: hears how many were read, and is asked after each whether to stop.
        known: of the cases, by position, that need not be read where one of their files is gone.
        ignore: as of ``case.read_case``.

    Raises:
        InputError: a case cannot be read.
        Stopped: the user wished to stop.
    """

    def __init__(
        self,
        files: Sequence[CaseFiles],
        reporter: Reporter | None = None,
        known: Mapping[int, Described] | None = None,
        ignore: int | None = None,
    ):
        self._files, self._kept, self._room, self._ignore = told_apart(files), {}, KEPT_BYTES, ignore
        self.described: list[Described] = []
        self.gone: dict[str, str] = {}
        """The missing file of each case, by its name, that was not read for that."""
        self._reporter = reporter or Reporter()
        phase = self._reporter.phase("read", len(self._files))
        for n, one in enumerate(self._files):
            missing = missing_file(one) if known and n in known else None
            if missing is not None:
                self.gone[known[n].name] = missing
            self.described.append(self._read(n) if missing is None else known[n])
            phase.advance()

    def _read(self, n: int) -> Described:
        case = read_case(self._files[n], self._ignore)
        if case.nbytes <= self._room:
            self._room -= case.nbytes
            self._kept[n] = case
        return Described.of(case)

    def __len__(self) -> int:
        return len(self._files)

    def take(self, n: int) -> Case:
        """Case ``n``, which is in memory no longer than the caller keeps it; what was changed meanwhile is noted.

        Raises:
            InputError: it was changed since and cannot be read any more.
        """
        if n in self._kept:
            return self._kept.pop(n)
        case = read_case(self._files[n], self._ignore)
        if case.fingerprint != self.described[n].fingerprint:
            self._reporter.note(f"{case.name} was changed after it had been checked; the run takes it as it is now.")
        return case

    def held_out(self, request: FinetuneRequest) -> list[int]:
        """Positions of the cases to measure with, named or drawn, those that show the same scan included."""
        scans, has_nodes = [case.scan for case in self.described], [case.has_nodes for case in self.described]
        if request.holdout_cases is None:
            chosen = choose_held_out(has_nodes, request.holdout, request.seed, scans)
        else:
            chosen = [n for n, case in enumerate(request.cases) if case.image in request.holdout_cases]
        return with_twins(chosen, scans)

    def let_go(self, but: Collection[int] = ()) -> None:
        """Keep none in memory that was not taken, except those ``but``."""
        self._kept = {n: case for n, case in self._kept.items() if n in but}


@dataclass(frozen=True)
class Material:
    """The model as it was named, in memory, so that it stays what it was, and all cases of the study."""

    model: FoundationModel
    cases: Cases

    @classmethod
    def of(cls, run: Run, request: FinetuneRequest, reporter: Reporter) -> Material:
        """Of a run that goes on, its models where ``request`` has them. A case that the run's cache holds already is
        used though its files are gone.

        Raises:
            InputError: the model or another case cannot be read.
            Stopped: the user wished to stop.
        """
        try:
            model = _model_of(request).in_memory()
        except InputError as error:
            raise InputError(
                f"What the run in {run.folder} starts from cannot be opened: {str(error).rstrip('.')}; where it was "
                "moved, say so (--model at a terminal, --base for a fine-tuned model's base)."
            ) from error
        return cls(model, Cases(request.cases, reporter, _prepared_in(run), model.foundation.ignored_value))

    @classmethod
    def checked(cls, request: FinetuneRequest, reporter: Reporter) -> Material:
        """Everything that can be wrong with a request is found here, before the run's folder is made.

        Raises:
            InputError: something is.
            Stopped: the user wished to stop.
        """
        request.validate()
        choose_device(request.device)
        model = _model_of(request)
        model.foundation.network()
        _refuse_several_labels(model.foundation)
        cases = Cases(request.cases, reporter, ignore=model.foundation.ignored_value)
        held_out = cases.held_out(request)
        left = [case for n, case in enumerate(cases.described) if n not in held_out]
        _refuse_nothing_to_learn(left, request.distillation)
        return cls(model.in_memory(), cases)

    def inputs(self, request: FinetuneRequest) -> Inputs:
        """What a run keeps of all this for those who go on with it."""
        held_out = self.cases.held_out(request)
        foundation = self.model.foundation
        return Inputs(foundation.fingerprint, foundation.plan.to_json(), tuple(self.cases.described), tuple(held_out))


def _prepared_in(run: Run) -> dict[int, Described]:
    """The cases, by position, that a run's cache holds, to learn from or to measure with; as it first read them."""
    return {
        n: case
        for n, case in enumerate(run.inputs.cases)
        if is_prepared(run.cache / str(n)) or held_folder(run, case.fingerprint).exists()
    }


def held_folder(run: Run, fingerprint: str) -> Path:
    """Where a run keeps the held-out case of that fingerprint."""
    return run.cache / HELD_OUT_FOLDER / fingerprint


def fixed_by(request: FinetuneRequest, note: Callable[[str], None]) -> Fixed:
    """What the first start finds and every resume uses again, and the versions it was begun with.

    Args:
        request: what is asked for.
        note: told of a GPU that cannot be used, and of a precision that is slow.
    """
    device = choose_device(request.device, note)
    return Fixed(
        threads=request.threads or torch.get_num_threads(),
        device=device.type,
        precision=choose_precision(request.precision, device, note),
        batch_size=request.batch_size,
        python=platform.python_version(),
        **versions(),
    )


def versions() -> dict[str, str]:
    """Of the libraries by which the numbers of a training come about."""
    return {"torch": torch.__version__, "monai": monai.__version__, "numpy": np.__version__, "DGSTSegment": __version__}


def differences(run: Run, material: Material) -> list[str]:
    """What is no longer as it was when the run was begun, in sentences.

    Raises:
        InputError: the base has other weights or another plan, so that nothing learned or prepared so far would fit
            it, or the GPU is gone.
    """
    if run.fixed.device == "cuda" and (reason := why_no_gpu()) is not None:
        raise InputError(
            f"The run in {run.folder} was begun on a GPU, and now there is none to compute on ({reason}); go on with "
            "it where there is one, or begin a new run."
        )
    if run.inputs.base != material.model.foundation.fingerprint:
        raise InputError(
            f"{material.model.foundation.card.name} has other weights than when the run in {run.folder} was begun; put "
            "that model back, or begin a new run in another folder."
        )
    if run.inputs.plan != material.model.foundation.plan.to_json():
        raise InputError(
            f"{material.model.foundation.card.name} wants scans prepared otherwise than when the run in {run.folder} "
            "was begun; put that model back, or begin a new run in another folder."
        )
    changed = [
        case.name
        for case, before in zip(material.cases.described, run.inputs.cases, strict=True)
        if case.fingerprint != before.fingerprint
    ]
    notes = [
        f"{name} was changed after the run was begun: what was prepared from it before stays as it was, measured is on "
        "it as it is now; begin a new run to learn from the change."
        for name in changed
    ]
    notes += [
        f"{path} is gone: the run goes on with what it prepared from {name} before."
        for name, path in material.cases.gone.items()
    ]
    notes += [
        f"The run was begun with {name} {begun} and goes on with {version}; it can come out otherwise than one that "
        "was not interrupted."
        for name, version in versions().items()
        if (begun := getattr(run.fixed, name)) != version
    ]
    return notes


def _model_of(request: FinetuneRequest) -> FoundationModel:
    refuse_unfinished(request.model)
    return open_model(request.model, **{part: getattr(request, part) for part in MODEL_PARTS})


def _refuse_several_labels(foundation: FoundationModel) -> None:
    names = [name for name, value in foundation.labels.items() if value]
    if len(names) != 1:
        raise InputError(
            f"{foundation.card.name} tells {len(names)} structures apart ({', '.join(names)}), but fine-tuning learns "
            "lymph node against background; choose a model with one label."
        )


def _refuse_nothing_to_learn(cases: Sequence[Described], distillation: float) -> None:
    """Without any node only refused findings teach something, and only where the foundation model is asked of the rest:
    else all that is known is background, and to call nothing a node is right everywhere."""
    asks = [case for case in cases if case.has_rejected and case.completeness != "all" and distillation > 0]
    if not asks and not any(case.has_nodes for case in cases):
        raise InputError(
            "No lymph node is marked in any case to learn from, so all that could be learned is to find none; mark at "
            "least one, in a case that is not held out."
        )
