"""One fine-tuning in this process, under watch."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock

from DGSTSegmentLib.cli.demo_study import a_few_of
from DGSTSegmentLib.dgst.registry import DEFAULT_RULE, RULES
from DGSTSegmentLib.imaging.findings import find
from DGSTSegmentLib.networks.model import FoundationModel
from DGSTSegmentLib.networks.plan import Plan
from DGSTSegmentLib.training.case import Case
from DGSTSegmentLib.training.events import Reporter
from DGSTSegmentLib.training.inputs import Inputs
from DGSTSegmentLib.training.material import fixed_by
from DGSTSegmentLib.training.patches import PreparedCase
from DGSTSegmentLib.training.preparation import prepare_case
from DGSTSegmentLib.training.request import FinetuneRequest
from DGSTSegmentLib.training.run import Run
from DGSTSegmentLib.training.run_files import RunRecord
from DGSTSegmentLib.training.trainer import Trainer

from .circumstances import training_code
from .entrants import NOT_OF_THE_STRATEGY, Configuration, Entrant
from .gammas import Gamma
from .laws import Watch
from .memory import PeakMemory
from .variants import Averaged

if TYPE_CHECKING:
    from .data import Scan


@dataclass(frozen=True)
class Computing:
    """How everything of a benchmark is computed.

    Args:
        device: ``cpu`` or ``cuda``.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        threads: of one process.
    """

    device: str
    precision: str
    threads: int


@dataclass(frozen=True)
class Tuned:
    """A finished fine-tuning.

    Args:
        network: made anew on the CPU from the foundation model and what changed, as who saves and opens it has it.
        weights_changed: fraction of the weights that differ from the foundation model's.
        seconds: of training, by the clock.
        processor_seconds: that this process computed meanwhile, all its threads together.
        peak_memory_mb: more than before training, MB.
        mean_change: mean difference to the foundation model along the run's last half, by key of the state dict; only
            where the entrant has variants.
    """

    network: torch.nn.Module
    weights_changed: float
    seconds: float
    processor_seconds: float
    peak_memory_mb: float
    mean_change: Mapping[str, torch.Tensor] | None = None


class _Unsaved(Run):
    """A run that leaves nothing on disk: a piece of work is done whole or again."""

    def save_checkpoint(self, tensors: dict[str, torch.Tensor], meta: dict[str, Any]) -> None:
        pass

    def load_checkpoint(self) -> None:
        return None


def _unsaved(request: FinetuneRequest) -> _Unsaved:
    return _Unsaved(Path(), RunRecord(request, fixed_by(request, note=print), Inputs("", {}, (), ()), time.time()))


def training_case(scan: Scan, completeness: str, marked_nodes: int) -> Case:
    """A case as an annotator leaves it: with every node (``all``) or a few of them (``marked``), always the same."""
    ct, nodes = scan.read()
    if completeness == "marked":
        nodes, _ = a_few_of(find(nodes).instances, marked_nodes, zlib.crc32(scan.name.encode()))
    return Case(scan.name, ct, nodes, completeness)


def prepared_case(scan: Scan, completeness: str, marked_nodes: int, plan: Plan, folder: Path) -> PreparedCase:
    """The case in the foundation model's grid, kept in ``folder`` for every later fine-tuning and process.

    Another annotation of the scan, or other code to prepare it, makes another case.
    """
    told = f"{scan.name}/{completeness}/{marked_nodes}/{scan.fingerprint}/{training_code()}"
    name = hashlib.sha256(told.encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        return prepare_case(scan.name, lambda: training_case(scan, completeness, marked_nodes), plan, folder / name)


def tune(
    entrant: Entrant,
    configuration: Configuration,
    model: FoundationModel,
    cases: Sequence[PreparedCase],
    computing: Computing,
    *,
    steps: int,
    batch_size: int,
    seed: int,
) -> Tuned:
    """Fine-tune ``model`` by ``entrant`` on ``cases``.

    Steps, batches and augmentation follow from the other arguments alone, whoever the entrant is.

    Raises:
        Refused: it moved what its strategy's name forbids.
    """
    options = arguments_of(configuration, model)
    loss = {name: options.pop(name) for name in NOT_OF_THE_STRATEGY if name in options}
    network = model.network().to(computing.device)
    watch = _watch_of(entrant.law, options, model, network, steps)
    began, computed = time.monotonic(), time.process_time()
    with PeakMemory(torch.device(computing.device)) as memory:
        made = entrant.make(entrant.law, network, head=model.head, decoder=model.decoder, seed=seed, **options)
        strategy = Averaged(watch.over(made), steps) if entrant.variants else watch.over(made)
        asked = {"steps": steps, "batch_size": batch_size, "seed": seed, **vars(computing), **loss}
        run = _unsaved(FinetuneRequest(model.card.name, [], "", strategy=entrant.law, **asked))
        foundation = model.network() if any(case.leaves_open for case in cases) else None
        trainer = Trainer(run, strategy, list(cases), model.plan, Reporter(), foundation)
        with ThreadPoolExecutor(1) as prefetcher:
            trainer.train(prefetcher, spent_seconds=0.0, reserved_seconds=0.0)
    strategy.finish()
    watch.check_finished(steps)
    seconds, computed = time.monotonic() - began, time.process_time() - computed
    saved, weights_changed = _saved(model, network.cpu(), watch)
    mean_change = strategy.mean_change() if entrant.variants else None
    return Tuned(saved, weights_changed, seconds, computed, memory.mb, mean_change)


def _saved(model: FoundationModel, network: torch.nn.Module, watch: Watch) -> tuple[torch.nn.Module, float]:
    """The foundation model with the delta of the finished ``network``, and how much of it differs; what else than
    weights may have changed stays behind."""
    delta = model.delta_to(network)
    saved = model.network()
    delta.apply_(saved)
    watch.check_saved(saved)
    return saved, delta.fraction_changed


def arguments_of(configuration: Configuration, model: FoundationModel) -> dict[str, Any]:
    """Those of ``Entrant.make`` and of the loss: layers as the names of their modules."""
    arguments = dict(configuration)
    among = model.modules_of(arguments.pop("layers", "all"))
    return arguments if among is None else {**arguments, "among": list(among)}


def _watch_of(law: str, options: Configuration, model: FoundationModel, network: torch.nn.Module, steps: int) -> Watch:
    """Over the freedom that the options claim, their rule's own gamma where they name none."""
    gamma = options.get("gamma", RULES[options.get("update", DEFAULT_RULE)].gamma)
    return Watch(law, network, model.head, model.decoder, Gamma.of(gamma, steps), options.get("among"))
