"""Which test rows that are compared with each other were made by different code, or on different processors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .rows import Row
from .summary import ANNOTATION, Setting

_DIGITS = 7


def mixed_code(rows: Mapping[str, Row]) -> list[str]:
    """``5 cases, every node annotated: dgst, full by 816dad7; lora by 15eda37 (draws 0, 1)``; empty where none are.

    Args:
        rows: all of a benchmark; old ones hold their commit alone, others the fingerprint of the code as well.
    """
    tested = _tested(rows)
    known = {row["commit"]: row["code"] for row in tested if "code" in row and _is_clean(row["commit"])}

    def author(row: Row) -> str:
        return (row.get("code") or known.get(row.get("commit"), row.get("commit")) or "unknown code")[:_DIGITS]

    return _mixed(tested, author, "by")


def mixed_processors(rows: Mapping[str, Row]) -> list[str]:
    """``1 case, every node annotated: dgst, full on AMD EPYC, 2 cores; norm on ... (draw 0)``; empty where none are.

    The same training is rounded differently there.
    """
    return _mixed(_tested(rows), lambda row: row.get("processor", "an unknown processor"), "on")


def _tested(rows: Mapping[str, Row]) -> list[Row]:
    return [row for row in rows.values() if row["stage"] == "test" and row.get("shots") and "target" in row]


def _mixed(tested: Iterable[Row], maker: Callable[[Row], str], preposition: str) -> list[str]:
    """A line for all draws of a setting in which the same strategies are by the same of several makers."""
    makers: dict[Setting, dict[int, dict[str, set[str]]]] = {}
    for row in tested:
        of_draw = makers.setdefault((row["completeness"], row["shots"]), {}).setdefault(row["draw"], {})
        of_draw.setdefault(maker(row), set()).add(row["strategy"])
    return [line for setting, draws in sorted(makers.items()) for line in _lines(setting, draws, preposition)]


def _is_clean(commit: str | None) -> bool:
    """Whether a commit tells all of the code."""
    return commit is not None and "+" not in commit


def _lines(setting: Setting, draws: Mapping[int, Mapping[str, set[str]]], preposition: str) -> Iterable[str]:
    """One for all draws in which the same strategies are by the same maker."""
    completeness, shots = setting
    alike: dict[str, list[int]] = {}
    for draw, by_maker in sorted(draws.items()):
        if len(by_maker) > 1:
            listed = sorted((", ".join(sorted(names)), maker) for maker, names in by_maker.items())
            alike.setdefault("; ".join(f"{names} {preposition} {maker}" for names, maker in listed), []).append(draw)
    place = f"{shots} case{'s' if shots != 1 else ''}, {ANNOTATION.get(completeness, completeness)}"
    for told, numbers in alike.items():
        yield f"{place}: {told} (draw{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))})"
