"""The test split under seal: nobody chooses by it, and what is measured on it is written before anybody sees it.

Refused is whoever asks the split for its scans, or reads one of them in whatever way it came by it, while anything is
trained. Not seen is who makes the test phantoms anew from their numbers, opens the files of a data set past this
module, or reads the rows of earlier draws: one process cannot hide from a strategy what lies on the same disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .rows import Row, Rows

if TYPE_CHECKING:
    from DGSTSegmentLib.imaging.volume import Volume

    from .data import Scan

Measuring = Callable[[Sequence["Scan"], Sequence["Scan"]], Row]


class Refused(RuntimeError):
    """A strategy did, or tried to do, what would make the comparison unfair."""


def choice_key(cell: str) -> str:
    """Key of the row that fixes the configuration of a cell (strategy, completeness, shots)."""
    return f"choice/{cell}"


def measured_key(cell: str, draw: int) -> str:
    """Key of the row that holds the measure of a cell's draw on the test split."""
    return f"test/{cell}/{draw}"


class SealedSplit:
    """Scans that can be measured on once for each draw of a chosen configuration, and not be had otherwise.

    Args:
        target, source: scans of the two domains.
        rows: where choices stand and results go.
    """

    def __init__(self, target: Sequence[Scan], source: Sequence[Scan], rows: Rows):
        self.__target = tuple(_SealedScan(scan, self) for scan in target)
        self.__source = tuple(_SealedScan(scan, self) for scan in source)
        self._rows = rows
        self._training = False
        self._asked: Refused | None = None

    def __len__(self) -> int:
        return len(self.__target)

    def __iter__(self) -> Iterator[Scan]:
        raise self._refusal("The test split cannot be looked at; it is measured on by measure_once.")

    def __getitem__(self, place: int) -> Scan:
        raise self._refusal("The test split cannot be looked at; it is measured on by measure_once.")

    @contextmanager
    def closed_while_training(self) -> Iterator[None]:
        """The block trains: until it ends, nothing is measured.

        Raises:
            Refused: in the block somebody asked for the split, even if it made nothing of being refused.
        """
        self._training, self._asked = True, None
        try:
            yield
        finally:
            self._training = False
        if self._asked is not None:
            raise self._asked

    def measure_once(self, cell: str, draw: int, configuration: dict[str, Any], measure: Measuring) -> bool:
        """Measure a finished model and write its row; False where another process was faster.

        A measure that was cut short left no row, told nothing, and may be taken again.

        Args:
            cell: strategy, completeness and shots.
            draw: number of the draw of cases.
            configuration: of the model, which must be the one chosen.
            measure: gets the scans of the target and the source domain and gives the row.

        Raises:
            Refused: something is being trained, no configuration is chosen, another one is, or this was measured.
        """
        if self._training:
            raise self._refusal(f"{cell} asked for the test split while it was being trained.")
        rows = self._rows.read()
        choice = rows.get(choice_key(cell))
        if choice is None:
            raise Refused(f"{cell} asked for the test split before its configuration was chosen.")
        if choice["configuration"] != configuration:
            raise Refused(f"{cell} asked for the test split with {configuration}; {choice['configuration']} is chosen.")
        key = measured_key(cell, draw)
        if key in rows:
            raise Refused(f"{cell} asked for the test split a second time, for draw {draw}.")
        return self._rows.append({**measure(self.__target, self.__source), "key": key})

    def refuse_reading_while_training(self, name: str) -> None:
        """
        Raises:
            Refused: something is being trained, and somebody got hold of the scan called ``name``.
        """
        if self._training:
            raise self._refusal(f"The test scan {name} was read while a strategy was being trained.")

    def _refusal(self, reason: str) -> Refused:
        self._asked = Refused(reason)
        return self._asked


class _SealedScan:
    """A scan of the sealed split, which cannot be read while anything is trained, whoever holds it."""

    def __init__(self, scan: Scan, split: SealedSplit):
        self.__scan, self.__split = scan, split

    @property
    def name(self) -> str:
        return self.__scan.name

    @property
    def fingerprint(self) -> str:
        return self.__scan.fingerprint

    def read(self) -> tuple[Volume, Volume]:
        self.__split.refuse_reading_while_training(self.name)
        return self.__scan.read()
