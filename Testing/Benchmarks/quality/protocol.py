"""Who does what on which cases: strategies x completeness x shots x draws, the same for every strategy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .entrants import MANY_DRAWS, Configuration, Entrant, as_text
from .guard import choice_key, measured_key
from .measures import mean_of
from .rows import Row

BEFORE = "before"
"""Cell of the foundation model as it is."""


TOLERANCE = 0.02
"""Target Dice on the validation scans below which a difference is no reason to forget more; the same for all."""

_PARTS = ("target", "source")


@dataclass(frozen=True)
class Protocol:
    """What every strategy is given alike.

    Args:
        steps: of a fine-tuning.
        batch_size: patches a step.
        shots: numbers of cases to learn from.
        completeness: of their annotation, ``all`` or ``marked``.
        marked_nodes: how many nodes are marked in a case of completeness ``marked``.
        choosing_draws: draws of cases that each configuration is tried on.
        draws: draws that the chosen configuration is measured on; other ones than those it was chosen on. Six is the
            least number of pairs that can reach p < .05.
        many_draws: the same for the strategies in ``MANY_DRAWS``.
    """

    steps: int = 100
    batch_size: int = 2
    shots: tuple[int, ...] = (1, 5)
    completeness: tuple[str, ...] = ("all", "marked")
    marked_nodes: int = 2
    choosing_draws: int = 2
    draws: int = 6
    many_draws: int = 10

    @property
    def tests(self) -> bool:
        """Whether anything is measured on the test split; where nothing is, nothing is chosen either."""
        return max(self.draws, self.many_draws) > 0

    def draws_of(self, entrant: str) -> int:
        return self.many_draws if entrant in MANY_DRAWS else self.draws

    def fixed(self) -> dict[str, Any]:
        """What must not change while a benchmark goes on; shots, completeness and draws may be added.

        Draws to choose on may be added where nothing is chosen.
        """
        fixed = {name: getattr(self, name) for name in ("steps", "batch_size", "marked_nodes")}
        return {**fixed, "choosing_draws": self.choosing_draws, "tolerance": TOLERANCE} if self.tests else fixed


@dataclass(frozen=True)
class Cell:
    """A strategy in one setting, for which one configuration is chosen."""

    entrant: str
    completeness: str
    shots: int

    @property
    def name(self) -> str:
        return f"{self.entrant}/{self.completeness}/{self.shots}"


@dataclass(frozen=True)
class Piece:
    """A piece of work that ends in one row.

    Args:
        stage: ``choose`` measures on the validation split, ``test`` on the test split.
        cell: None for the foundation model as it is.
        draw: of the stage's own draws.
        configuration: for ``choose`` the one to try; else None.
    """

    stage: str
    cell: Cell | None
    draw: int = 0
    configuration: Configuration | None = None

    @property
    def key(self) -> str:
        cell = self.cell.name if self.cell else BEFORE
        if self.stage == "test":
            return measured_key(cell, self.draw)
        tried = f"{as_text(self.configuration)}/" if self.configuration is not None else ""
        return f"choose/{cell}/{tried}{self.draw}"

    def case_draw(self, protocol: Protocol) -> int:
        """Number of the draw of cases, by which batches are seeded as well; no stage sees the other's."""
        return self.draw if self.stage == "choose" else protocol.choosing_draws + self.draw

    def described(self) -> dict[str, Any]:
        """The piece's own columns of a row."""
        place = {"strategy": BEFORE, "completeness": None, "shots": None}
        if self.cell is not None:
            place = {
                "strategy": self.cell.entrant,
                "completeness": self.cell.completeness,
                "shots": self.cell.shots,
            }
        return {"key": self.key, "stage": self.stage, **place, "draw": self.draw}


def pieces(protocol: Protocol, entrants: Mapping[str, Entrant]) -> list[Piece]:
    """All pieces of work in the order in which they are begun.

    Draw by draw over all strategies, so that what a stopped benchmark has done can be compared already.
    """
    return list(_pieces(protocol, entrants))


