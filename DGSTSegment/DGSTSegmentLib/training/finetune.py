"""Fine-tuning: from a foundation model and a few annotated cases to a delta."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..dgst.registry import DEFAULT_RULE, STRATEGIES
from ..dgst.strategies import make_strategy
from ..imaging.findings import note_on_scattered_values
from ..imaging.volume import Volume
from ..networks.card import ModelCard
from ..networks.catalogue import lasting_spec
from ..networks.package import write_delta
from .case import Case
from .devices import cpu_threads
from .events import OnEvent, Reporter, ShouldStop
from .held_case import HeldCase
from .holdout import (
    HeldOutMeasure,
    findings_beside_marks,
    measure,
    recall,
    summary,
)
from .knowledge import BRIGHTEST_NODE_HU, DARKEST_NODE_HU, knowledge_of, settled
from .material import Material, differences, fixed_by, held_folder
from .memory import give_back_memory
from .patches import PreparedCase
from .predict import Predictor
from .preparation import is_prepared, prepare_case
from .remedies import remedy_for
from .request import FinetuneRequest
from .run import Run
from .run_files import FinetuneResult, RunRecord, read_result
from .scores import NoNumbers
from .trainer import Diverged, NothingMoved, Trainer
from .trial import only_answer


def finetune(
    request: FinetuneRequest, *, on_event: OnEvent | None = None, should_stop: ShouldStop | None = None
) -> FinetuneResult:
    """Adapt a model to all cases of a study; the model on disk stays as it is.

    Starts from the foundation model; given a fine-tuned model, from that model's base. What it writes into
    ``request.out`` is a model. Stopping keeps a checkpoint and what was learned so far.

    Args:
        request: what to do.
        on_event: hears of progress and notes.
        should_stop: asked after every case and every step.

    Raises:
        InputError: bad input, with nothing half-written.
        Stopped: the user stopped it before the first step.
    """
    reporter, began, begun = _Notes(on_event, should_stop), time.monotonic(), time.time()
    material = Material.checked(request, reporter)
    run = Run.start(RunRecord(request, fixed_by(request, reporter.note), material.inputs(request), begun))
    with run.held():
        return _carried_out(run, material, reporter, began)


def resume(
    folder: str | os.PathLike,
    *,
    model: str | None = None,
    base: str | None = None,
    on_event: OnEvent | None = None,
    should_stop: ShouldStop | None = None,
) -> FinetuneResult:
    """Go on where the run in ``folder`` stopped, as it was begun; on a CPU to the very same result. Of a finished one
    what it came to is told again.

    Args:
        folder: of the run.
        model, base: where the model that it starts from, and the base of that, are now; None: where they were. Kept
            for the next time once the weights were found to be the same.
        on_event, should_stop: as of ``finetune``.

    Raises:
        InputError: there is no run, or it cannot go on; it stays as it is.
        Stopped: the user stopped it before the first step.
    """
    reporter, began = _Notes(on_event, should_stop), time.monotonic()
    places = {name: lasting_spec(place) for name, place in (("model", model), ("base", base)) if place is not None}
    run, result = Run.reopen(folder), read_result(folder)
    if result is not None and not result.stopped:
        run.tidy()
        reporter.note(_that_it_is_finished(run, places))
        return result
    with run.held():
        run = Run.reopen(folder)  # as whoever held it before has left it
        request = replace(run.request, **places)
        material = Material.of(run, request, reporter)
        for note in differences(run, material):
            reporter.note(note)
        run.keep_request(request)
        return _carried_out(run, material, reporter, began)


@dataclass(frozen=True)
class _Trained:
    """What is left of a training: the network, on the CPU, and how far it came of the steps that were planned, where
    their number was known yet."""

    network: torch.nn.Module
    steps: int
    planned: int | None
    stopped: bool


def _carried_out(run: Run, material: Material, reporter: _Notes, began: float) -> FinetuneResult:
    with cpu_threads(run.fixed.threads):
        return _Finetuning(run, material, reporter, began).carry_out()


class _Finetuning:
    """The phases of one run in order."""

    def __init__(self, run: Run, material: Material, reporter: _Notes, began: float):
        self.run, self.request, self.reporter, self.began = run, run.request, reporter, began
        self.seconds: dict[str, float] = {}
        self.reserved = 0.0
        """Seconds that asking a model of the held-out cases takes, as measured when the run was begun."""
        self.foundation, self.cases = material.model.foundation, material.cases
        self._tell_of(material)

    def carry_out(self) -> FinetuneResult:
        base = self._predictor(self.foundation.network())
        held_out = self._held_out()
        prepared = self._prepared([n for n in range(len(self.cases)) if n not in held_out])
        self._clock("prepare")
        self.cases.let_go(but=held_out)
        held = [self._hold(n, base) for n in held_out]
        self.cases.let_go()
        self._tell_held_out(0, [measured for _, measured in held])
        self._clock("measure_before")
        trained = self._train(prepared, base.networks.pop())
        give_back_memory()
        self._clock("train")
        adapted = self._predictor(trained.network, deaf=True)
        try:
            if not held:
                self._try_out(adapted, prepared)
            prepared.clear()  # their files are mapped, and Windows removes no mapped file
            measured = [self._measure(n, folder, adapted) for n, (folder, _) in zip(held_out, held, strict=True)]
        except NoNumbers as error:
            raise Diverged(self.request.lr) from error
        before, after = ([pair[n] for pair in measured] for n in (0, 1))
        self._tell_held_out(trained.steps, after)
        self._clock("measure_after")
        return self._keep(trained, before, after)

    def _prepared(self, chosen: list[int]) -> list[PreparedCase]:
        """The cases to learn from; those that an earlier start prepared are there at once."""
        folders = {n: self.run.cache / str(n) for n in chosen}
        new = [n for n in chosen if not is_prepared(folders[n])]
        phase = self.reporter.phase("prepare", len(new)) if new else None
        prepared = []
        for n in chosen:
            described, read = self.cases.described[n], partial(self.cases.take, n)
            prepared.append(prepare_case(described.name, read, self.foundation.plan, folders[n], self.reporter))
            if n in new:
                phase.advance()
        return prepared

    def _held_out(self) -> tuple[int, ...]:
        """Positions of the cases that measure, as they were drawn when the run was begun."""
        described, wanted, held_out = self.cases.described, self.request.holdout, self.run.inputs.held_out
        if wanted is not None and len(held_out) < wanted:
            self.reporter.note(
                f"Of {wanted} cases to hold out {len(held_out)} can be, so that marked nodes are left to learn from."
            )
        seen: frozenset[str] = frozenset()
        for n in held_out:
            if described[n].scan & seen:
                self.reporter.note(
                    f"{described[n].name} shows the same scan as another case that is held out, so it is not learned "
                    "from."
                )
            seen |= described[n].scan
        if not held_out:
            self.reporter.note("No case is held out from training, so the run itself measures nothing.")
        return held_out

    def _hold(self, n: int, base: Predictor) -> tuple[Path, HeldOutMeasure]:
        """Leave case ``n`` on disk with what the base says of it; where, and how good that is.

        What an earlier start left there is used as it is, as long as the case is the same.
        """
        described, began = self.cases.described[n], time.monotonic()
        folder = held_folder(self.run, described.fingerprint)
        if folder.exists():
            held = HeldCase.read(described.name, described.completeness, folder)
        else:
            case = self.cases.take(n)
            knowledge, answer = knowledge_of(case), _segmentation(base, case)
            held = HeldCase(case, knowledge, answer, time.monotonic() - began)
            folder = held_folder(self.run, case.fingerprint)
            held.write(folder)
        if note := note_on_scattered_values(held.case.annotation):
            self.reporter.note(f"{described.name} {note}, recall counts kinds and not nodes.")
        self.reserved += held.seconds
        return folder, _measured(held.case, held.knowledge, held.base)[0]

    def _measure(self, n: int, folder: Path, adapted: Predictor) -> list[HeldOutMeasure]:
        """How good base and adapted model are on case ``n``, in this order."""
        described = self.cases.described[n]
        held = HeldCase.read(described.name, described.completeness, folder)
        return _measured(held.case, held.knowledge, held.base, _segmentation(adapted, held.case))

    def _try_out(self, adapted: Predictor, prepared: list[PreparedCase]) -> None:
        """Say where nothing can be gained of the adapted model; for when no case is held out that would show it.

        Raises:
            NoNumbers: it has no answer.
        """
        answer = only_answer(adapted, prepared, self.request.seed)
        if answer is not None:
            name = next(name for name, value in self.foundation.labels.items() if value == answer)
            self.reporter.note(
                f"The new model calls every voxel {name}, even around lymph nodes that it learned from, so it is of no "
                "use; begin a new run with a smaller learning rate (--lr), or with more steps."
            )

    def _tell_of(self, material: Material) -> None:
        model = material.model
        if model.base is not None:
            self.reporter.note(
                f"{model.card.title} is a fine-tuned model; training starts from its base {model.base.card.title}, "
                "on all cases given."
            )
        for name in self.request.without_effect:
            self.reporter.note(
                f"{STRATEGIES[self.request.strategy].title} makes no use of {name}, so it has no effect."
            )
        if self.foundation.plan.normalization not in ("ct", "none") and any(
            case.completeness != "all" for case in material.cases.described
        ):
            self.reporter.note(
                f"{self.foundation.card.name} does not say that it reads CT; unmarked voxels "
                f"below {DARKEST_NODE_HU:g} or above {BRIGHTEST_NODE_HU:g} "
                "are taken for background, so mark every node (completeness all) where images are no CT in HU."
            )
        if len(self.foundation.mirrored_axes) < 3:
            axes = ", ".join("kji"[axis] for axis in self.foundation.mirrored_axes)
            self.reporter.note(
                f"{self.foundation.card.name} was trained on scans mirrored along {axes or 'none'} of the axes k, j, "
                "i; fine-tuning mirrors them along all three."
            )
        for case in material.cases.described:
            for note in case.notes:
                self.reporter.note(note)

    def _predictor(self, network: torch.nn.Module, deaf: bool = False) -> Predictor:
        reporter = self.reporter.deaf() if deaf else self.reporter
        fixed = self.run.fixed
        return Predictor([network], self.foundation.plan, fixed.device, fixed.precision, reporter)

    def _train(self, prepared: list[PreparedCase], foundation: torch.nn.Module) -> _Trained:
        """Train; where that fails by a setting that can be changed, anew with another.

        Raises:
            OutOfMemory: memory ran out with the least settings too.
            NothingMoved, Diverged: no step could be taken, from the first on or later.
        """
        foundation.cpu()  # unless it is asked, it only takes the GPU's memory
        while True:
            try:
                return self._trained(prepared, foundation)
            except (NothingMoved, RuntimeError, MemoryError) as error:
                remedy = remedy_for(error, self.run)
            give_back_memory()
            self.run.begin_anew(**remedy.settings)
            self.reporter.note(remedy.note)

    def _trained(self, prepared: list[PreparedCase], foundation: torch.nn.Module) -> _Trained:
        request, network = self.request, self.foundation.network()
        strategy = make_strategy(
            request.strategy,
            network.to(self.run.fixed.device),
            head=self.foundation.head,
            decoder=self.foundation.decoder,
            lr=request.lr,
            gamma=request.gamma,
            among=self.foundation.modules_of(request.layers or "all"),
            update=request.update or DEFAULT_RULE,
            seed=request.seed,
        )
        trainer = Trainer(self.run, strategy, prepared, self.foundation.plan, self.reporter, foundation)
        with ThreadPoolExecutor(1) as prefetcher:
            trainer.train(prefetcher, spent_seconds=time.monotonic() - self.began, reserved_seconds=self.reserved)
        strategy.finish()
        return _Trained(network.cpu(), trainer.step, trainer.pace.steps, trainer.stopped)

    def _tell_held_out(self, step: int, measures: list[HeldOutMeasure]) -> None:
        if measures:
            mean = sum(measured.dice for measured in measures) / len(measures)
            self.reporter.progress("held out", step, None, held_out=mean, recall=recall(measures))

    def _keep(self, trained: _Trained, before: list[HeldOutMeasure], after: list[HeldOutMeasure]) -> FinetuneResult:
        delta = self.foundation.delta_to(trained.network)
        measured = summary(before, after)
        write_delta(self.run.folder, delta, self._card(trained, measured), self.foundation.plan, self.foundation)
        self._clock("write")
        result = FinetuneResult(
            model=str(self.run.folder),
            steps=trained.steps,
            stopped=trained.stopped,
            held_out=measured,
            weights_changed=delta.fraction_changed,
            seconds={**self.seconds, "total": time.monotonic() - self.began},
            notes=self.reporter.notes,
        )
        self.run.finish(result)
        return result

    def _card(self, trained: _Trained, measured: dict[str, Any] | None) -> ModelCard:
        request, base = self.request, self.foundation.card
        held_out = len(self.run.inputs.held_out)
        learned = _scans(len(request.cases) - held_out)
        about_base = f"{base.trained_on.strip().rstrip('.')}. " if base.trained_on.strip() else ""
        measured_on = f", measured on {held_out}" if held_out else ""
        return replace(
            base,
            name=request.name or Path(request.out).resolve().name,
            description=f"{base.name} fine-tuned by {request.strategy} on {learned}{measured_on}.",
            trained_on=f"{about_base}Fine-tuned on {learned} of the user{measured_on}.",
            created=date.today().isoformat(),
            folds=(),
            strategy={
                "name": request.strategy,
                **request.selection,
                "lr": request.lr,
                "steps": trained.steps,
                "planned_steps": trained.planned,
                "stopped": trained.stopped,
                "seed": request.seed,
                **self.run.fixed.to_json(),
            },
            measured=measured,
        )

    def _clock(self, phase: str) -> None:
        self.seconds[phase] = time.monotonic() - self.began - sum(self.seconds.values())


def _that_it_is_finished(run: Run, places: Collection[str]) -> str:
    unused = f"; no {' and no '.join(places)} is needed for that, so what was given was not looked at" if places else ""
    return f"The run in {run.folder} is finished already, and this is what it came to{unused}."


def _scans(count: int) -> str:
    return "1 annotated scan" if count == 1 else f"{count} annotated scans"


def _measured(case: Case, knowledge: np.ndarray, *answers: Volume) -> list[HeldOutMeasure]:
    """All judged by the same voxels: around marks, a finding of any of them may be a node that nobody marked."""
    if case.completeness == "marked":  # else nothing near marks was left to decide
        unmarked = np.logical_or.reduce([findings_beside_marks(answer, case.annotation) for answer in answers])
        knowledge = settled(knowledge, unmarked)
    return [measure(answer, case, knowledge) for answer in answers]


def _segmentation(predictor: Predictor, case: Case) -> Volume:
    return predictor.segment(case.image, name=case.name).segmentation


class _Notes(Reporter):
    """A reporter that also remembers the notes, each once."""

    def __init__(self, on_event: OnEvent | None, should_stop: ShouldStop | None):
        super().__init__(on_event, should_stop)
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        if message not in self.notes:
            self.notes.append(message)
            super().note(message)
