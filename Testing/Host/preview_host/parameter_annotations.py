"""What may stand in ``Annotated[type, ...]`` of a parameter: ranges, choices, defaults, and how they refuse a value."""

from __future__ import annotations

import typing
from dataclasses import dataclass


class Validator:
    """Refuses values by ValueError."""

    def validate(self, value) -> None:
        """Raise ValueError unless the value is allowed."""
        raise NotImplementedError


@dataclass(frozen=True)
class WithinRange(Validator):
    """From ``minimum`` to ``maximum``, both included."""

    minimum: float
    maximum: float

    def validate(self, value) -> None:
        """Raise ValueError outside the range."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within [{self.minimum}, {self.maximum}], is {value}")


@dataclass(frozen=True)
class Minimum(Validator):
    """Not below."""

    minimum: float

    def validate(self, value) -> None:
        """Raise ValueError below."""
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


@dataclass(frozen=True)
class Maximum(Validator):
    """Not above."""

    maximum: float

    def validate(self, value) -> None:
        """Raise ValueError above."""
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


@dataclass(frozen=True)
class Choice(Validator):
    """One of a list."""

    choices: list

    def validate(self, value) -> None:
        """Raise ValueError for anything else."""
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value!r}")


@dataclass(frozen=True)
class Default:
    """What a parameter is until it is set."""

    value: object


@dataclass(frozen=True)
class Decimals:
    """Digits that a bound widget shows."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """Step of a bound widget."""

    value: float


@dataclass(frozen=True)
class Declared:
    """A parameter as its class declares it."""

    name: str
    kind: object
    annotations: tuple

    def first(self, *kinds: type):
        """The first annotation of one of the kinds, or None."""
        return next((a for a in self.annotations if isinstance(a, kinds)), None)

    def validate(self, value) -> None:
        """Ask all validators."""
        for annotation in self.annotations:
            if isinstance(annotation, Validator):
                annotation.validate(value)


def declared_parameters(cls: type) -> dict[str, Declared]:
    """The annotated fields of a class, in their order."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {name: _declared(name, hint) for name, hint in hints.items()}


def _declared(name: str, hint) -> Declared:
    if typing.get_origin(hint) is typing.Annotated:
        kind, *annotations = typing.get_args(hint)
        return Declared(name, kind, tuple(annotations))
    return Declared(name, hint, ())
