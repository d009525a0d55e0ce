"""The rooms' floors and the style, held by the tools that pyproject.toml configures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

TORCH_FREE = [
    "dgst.registry",
    "engine.client",
    "engine.protocol",
    "imaging",
    "imaging.files",
    "imaging.finding",
    "imaging.findings",
    "imaging.matching",
    "imaging.phantoms",
    "imaging.resample",
    "networks.card",
    "networks.catalogue",
    "networks.plan",
    "training.case",
    "training.case_files",
    "training.request",
    "training.run_files",
    "training.study",
    "views.pictures",
]
HEAVY = ["torch", "monai", "slicer", "vtk"]
# Imports the modules named after "--" in a fresh interpreter and complains of the first that loads one named before.
LEAVES_UNLOADED = """
import importlib, sys
end = sys.argv.index("--")
for module in sys.argv[end + 1:]:
    importlib.import_module("DGSTSegmentLib." + module)
    loaded = set(sys.argv[1:end]) & set(sys.modules)
    if loaded:
        sys.exit("DGSTSegmentLib." + module + " loads " + ", ".join(sorted(loaded)))
"""


def run(*arguments: str) -> None:
    result = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    if result.returncode:
        pytest.fail(result.stdout + result.stderr, pytrace=False)


def test_a_room_imports_only_what_its_contracts_allow():
    run("-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))")


def test_ruff_finds_nothing_to_mend():
    run("-m", "ruff", "check", "--no-cache", ".")


def test_every_file_is_formatted_by_ruff():
    run("-m", "ruff", "format", "--check", "--no-cache", ".")


def test_what_slicers_process_imports_loads_no_torch():
    run("-c", LEAVES_UNLOADED, *HEAVY, "--", *TORCH_FREE)
