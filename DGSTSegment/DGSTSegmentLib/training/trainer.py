"""The training loop: batch, loss, strategy's step, checkpoint; on a CPU it resumes to the bit."""

from __future__ import annotations

import time
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psutil
import torch
from torch import nn

from ..dgst.strategies import Strategy
from ..errors import InputError
from ..networks.architectures import outputs
from ..networks.plan import Plan
from .batches import Batch, Batches
from .devices import autocast, chosen_kernels
from .draws import drawn_from, draws_at_random
from .events import Reporter
from .loss import FewShotLoss, LossParts
from .pace import CALIBRATION, Pace
from .patches import PreparedCase
from .run import Run
from .schedule import poly
from .teacher import Teacher

LONGEST_STANDSTILL = 10
"""Steps that may be skipped before the first that is not, where fp16 lowers the scale of its loss at each; and steps in
a row whose loss may be no number later, when weights have grown without end."""

WARM_UP_TRIES = 20
"""Batches among which are to be as many with finite gradients as the warm-up needs."""


class NothingMoved(InputError):
    """Not one step could be taken, so that nothing would be gained by going on."""

    def __init__(self, steps: int, precision: str):
        helps = "train in fp32" if precision == "fp16" else "choose another model, or scans of the kind it was made for"
        super().__init__(
            f"The gradients of the first {steps} batches were not finite in {precision}, so nothing was learned; "
            f"{helps}."
        )


class Diverged(InputError):
    """Steps were taken, and after them the network answered with no numbers."""

    def __init__(self, lr: float):
        super().__init__(
            f"The training diverged at the learning rate {lr:g}, its weights grew until their answers were no numbers; "
            "begin a new run with a smaller one (--lr)."
        )


