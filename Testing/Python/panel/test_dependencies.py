"""What the engine needs is asked for when it is first needed, once, and never forced on the user."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from pathlib import Path

import pytest


@pytest.fixture
def wanted(widget, monkeypatch):
    """Sets what the engine needs."""
    from DGSTSegmentLib.panel import dependencies

    return lambda *lines: monkeypatch.setattr(dependencies, "requirements", lambda: list(lines))


@pytest.fixture
def installed(monkeypatch):
    """What was asked of pip; the packages do not come."""
    import slicer

    asked = []
    monkeypatch.setattr(slicer.util, "pip_install", asked.append)
    return asked


@pytest.fixture
def ensured(monkeypatch):
    """What was asked of ``slicer.packaging``, which Slicer has from 5.12 on: requirements, and lines that bind them."""
    import slicer

    asked = []

    def pip_ensure(requirements, constraints=None, prompt_install=True, requester=None):
        lines = [] if constraints is None else Path(constraints).read_text(encoding="utf-8").splitlines()
        asked.append((requirements, lines, prompt_install, requester))

    module = types.ModuleType("slicer.packaging")
    module.pip_ensure = pip_ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", module)
    monkeypatch.setattr(slicer, "packaging", module, raising=False)
    return asked


@pytest.fixture
def torch_here(monkeypatch):
    """Sets which PyTorch is installed."""
    version = importlib.metadata.version
    return lambda is_it: monkeypatch.setattr(
        importlib.metadata, "version", lambda name: is_it if name == "torch" else version(name)
    )


def test_the_requirements_are_those_of_the_project(widget):
    from DGSTSegmentLib.panel import dependencies

    project = (Path(__file__).resolve().parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    for line in dependencies.requirements():
        assert f'"{line}"' in project


def test_what_is_here_and_new_enough_is_not_missing(wanted):
    from DGSTSegmentLib.panel import dependencies

    wanted("numpy>=1.20", "torch>=2.6", "dynamic-network-architectures>=0.3.1,<0.4")
    assert dependencies.missing() == []


def test_what_is_absent_or_too_old_is_missing(wanted):
    from DGSTSegmentLib.panel import dependencies

    wanted("no-such-package>=1", "numpy>=99.1", "scipy>=1.11")
    assert dependencies.missing() == ["no-such-package>=1", "numpy>=99.1"]


def test_nothing_is_asked_where_nothing_is_missing(wanted):
    from preview_host import answers

    from DGSTSegmentLib.panel import dependencies

    wanted("numpy>=1.20")
    assert dependencies.ensure()
    assert answers.asked == []


def test_a_no_installs_nothing_and_starts_nothing(wanted, installed, ui, logic, scan):
    from preview_host import answers

    wanted("no-such-package>=1")
    answers.give("Cancel")
    ui.findButton.click()
    assert "no-such-package" in answers.asked[0] and "Nothing of your scans is sent" in answers.asked[0]
    assert installed == [] and not logic.engine.busy


def test_a_yes_installs_all_at_once_and_what_did_not_come_is_not_used(wanted, installed):
    from preview_host import answers

    from DGSTSegmentLib.panel import dependencies

    wanted("no-such-package>=1", "nor-this>=2")
    answers.give("OK")
    assert not dependencies.ensure()
    assert [line for line in installed[0] if not line.startswith("torch")] == ["no-such-package>=1", "nor-this>=2"]
    assert len(installed) == 1


def test_the_torch_that_is_there_stays_whatever_the_others_would_rather_have(wanted, installed, torch_here):
    from preview_host import answers

    from DGSTSegmentLib.panel import dependencies

    torch_here("2.7.1+cu118")
    wanted("torch>=2.6", "no-such-package>=1")
    answers.give("OK")
    dependencies.ensure()
    assert installed == [["no-such-package>=1", "torch==2.7.1+cu118"]]


def test_the_torch_that_is_there_stays_in_newer_slicers_too(wanted, installed, ensured, torch_here):
    """Their ``pip_ensure`` leaves out what is met, so that the pin must not be one of its requirements."""
    from preview_host import answers

    from DGSTSegmentLib.panel import dependencies

    torch_here("2.7.1+cu118")
    wanted("torch>=2.6", "no-such-package>=1")
    answers.give("OK")
    dependencies.ensure()
    assert ensured == [(["no-such-package>=1"], ["torch==2.7.1+cu118"], False, "DGSTSegment")] and installed == []


def test_torch_comes_by_slicers_own_extension(wanted, installed, monkeypatch):
    from preview_host import answers

    from DGSTSegmentLib.panel import dependencies

    asked = []

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation=False, torchVersionRequirement=None):
            asked.append((askConfirmation, torchVersionRequirement))

    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    wanted("torch>=99", "no-such-package>=1")
    answers.give("OK")
    assert not dependencies.ensure()
    assert asked == [(False, ">=99")]
    assert installed == [], "the others would bring a PyTorch from elsewhere"
    assert any("did not install torch>=99" in text for text in answers.shown)


def test_without_that_extension_the_user_is_told_to_install_it(wanted, installed):
    from preview_host import answers

    from DGSTSegmentLib.panel import dependencies

    wanted("torch>=99")
    answers.give("OK")
    assert not dependencies.ensure()
    assert any("extension PyTorch" in text for text in answers.shown)


@pytest.mark.parametrize("machine", ["x86_64", "arm64"])
def test_slicers_mac_package_for_intel_says_what_it_cannot_do_before_it_asks_anything(
    wanted, installed, monkeypatch, machine
):
    import platform

    from preview_host import answers

    from DGSTSegmentLib.panel import dependencies

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    wanted("torch>=99", "no-such-package>=1")
    if machine == "arm64":
        answers.give("Cancel")
    assert not dependencies.ensure()
    assert installed == [] and bool(answers.asked) == (machine == "arm64")
    said = [text for text in answers.shown if "Intel" in text and "99" in text and "arm64" in text]
    assert bool(said) == (machine == "x86_64")
