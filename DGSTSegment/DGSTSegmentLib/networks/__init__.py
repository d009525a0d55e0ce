"""Foundation models: opening, describing, preprocessing. Public names load torch only when they are asked for."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "ModelCard": "card",
    "Plan": "plan",
    "FoundationModel": "model",
    "open_model": "foundation",
    "write_full": "package",
    "write_delta": "package",
    "installed_models": "catalogue",
    "starter_path": "catalogue",
    "prepare": "preprocessing",
    "prepare_labels": "preprocessing",
    "restore_scores": "preprocessing",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
