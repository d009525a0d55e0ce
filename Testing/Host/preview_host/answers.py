"""Answers to modal questions, given before they are asked, so that no dialog ever waits for a user.

answers.give("yes")                  # next message box
answers.give("/data/study")          # next file dialog
answers.give(choose)                 # next other dialog: what the user does in it before accepting it
answers.asked, answers.shown         # what was asked, and what was only told
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Reply = str | Callable | None

asked: list[str] = []
shown: list[str] = []
opened: list[str] = []
_waiting: deque[Reply] = deque()


class UnexpectedQuestion(AssertionError):
    """A modal dialog was opened, no answer waits for it and there is no display to show it on."""


def give(*replies: Reply) -> None:
    """Queue answers: a button's name or text, a path, a text, an item, a function of the dialog or of the path that a
    file dialog proposes; None cancels."""
    _waiting.extend(replies)


def waiting() -> int:
    """How many answers were given and not yet asked for."""
    return len(_waiting)


def forget() -> None:
    """Drop all answers and records, as between two tests."""
    _waiting.clear()
    for record in (asked, shown, opened):
        record.clear()


def take(question: str) -> Reply:
    """The next answer.

    Raises:
        UnexpectedQuestion: when none is left.
    """
    asked.append(question)
    if not _waiting:
        raise UnexpectedQuestion(f"nobody answers: {question!r}")
    return _waiting.popleft()


def tell(text: str) -> None:
    """Record a message that needs no answer."""
    shown.append(text)
