"""What CMake does not list is missing from the installed extension."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MODULE = ROOT / "DGSTSegment"


def listed(name: str) -> list[str]:
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    return re.search(rf"set\({name}\s(.*?)\)", text, flags=re.DOTALL).group(1).split()


def tracked(folder: str) -> list[str]:
    """Files under ``folder`` that belong to the project, relative to the module; those git ignores do not."""
    question = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    found = ""
    if shutil.which("git") is not None:
        found = subprocess.run(question, cwd=MODULE, capture_output=True, text=True).stdout
    paths = found.split("\n") if found else [p.as_posix() for p in walk(folder)]  # a download without history
    return sorted(p for p in paths if p and (MODULE / p).is_file() and not Path(p).name.startswith("."))


def walk(folder: str) -> list[Path]:
    files = [p.relative_to(MODULE) for p in (MODULE / folder).rglob("*") if p.is_file()]
    return [p for p in files if "__pycache__" not in p.parts]


def test_every_python_file_of_the_module_is_listed_once():
    scripts = [p for p in tracked("DGSTSegmentLib") if p.endswith(".py")]
    module_file = [p.name for p in MODULE.glob("*.py")]
    assert sorted(listed("MODULE_PYTHON_SCRIPTS")) == sorted(module_file + scripts)


def test_every_resource_of_the_module_is_listed_once():
    beside_code = [p for p in tracked("DGSTSegmentLib") if not p.endswith(".py")]
    assert sorted(listed("MODULE_PYTHON_RESOURCES")) == sorted(tracked("Resources") + beside_code)


def test_the_catalogue_can_read_the_extension_without_running_cmake():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    # Without languages Slicer's own configuration stops: it measures pointers and compiles a file.
    assert re.search(r"^project\(DGSTSegment\)", text, flags=re.MULTILINE)
    values = dict(re.findall(r'^set\((EXTENSION_\w+) "([^"]*)"\)', text, flags=re.MULTILINE))
    assert values["EXTENSION_DEPENDS"] == "PyTorch"
    assert values["EXTENSION_CATEGORY"] == "Segmentation"
    assert {"EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS", "EXTENSION_HOMEPAGE"} <= set(values)
    assert not any("${" in value for value in values.values())