def _pieces(protocol: Protocol, entrants: Mapping[str, Entrant]) -> Iterator[Piece]:
    yield Piece("choose", None)
    if protocol.tests:
        yield Piece("test", None)
    for completeness in reversed(protocol.completeness):
        for shots in reversed(protocol.shots):
            cells = _cells(completeness, shots, entrants)
            for draw in range(protocol.choosing_draws):
                for cell in cells:
                    for configuration in entrants[cell.entrant].configurations:
                        yield Piece("choose", cell, draw, configuration)
            for draw in range(max(protocol.draws, protocol.many_draws)):
                for cell in cells:
                    if draw < protocol.draws_of(cell.entrant):
                        yield Piece("test", cell, draw)


def cells(protocol: Protocol, entrants: Mapping[str, Entrant]) -> list[Cell]:
    """All cells, in the order of the tables."""
    return [
        cell
        for completeness in protocol.completeness
        for shots in protocol.shots
        for cell in _cells(completeness, shots, entrants)
    ]


def _cells(completeness: str, shots: int, entrants: Mapping[str, Entrant]) -> list[Cell]:
    """Of those who take part there."""
    return [Cell(name, completeness, shots) for name, one in entrants.items() if completeness in one.completeness]


def choice(cell: Cell, entrant: Entrant, protocol: Protocol, rows: Mapping[str, Row]) -> Row | None:
    """The row that fixes a cell's configuration: the highest mean Dice on the target validation scans.

    Of those less than ``TOLERANCE`` below it, which so few scans cannot tell apart, the one is taken that keeps the
    most source Dice; where that is unknown or equal, the highest on the target, the first of equal ones. None while a
    configuration is still to be tried, or one of them was refused.
    """
    tried = []
    for configuration in entrant.configurations:
        keys = [Piece("choose", cell, draw, configuration).key for draw in range(protocol.choosing_draws)]
        found = [rows[key] for key in keys if key in rows]
        if len(found) < len(keys) or any("refused" in row for row in found):
            return None
        tried.append({"configuration": configuration, **{f"{part}_dice": _dice(found, part) for part in _PARTS}})
    best = _best(tried)
    place = tried.index(best)
    return {
        "key": choice_key(cell.name),
        "stage": "choice",
        "strategy": cell.entrant,
        "completeness": cell.completeness,
        "shots": cell.shots,
        "configuration": best["configuration"],
        "tried": tried,
        "at_edge": len(tried) > 1 and place in (0, len(tried) - 1),
    }


def _dice(rows: Sequence[Row], part: str) -> float:
    """Mean over draws of the mean over scans; -1 where there is none."""
    dice = mean_of(mean_of(row[part]["dice"]) if row.get(part) else None for row in rows)
    return -1.0 if dice is None else dice


def _best(tried: Sequence[dict[str, Any]]) -> dict[str, Any]:
    least = max(one["target_dice"] for one in tried) - TOLERANCE
    return max((one for one in tried if one["target_dice"] > least), key=lambda o: (o["source_dice"], o["target_dice"]))


def nothing_to_choose() -> Row:
    """The choice of the foundation model as it is."""
    return {"key": choice_key(BEFORE), "stage": "choice", "strategy": BEFORE, "configuration": {}}


def refused_cells(rows: Mapping[str, Row]) -> dict[str, str]:
    """Cells that a strategy was refused in, and why: they take no further part."""
    return {
        Cell(row["strategy"], row["completeness"], row["shots"]).name: row["refused"]
        for row in rows.values()
        if "refused" in row
    }


def open_pieces(todo: Sequence[Piece], rows: Mapping[str, Row]) -> list[Piece]:
    """Pieces that are still to be done."""
    refused = refused_cells(rows)
    return [piece for piece in todo if piece.key not in rows and (piece.cell is None or piece.cell.name not in refused)]


def is_ready(piece: Piece, rows: Mapping[str, Row]) -> bool:
    """Whether a piece can be begun: to be tested, its configuration has to be chosen."""
    return piece.stage == "choose" or choice_key(piece.cell.name if piece.cell else BEFORE) in rows
