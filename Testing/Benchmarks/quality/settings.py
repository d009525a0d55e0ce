"""What was asked for, and the benchmark that it means: opened alike by every process that works on it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from DGSTSegmentLib.atomic import write_text
from DGSTSegmentLib.errors import InputError
from DGSTSegmentLib.networks.catalogue import STARTER
from DGSTSegmentLib.networks.foundation import open_model
from DGSTSegmentLib.networks.model import FoundationModel
from DGSTSegmentLib.training.devices import choose_device, choose_precision

from .circumstances import commit_of_code
from .data import ANY, Choices, Pool, Sizes, open_pool
from .entrants import LEARNING_RATE_FACTORS, Entrant, chosen_entrants, refuse_repetition, refuse_unequal_effort
from .ideas import chosen_ideas
from .protocol import Protocol
from .rows import Rows
from .tune import Computing
from .work import Benchmark

IDENTITY_FILE = "protocol.json"
FORMAT = 1
READ = ("label", "channel", "annotated", "annotation")
"""What of files a benchmark comes from; all None of phantoms. Where a benchmark was begun before this was written down,
it is from now on."""


@dataclass(frozen=True)
class Settings:
    """Plain data that travels to every process.

    Args:
        data: ``phantoms``, ``sts`` or a folder; see ``data.open_pool``.
        out: folder of the rows and the report.
        model: of ``open_model``; one fold of an ensemble is named by ``fold``.
        source: scans of the model's own domain: ``phantoms``, a folder, or None where they are unknown.
        choices: of what is read of folders.
        device, precision: names of ``training.request``.
        threads: of each process.
        processes: at work at once.
        strategies: names of entrants; None for those of ``entrants.FULL``, or every idea.
        ideas: whether entrants are those of ``ideas``, measured on validation scans only.
        factors: of each strategy's own learning rate.
        sizes: of the phantom pool.
        protocol: what every strategy is given.
    """

    data: str
    out: Path
    model: str = STARTER
    fold: str | None = None
    source: str | None = None
    choices: Choices = ANY
    device: str = "auto"
    precision: str = "auto"
    threads: int = 1
    processes: int = 1
    strategies: tuple[str, ...] | None = None
    ideas: bool = False
    factors: tuple[float, ...] = LEARNING_RATE_FACTORS
    sizes: Sizes = Sizes()
    protocol: Protocol = Protocol()


def open_benchmark(settings: Settings) -> Benchmark:
    """The benchmark in ``settings.out``, begun or gone on with.

    Raises:
        InputError: data or model cannot be used, or another benchmark lies in the folder.
    """
    refuse_unknown_completeness(settings)
    rows = Rows(settings.out)
    pool = open_pool(settings.data, rows, settings.sizes, settings.source, settings.choices)
    model = open_model(settings.model, fold=settings.fold).foundation
    if settings.ideas:
        entrants = chosen_ideas(settings.strategies, settings.protocol)
    else:
        entrants = chosen_entrants(settings.strategies, settings.factors)
    return begun(settings, rows, pool, model, entrants)


def refuse_unknown_completeness(settings: Settings) -> None:
    """
    Raises:
        InputError: complete cases are asked for, where only some nodes of the training scans are annotated.
    """
    if settings.choices.annotated == "marked" and settings.protocol.completeness != ("marked",):
        asked = " ".join(settings.protocol.completeness)
        raise InputError(
            f"--completeness {asked} needs training scans with every node annotated, which --annotated marked denies; "
            "leave one of the two out."
        )


def begun(
    settings: Settings, rows: Rows, pool: Pool, model: FoundationModel, entrants: dict[str, Entrant]
) -> Benchmark:
    """The benchmark of these parts, once it is sure that the folder holds no other one.

    Where fewer scans can be learned from than shots are asked for, all of them are taken.

    Raises:
        InputError: it does, or the entrants are not given the same.
    """
    refuse_repetition(list(entrants.values()))
    if settings.protocol.tests:
        refuse_unequal_effort(list(entrants.values()))
    device = choose_device(settings.device)
    computing = Computing(device.type, choose_precision(settings.precision, device), settings.threads)
    identity = {
        "format": FORMAT,
        "purpose": "ideas" if settings.ideas else None,
        "model": {"name": model.card.title, "fingerprint": model.fingerprint},
        **{name: pool.read.get(name) for name in READ},
        "data": {"name": pool.name, "description": pool.description, "split": pool.split},
        "device": computing.device,
        "precision": computing.precision,
        **settings.protocol.fixed(),
    }
    with rows.lock():
        _keep_identity(settings.out / IDENTITY_FILE, identity, entrants)
    most = len(pool.training)
    protocol = replace(settings.protocol, shots=tuple(sorted({min(shots, most) for shots in settings.protocol.shots})))
    return Benchmark(rows, protocol, entrants, pool, model, computing, commit_of_code(), max(1, settings.processes))


def read_identity(folder: Path) -> dict[str, Any]:
    """What the benchmark in ``folder`` was begun with.

    Raises:
        InputError: none was begun there.
    """
    path = folder / IDENTITY_FILE
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no benchmark ({error}); run one with --quick, --full or --ideas.") from error


def _keep_identity(path: Path, identity: dict[str, Any], entrants: dict[str, Entrant]) -> None:
    identity = json.loads(json.dumps(identity))
    described = {name: json.loads(json.dumps(one.described())) for name, one in entrants.items()}
    known = read_identity(path.parent) if path.exists() else {**identity, "entrants": {}}
    known |= {name: identity[name] for name in READ if name not in known and identity[name] is not None}
    for name, value in identity.items():
        if known.get(name) != value:
            raise InputError(
                f"{path.parent} holds a benchmark with another {name}; choose another folder (--out), or ask for the "
                "same again."
            )
    for name, description in described.items():
        if known["entrants"].setdefault(name, description) != description:
            raise InputError(f"{path.parent} tried {name} with other configurations; choose another folder (--out).")
    write_text(path, json.dumps(known, indent=1) + "\n")
