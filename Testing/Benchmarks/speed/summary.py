"""What the rows of a benchmark come to: tables by setting, goals, circumstances."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from .journal import Journal
from .part import Row
from .timing import Estimate

SHARED = ("device", "threads", "precision")
"""Settings that all rows of a part on a device share."""


def summarise(folder: Path, modules: Sequence[ModuleType]) -> dict[str, Any]:
    """Everything that the report says, as plain data.

    Args:
        folder: of the rows.
        modules: the parts, in the report's order.
    """
    measured = Journal(folder).parts()
    named = {module.NAME: module for module in modules}
    order = list(named)
    known = sorted((one for one in measured if one["part"] in named), key=lambda one: order.index(one["part"]))
    parts = [_part(one, named[one["part"]]) for one in known]
    return {
        "parts": parts,
        "not_measured": [m.TITLE for m in modules if m.NAME not in {one["part"] for one in measured}],
        "devices": list(dict.fromkeys(one["device"] for one in parts)),
        "quick": any(one["made_by"]["settings"]["quick"] for one in parts),
        "circumstances": _circumstances([one["made_by"] for one in parts]),
    }


def _part(measured: Mapping[str, Any], module: ModuleType) -> dict[str, Any]:
    rows = measured["rows"]
    return {
        "name": measured["part"],
        "title": module.TITLE,
        "device": measured["device"],
        "finished": measured["finished"],
        "made_by": measured["made_by"],
        "goals": [goal.to_json() for goal in module.goals(rows)],
        "settings": _settings(rows),
        "rows": rows,
    }


def _settings(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows with their estimates by what they were measured on, absolute ones apart from relative ones."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        own = {name: value for name, value in row["setting"].items() if name not in SHARED}
        group = found.setdefault(json.dumps(own), {"title": setting_text(own), "setting": own, "lines": []})
        group["lines"].append({**row, "estimate": Estimate.of(row["values"]).to_json()})
    return list(found.values())


def setting_text(setting: Mapping[str, Any]) -> str:
    """``PlainConvUNet 31 M, patch 64 x 64 x 64, batch 2``."""
    return ", ".join(_item_text(name, value) for name, value in setting.items() if value not in (None, ""))


def _item_text(name: str, value: Any) -> str:
    text = " x ".join(str(v) for v in value) if isinstance(value, (list, tuple)) else str(value)
    return text if name in ("network", "scan", "way") else f"{name.replace('_', ' ')} {text}"


def _circumstances(authors: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Every value there is of what can differ between parts."""
    found: dict[str, list[str]] = {}
    for author in authors:
        settings = author["settings"]
        said = {name: author[name] for name in ("machine", "system", "python", "torch", "commit", "command")}
        said |= {name: settings[name] for name in ("threads", "precision", "rounds")}
        for name, value in said.items():
            values = found.setdefault(name, [])
            if str(value) not in values:
                values.append(str(value))
    return found
