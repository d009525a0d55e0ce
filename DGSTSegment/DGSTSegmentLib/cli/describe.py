"""``dgst describe``: what a model is, and what this machine has to run it on."""

from __future__ import annotations

import argparse
from typing import Any

from ..networks.plan import ORIENTATIONS
from .arguments import MODEL_HELP, add_model_part, add_output, asked_model, user_path
from .engine import ask
from .outputs import print_json

NAME = "describe"
HELP = "Say what a model is, what it was trained on, and what this machine has to run it on."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=user_path, metavar="MODEL", help=MODEL_HELP)
    add_model_part(parser)
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    result = ask("describe", asked_model(options), options.verbose)
    if options.json:
        print_json(result)
    else:
        print("\n".join(lines_of(result)))


def lines_of(result: dict[str, Any]) -> list[str]:
    """What the engine answered, for people."""
    card, origin = result["card"], result["origin"]
    rows = {
        "labels": ", ".join(f"{name} = {value}" for name, value in (card.get("labels") or {}).items()),
        "trained on": card.get("trained_on"),
        "network": card.get("architecture"),
        "folds": ", ".join(origin["folds"]),
        "checkpoint": origin["checkpoint"],
        "voxel spacing": _numbers(card.get("spacing_kji"), "mm (k, j, i)"),
        "sees at once": _numbers(card.get("patch_size_kji"), "voxels (k, j, i)"),
        "orientation": _orientation(result["orientation"]),
        "created": card.get("created"),
        "base": _base(card.get("base"), origin["base"]),
        "strategy": (card.get("strategy") or {}).get("name"),
        "measured": measured_line(card.get("measured")),
        "fingerprint": (card.get("fingerprint") or "")[:16],
        "location": result.get("location"),
    }
    about = [result["title"], *filter(None, [card.get("description")])]
    table = [f"  {name:<14} {value}" for name, value in rows.items() if value]
    devices = [f"  {d['name']:<14} {d['title']}, {d['free_mb']} of {d['memory_mb']} MB free" for d in result["devices"]]
    no_gpu = [f"No GPU is used: {reason}."] if (reason := result.get("why_no_gpu")) else []
    return [*about, *result["notes"], *table, "devices", *devices, *no_gpu]


def _orientation(name: str) -> str:
    return f"{name} ({ORIENTATIONS[name]})"


def _base(recorded: dict[str, Any] | None, origin: dict[str, Any] | None) -> str:
    """Its name, and which fold and checkpoint of it."""
    if not recorded:
        return ""
    parts = [f"fold {fold}" for fold in (origin or {}).get("folds") or ()]
    return ", ".join(filter(None, [recorded.get("name"), *parts, (origin or {}).get("checkpoint")]))


def _numbers(values: list[float] | None, unit: str) -> str:
    return "" if not values else f"{' x '.join(f'{value:g}' for value in values)} {unit}"


def measured_line(measured: dict[str, Any] | None) -> str:
    """What was measured on cases that were not trained on, in a line."""
    if not measured:
        return "nothing"
    if "cases" not in measured:
        return "; ".join(f"{what} {_number(value)}" for what, value in measured.items())
    words = [
        f"{name} {_number(measured.get(f'{key}_before'))} before, {_number(measured.get(f'{key}_after'))} after"
        for name, key in (("Dice", "dice"), ("recall of marked nodes", "recall"))
        if f"{key}_after" in measured
    ]
    return f"{'; '.join(words)} ({len(measured['cases'])} held-out cases)"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
