"""A companion's half of the conversation. Standard library only: it runs in the peers' environments too.

Import this before anything that may print: from then on stdout is for answers, and what is printed goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

sys.stdout.flush()
_ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
os.dup2(2, 1)
sys.stdout = sys.stderr


def answer_requests(handlers: Mapping[str, Callable[..., Any]]) -> None:
    """Answer JSON lines on stdin with JSON lines on stdout until stdin closes.

    ``{"do": NAME, ...}`` is answered with what ``handlers[NAME](...)`` returns. An error ends the process.
    """
    for line in iter(sys.stdin.readline, ""):
        fields = json.loads(line)
        result = handlers[fields.pop("do")](**fields)
        _ANSWERS.write(json.dumps(result) + "\n")
        _ANSWERS.flush()