class Trainer:
    """Trains a strategy's network on prepared cases.

    Args:
        run: request, fixed settings and checkpoint.
        strategy: on the foundation model's network, which it changes in place.
        cases: prepared.
        plan: of the foundation model; its patch size and spacing.
        reporter: hears of every step and is asked whether to stop.
        foundation: the network as it was, asked where cases leave voxels open; needed where one does.
    """

    def __init__(
        self,
        run: Run,
        strategy: Strategy,
        cases: list[PreparedCase],
        plan: Plan,
        reporter: Reporter,
        foundation: nn.Module | None = None,
    ):
        self.run, self.strategy, self.reporter = run, strategy, reporter
        self.device = torch.device(run.fixed.device)
        self.batches = Batches(cases, plan, run.fixed.batch_size, run.request.seed)
        self.loss_of = FewShotLoss(run.request.distillation)
        asks = any(case.leaves_open for case in cases)
        self.teacher = Teacher(foundation, self.device, run.fixed.precision) if asks else None
        self.step, self.skipped, self.stopped = 0, 0, False
        self._draws = draws_at_random(strategy.network)
        self._lost = 0
        """Steps up to this one, in a row, whose loss was not finite."""
        uses_scaler = run.fixed.precision == "fp16"
        self.scaler = torch.amp.GradScaler(self.device.type) if uses_scaler else None

    def train(self, prefetcher: Executor, spent_seconds: float, reserved_seconds: float) -> None:
        """Train to the last step, from the run's checkpoint where there is one, or until asked to stop.

        Args:
            prefetcher: draws the next batch meanwhile.
            spent_seconds, reserved_seconds: of the run's minutes, before the first and after the last step.

        Raises:
            NothingMoved: no step could be taken.
            Diverged: after some none could be.
        """
        steps = self._go_back_to_checkpoint() or self.run.request.steps
        self.pace = Pace(steps, self.run.request.minutes, reserved_seconds, spent_seconds)
        self.strategy.network.train()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)  # what came before is none of the training's
        with chosen_kernels(self.device):
            self._take_steps(prefetcher)
        if self.skipped:
            self.reporter.note(f"Steps skipped because their gradients were not finite: {self.skipped} of {self.step}.")
        self.strategy.network.eval()

    def _take_steps(self, prefetcher: Executor) -> None:
        if self.step == 0:
            self._warm_up()
        upcoming = prefetcher.submit(self.batches.__getitem__, self.step)
        while not self._is_finished() and not self.stopped:
            batch, upcoming = upcoming.result(), prefetcher.submit(self.batches.__getitem__, self.step + 1)
            self._do_step(batch.to(self.device))
        self._settle(upcoming)

    def _is_finished(self) -> bool:
        return self.pace.steps is not None and self.step >= self.pace.steps

    def _warm_up(self) -> None:
        """Gradients of the first batches, before any update, for the strategy that chooses by them."""
        tried = 0
        while self.strategy.warm_up_batches:
            if tried == WARM_UP_TRIES:
                raise NothingMoved(tried, self.run.fixed.precision)
            self._backward(self.batches[tried].to(self.device), tried)
            self.strategy.observe(self.scaler)
            tried += 1

    def _do_step(self, batch: Batch) -> None:
        factor = self._lr_factor()
        parts = self._backward(batch, self.step)
        report = self.strategy.step(lr_factor=factor, scaler=self.scaler)
        fixed_now = self.pace.step_done(self.step)
        if fixed_now and self.pace.shortfall:
            self.reporter.note(self.pace.shortfall)
        self._tell(parts, factor)
        self.step += 1
        self.skipped += report.skipped
        self._lost = 0 if parts.total.isfinite() else self._lost + 1
        self._refuse_standstill()
        self.stopped = self.reporter.should_stop() and not self._is_finished()
        if fixed_now or self.stopped or self.pace.checkpoint_due():
            self._save_checkpoint()

    def _refuse_standstill(self) -> None:
        if self.skipped == self.step and (self.step >= LONGEST_STANDSTILL or self._is_finished()):
            raise NothingMoved(self.step, self.run.fixed.precision)
        if self._lost >= LONGEST_STANDSTILL or (self._is_finished() and 2 * self._lost > self.step):
            raise Diverged(self.strategy.lr)

    def _lr_factor(self) -> float:
        """The schedule begins to fall once the number of steps is fixed, so that a resume finds the same one."""
        if self.run.request.minutes is not None and self.step < CALIBRATION.stop:
            return 1.0
        return poly(self.step, self.pace.steps)

    def _backward(self, batch: Batch, step: int) -> LossParts:
        taught = self._teacher_on(batch)  # first: later its activations would lie on top of what backward keeps
        with self._draws_of(step):
            with autocast(self.device, self.run.fixed.precision):
                scores = outputs(self.strategy.network(batch.image))
            parts = self.loss_of(scores, batch.knowledge, taught)
            (parts.total if self.scaler is None else self.scaler.scale(parts.total)).backward()
        return parts

    def _draws_of(self, step: int) -> AbstractContextManager[None]:
        return drawn_from(self.run.request.seed, step, self.device) if self._draws else nullcontext()

    def _teacher_on(self, batch: Batch) -> torch.Tensor | None:
        asks = self.teacher is not None and self.loss_of.asks_teacher(batch.knowledge)
        return self.teacher.probability(batch.image) if asks else None

    def _tell(self, parts: LossParts, factor: float) -> None:
        self.reporter.progress(
            "train",
            self.step + 1,
            self.pace.steps,
            loss=float(parts.total.detach()),
            loss_known=parts.known,
            loss_distillation=parts.distillation,
            lr=self.strategy.lr * factor,
            memory_mb=_memory_mb(self.device),
            seconds_left=self.pace.seconds_left(self.step),
        )

    def _save_checkpoint(self) -> None:
        began = time.monotonic()
        tensors, meta = self.strategy.state()
        network = {
            f"network.{name}": tensor.detach().cpu().contiguous() for name, tensor in self._own_tensors().items()
        }
        strategy = {f"strategy.{name}": tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        self.run.save_checkpoint({**network, **strategy}, {**self._meta(), "strategy": meta})
        self.pace.checkpoint_done(time.monotonic() - began)

    def _meta(self) -> dict[str, Any]:
        scaler = None if self.scaler is None else self.scaler.state_dict()
        return {"step": self.step, "skipped": self.skipped, "steps": self.pace.steps, "scaler": scaler}

    def _go_back_to_checkpoint(self) -> int | None:
        """Put everything back as it was; the number of steps that was fixed then, if it was.

        Raises:
            InputError: something is missing in the checkpoint.
        """
        saved = self.run.load_checkpoint()
        if saved is None:
            return None
        try:
            return self._put_back(*saved)
        except KeyError as error:
            raise InputError(
                f"The checkpoint in {self.run.folder} has no {error.args[0]}; begin a new run in another folder."
            ) from error

    def _put_back(self, tensors: dict[str, torch.Tensor], meta: dict[str, Any]) -> int | None:
        with torch.no_grad():
            for name, tensor in self._own_tensors().items():
                tensor.copy_(tensors[f"network.{name}"])
        prefix = "strategy."
        self.strategy.load_state(
            {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)},
            meta["strategy"],
        )
        if self.scaler is not None and meta["scaler"]:
            self.scaler.load_state_dict(meta["scaler"])
        self.step, self.skipped = meta["step"], meta["skipped"]
        return meta["steps"]

    def _own_tensors(self) -> dict[str, torch.Tensor]:
        """Parameters and buffers, each once, whatever names it has."""
        network = self.strategy.network
        return dict([*network.named_parameters(), *network.named_buffers()])

    @staticmethod
    def _settle(upcoming: Future) -> None:
        if not upcoming.cancel():
            upcoming.result()


def _memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return psutil.Process().memory_info().rss / 2**20
