"""What a run keeps of what it was begun with, for those who go on with it. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .case import Case

This = TypeVar("This", bound="Plain")


@dataclass(frozen=True)
class Described:
    """A case that was read and found right.

    Args:
        name, completeness, notes: as of ``Case``.
        fingerprint: tells image and masks from any others.
        scan: by which the image is known again, whatever is marked in it.
        has_nodes: whether a lymph node is marked in it.
        has_rejected: whether findings were refused in it.
    """

    name: str
    completeness: str
    notes: tuple[str, ...]
    fingerprint: str
    scan: frozenset[str]
    has_nodes: bool
    has_rejected: bool

    @classmethod
    def of(cls, case: Case) -> Described:
        return cls(
            case.name,
            case.completeness,
            case.notes,
            case.fingerprint,
            case.image_fingerprints,
            has_nodes=bool(case.annotation.array.any()),
            has_rejected=case.rejected is not None and bool(case.rejected.array.any()),
        )

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "scan": sorted(self.scan)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Described:
        """Raises:
        ValueError: something is missing.
        """
        kept = whole(cls, data)
        return cls(**{**kept, "notes": tuple(kept["notes"]), "scan": frozenset(kept["scan"])})


@dataclass(frozen=True)
class Inputs:
    """The model and the cases as they were when a run was begun.

    Args:
        base: fingerprint of the weights that training starts from.
        plan: that model's preprocessing, as plain values; what is prepared of the cases depends on it.
        cases: in the order of the request.
        held_out: positions of those that measure.
    """

    base: str
    plan: Mapping[str, Any]
    cases: tuple[Described, ...]
    held_out: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        cases = [case.to_json() for case in self.cases]
        return {"base": self.base, "plan": dict(self.plan), "cases": cases, "held_out": self.held_out}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Inputs:
        """Raises:
        ValueError: something is missing.
        """
        kept = whole(cls, data)
        cases = tuple(Described.from_json(case) for case in kept["cases"])
        return cls(kept["base"], kept["plan"], cases, tuple(kept["held_out"]))


class Plain:
    """A dataclass of values that JSON holds as they are."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls: type[This], data: Mapping[str, Any]) -> This:
        """Raises:
        ValueError: something is missing.
        """
        return cls(**whole(cls, data))


@dataclass(frozen=True)
class Fixed(Plain):
    """What the first start found and every resume uses again.

    Args:
        threads: on the CPU.
        device, precision: what ``auto`` came to.
        batch_size: patches a step.
        python, torch, monai, numpy, DGSTSegment: versions that the run was begun with.
    """

    threads: int
    device: str
    precision: str
    batch_size: int
    python: str
    torch: str
    monai: str
    numpy: str
    DGSTSegment: str


def whole(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass, of which ``data`` may hold more.

    Raises:
        ValueError: it holds less.
    """
    names = [f.name for f in fields(cls)]
    missing = [name for name in names if name not in data]
    if missing:
        raise ValueError(f"it does not say {', '.join(missing)}")
    return {name: data[name] for name in names}
