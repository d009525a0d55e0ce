"""What the engine needs beside what Slicer brings; asked for when it is first needed, never at import."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import tempfile
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from ..errors import InputError
from .state import attempt

REQUESTER = "DGSTSegment"


def requirementsFile() -> Path:
    return Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"


def requirements() -> list[str]:
    """Lines of ``requirements.txt``: names with floors, torch first."""
    lines = requirementsFile().read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def missing() -> list[str]:
    """The requirements that are not installed here, or too old; finding out loads none of them."""
    importlib.invalidate_caches()
    return [line for line in requirements() if not _isMet(line)]


def ensure() -> bool:
    """Ask for what is missing and install it, with Slicer's own means; whether everything is there now."""
    wanted = missing()
    if not wanted:
        return True
    if any(_name(line) == "torch" for line in wanted) and _isIntelOnMac():
        slicer.util.errorDisplay(
            _(
                "This Slicer is the macOS package for Intel processors, for which there is no PyTorch as new as "
                "{torch}: lymph nodes can be marked and kept in the training set here, but finding them and "
                "fine-tuning need the engine from a terminal, in a Python for Apple silicon (arm64)."
            ).format(torch=next(line for line in wanted if _name(line) == "torch").replace("torch>=", ""))
        )
        return False
    if not slicer.util.confirmOkCancelDisplay(
        _(
            "To find lymph nodes, DGSTSegment needs Python packages that are not installed yet: {packages}.\n\n"
            "They are downloaded once from the Python package index (up to some GB for PyTorch with CUDA). "
            "Nothing of your scans is sent anywhere."
        ).format(packages=", ".join(_name(line) for line in wanted)),
        windowTitle=_("Install what is needed?"),
    ):
        return False
    with attempt(_("The packages could not be installed.")):
        _install(wanted)
    return not missing()


def _isIntelOnMac() -> bool:
    """Whether this is a program for Intel processors on macOS, also where Apple silicon runs it by Rosetta: PyTorch's
    newest wheel for it is 2.2.2."""
    return platform.system() == "Darwin" and platform.machine() == "x86_64"


def _install(wanted: list[str]) -> None:
    torch = next((line for line in wanted if _name(line) == "torch"), None)
    if torch is not None:
        _installTorch(torch)
        if not _isMet(torch):
            raise InputError(
                _(
                    "The extension PyTorch did not install {torch}; install it in the module PyTorch, then try again."
                ).format(torch=torch)
            )
    others = [line for line in wanted if line != torch]
    if others:
        slicer.util.showStatusMessage(_("Installing {packages} ...").format(packages=", ".join(others)))
        _installBeside(_torchThatIsThere(), others)


def _torchThatIsThere() -> list[str]:
    """The pin that keeps the PyTorch of Slicer's extension: what comes from the package index in its place, where a
    package wants a newer one, may compute without the GPU. pip takes a version of the package that fits, or says that
    there is none."""
    importlib.invalidate_caches()
    try:
        return [f"torch=={importlib.metadata.version('torch')}"]  # such as 2.7.1+cu118, which is that build alone
    except importlib.metadata.PackageNotFoundError:
        return []


def _installBeside(pins: list[str], lines: list[str]) -> None:
    try:
        from slicer.packaging import pip_ensure  # Slicer 5.12 and newer
    except ImportError:
        slicer.util.pip_install([*lines, *pins])
        return
    with tempfile.TemporaryDirectory() as folder:  # pip_ensure hands no requirement to pip that is met already
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(pins), encoding="utf-8")
        # It was asked above, for all at once.
        pip_ensure(lines, constraints=str(constraints), requester=REQUESTER, prompt_install=False)


def _installTorch(line: str) -> None:
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise InputError(
            _("PyTorch is missing; install the extension PyTorch (menu View, Extension Manager), start Slicer anew.")
        ) from error
    PyTorchUtils.PyTorchUtilsLogic().installTorch(
        askConfirmation=False, torchVersionRequirement=line[len(_name(line)) :]
    )


def _isMet(line: str) -> bool:
    if importlib.util.find_spec(_importName(line)) is None:
        return False
    floor = re.search(r">=([0-9.]+)", line)
    try:
        installed = importlib.metadata.version(_name(line))
    except importlib.metadata.PackageNotFoundError:
        return True  # it comes with Slicer itself
    return floor is None or _numbers(installed) >= _numbers(floor[1])


def _numbers(version: str) -> list[int]:
    """``2.13.0+cpu`` as [2, 13, 0]."""
    return [int(part) for part in re.match(r"[0-9.]*", version)[0].split(".") if part]


def _name(line: str) -> str:
    return re.split(r"[<>=!~ \[;]", line, maxsplit=1)[0]


def _importName(line: str) -> str:
    return _name(line).replace("-", "_")
