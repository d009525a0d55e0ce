"""What the engine needs is asked for when it is first needed, once, and never forced on the user."""

from __future__ import annotations

import sys
import types

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


def test_the_requirements_are_those_of_the_project(widget):
    from pathlib import Path

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
    assert installed == [["no-such-package>=1", "nor-this>=2"]]


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
    wanted("torch>=99")
    answers.give("OK")
    assert not dependencies.ensure()
    assert asked == [(False, ">=99")] and installed == []


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
