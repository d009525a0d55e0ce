"""Dynamic Gradient Sparsification Training: selection, optimizer, strategies, sparse delta; torch and safetensors only.

Importing this package, and its ``registry``, imports no torch; the names below bring it when they are first used.
"""

from __future__ import annotations

from importlib import import_module

from .registry import RULES, STRATEGIES, RuleInfo, StrategyInfo

_HOME = {
    "DGST": "optimizer",
    "StepReport": "stepping",
    "InBackwardRefused": "in_backward",
    "UnknownModule": "partition",
    "Selector": "selectors",
    "LargestGradients": "selectors",
    "RandomEntries": "selectors",
    "Strategy": "strategy",
    "make_strategy": "strategies",
    "top_entries": "selection",
    "RowLayout": "rows",
    "attach_lora": "lora",
    "merge_lora": "lora",
    "Delta": "delta",
    "BaseMismatch": "delta",
    "NotADelta": "delta",
    "compute_delta": "delta",
    "fingerprint": "identity",
}

__all__ = ["RULES", "STRATEGIES", "RuleInfo", "StrategyInfo", *_HOME]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
