"""What a part of the benchmark is: a module with a name that measures and says which goals it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from .goals import Goal

Row = dict[str, Any]
"""One measured quantity, as JSON takes it: what ``row`` makes."""

QUANTITIES = ("seconds", "MB", "steps/s", "ratio", "Dice")


@dataclass(frozen=True)
class Context:
    """Under what a part measures.

    Args:
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of torch and of every peer.
        precision: ``fp32``, ``bf16`` or ``fp16``, the same for everybody.
        rounds: how often every contestant has its turn.
        quick: small networks and patches, to see that everything works.
        out: folder of rows and report.
        work: folder for peers' environments and data; what lies there may be reused and may be deleted.
        say: tells the user a line.
    """

    device: str
    threads: int
    precision: str
    rounds: int
    quick: bool
    out: Path
    work: Path
    say: Callable[[str], None]

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.device)

    def setting(self, **further: Any) -> dict[str, Any]:
        """A row's setting: what all rows of this run share, and ``further``."""
        return {"device": self.device, "threads": self.threads, "precision": self.precision, **further}

    def synchronize(self) -> None:
        """Wait until the device did what it was told; a CPU has by then."""
        if self.device == "cuda":
            torch.cuda.synchronize()


class Part(Protocol):
    """A module of this package that ``command.PARTS`` names."""

    NAME: str
    TITLE: str

    @staticmethod
    def measure(context: Context) -> Iterator[Row]:
        """Yields every row as soon as it is measured."""

    @staticmethod
    def goals(rows: Sequence[Row]) -> list[Goal]:
        """The part's goals, from its own rows of one device; ``measured`` is None where the rows do not say it."""


def row(
    part: str,
    subject: str,
    quantity: str,
    values: Sequence[float],
    setting: Mapping[str, Any],
    against: str | None = None,
    note: str = "",
) -> Row:
    """A row.

    Args:
        part: the part's ``NAME``.
        subject: what was measured.
        quantity: of ``QUANTITIES``; it is the values' unit too.
        values: one a round, in the rounds' order.
        setting: plain data: network, patch, device, threads and what else matters.
        against: what the values are relative to; None for absolute ones.
        note: a sentence for the report.

    Raises:
        ValueError: there is no such quantity, or no value.
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"A quantity is one of {', '.join(QUANTITIES)}, not {quantity!r}.")
    if not values:
        raise ValueError(f"The row of {subject!r} has no value.")
    return {
        "part": part,
        "subject": subject,
        "against": against,
        "setting": dict(setting),
        "quantity": quantity,
        "values": [float(value) for value in values],
        "note": note,
    }


def find(rows: Sequence[Row], subject: str, quantity: str, against: str | None = None, **setting: Any) -> Row | None:
    """The last row of ``subject`` with that quantity, opponent and (at least) those settings; None where none is."""
    for one in reversed(rows):
        same = (one["subject"], one["quantity"], one["against"]) == (subject, quantity, against)
        if same and all(one["setting"].get(name) == value for name, value in setting.items()):
            return one
    return None
