"""Which test rows that are compared with each other were made by different code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .rows import Row
from .summary import ANNOTATION, Setting

_DIGITS = 7


def mixed_code(rows: Mapping[str, Row]) -> list[str]:
    """``5 cases, every node annotated: dgst, full by 816dad7; lora by 15eda37 (draws 0, 1)``; empty where none are.

    Args:
        rows: all of a benchmark; old ones hold their commit alone, others the fingerprint of the code as well.
    """
    tested = [row for row in rows.values() if row["stage"] == "test" and row.get("shots") and "target" in row]
    known = {row["commit"]: row["code"] for row in tested if "code" in row and _is_clean(row["commit"])}
    authors: dict[Setting, dict[int, dict[str, set[str]]]] = {}
    for row in tested:
        code = row.get("code") or known.get(row.get("commit"), row.get("commit")) or "unknown code"
        of_draw = authors.setdefault((row["completeness"], row["shots"]), {}).setdefault(row["draw"], {})
        of_draw.setdefault(code, set()).add(row["strategy"])
    return [line for setting, draws in sorted(authors.items()) for line in _lines(setting, draws)]


def _is_clean(commit: str | None) -> bool:
    """Whether a commit tells all of the code."""
    return commit is not None and "+" not in commit


def _lines(setting: Setting, draws: Mapping[int, Mapping[str, set[str]]]) -> Iterable[str]:
    """One for all draws in which the same strategies are by the same code."""
    completeness, shots = setting
    alike: dict[str, list[int]] = {}
    for draw, by_code in sorted(draws.items()):
        if len(by_code) > 1:
            listed = sorted((", ".join(sorted(names)), code[:_DIGITS]) for code, names in by_code.items())
            alike.setdefault("; ".join(f"{names} by {code}" for names, code in listed), []).append(draw)
    place = f"{shots} case{'s' if shots != 1 else ''}, {ANNOTATION.get(completeness, completeness)}"
    for told, numbers in alike.items():
        yield f"{place}: {told} (draw{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))})"
