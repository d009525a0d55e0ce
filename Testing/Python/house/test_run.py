"""run.py: the environment is made once, made again when it was left unfinished, and says what it cannot do."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def script(tmp_path, monkeypatch):
    """run.py at work on another root, with the two slow commands it starts (venv and pip) noted instead of run."""
    spec = importlib.util.spec_from_file_location("run_under_test", ROOT / "run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "constraints.txt").write_text("numpy==2")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(run, "CONSTRAINTS", tmp_path / "constraints.txt")
    run.started = []
    run.exit_codes = {}

    def start(command, **_):
        name = "pip" if "pip" in command else "venv"
        run.started.append(name)
        if run.exit_codes.get(name) == "killed":
            raise KeyboardInterrupt
        if name == "venv":
            run.venv_program("python").parent.mkdir(parents=True, exist_ok=True)
            run.venv_program("python").touch()
        return run.exit_codes.get(name, 0)

    monkeypatch.setattr(run.subprocess, "call", start)
    return run


def test_the_environment_is_made_once(script):
    script.prepare_environment()
    script.prepare_environment()
    assert script.started == ["venv", "pip"]


@pytest.mark.parametrize("killed_in", ["venv", "pip"])
def test_an_environment_that_was_killed_half_made_is_made_again_from_the_start(script, killed_in):
    script.exit_codes[killed_in] = "killed"
    with pytest.raises(KeyboardInterrupt):
        script.prepare_environment()
    (script.VENV / "half-made").touch()
    script.exit_codes.clear()
    script.started.clear()
    script.prepare_environment()
    assert script.started == ["venv", "pip"]
    assert not (script.VENV / "half-made").exists()


def test_new_needs_are_installed_into_the_standing_environment(script):
    script.prepare_environment()
    (script.ROOT / "constraints.txt").write_text("numpy==3")
    script.prepare_environment()
    assert script.started == ["venv", "pip", "pip"]


def test_an_environment_of_another_python_or_another_place_is_made_again(script):
    script.prepare_environment()
    for key in ("python", "base", "place"):
        script.write_stamp({**script.wanted_stamp(), key: "another"})
        script.prepare_environment()
    assert script.started == ["venv", "pip"] * 4


def test_an_environment_whose_python_is_gone_is_made_again(script):
    script.prepare_environment()
    script.venv_program("python").unlink()
    script.write_stamp({**script.wanted_stamp(), "base": "gone"})
    script.prepare_environment()
    assert script.started == ["venv", "pip"] * 2


def test_removing_an_environment_leaves_its_stamp_to_the_end(script, monkeypatch):
    script.prepare_environment()
    (script.VENV / "lib").mkdir()
    monkeypatch.setattr(script.shutil, "rmtree", lambda path: None)
    script.clear(script.VENV)
    assert script.stamp_path().exists()


def test_two_at_once_do_not_work_on_one_environment(script):
    with script.alone():
        code = (
            "import importlib.util, sys; spec = importlib.util.spec_from_file_location('run', sys.argv[1]); "
            "run = importlib.util.module_from_spec(spec); spec.loader.exec_module(run); run.ROOT = sys.argv[2]; "
            "alone = run.alone(); alone.__enter__()"
        )
        other = [sys.executable, "-c", code, str(ROOT / "run.py"), str(script.ROOT)]
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(other, timeout=2)
    subprocess.run(other, timeout=30, check=True)


@pytest.mark.parametrize(
    ("system", "machine", "libc", "has"),
    [
        ("linux", "x86_64", ("glibc", "2.36"), True),
        ("linux", "x86_64", ("glibc", "2.28"), False),
        ("linux", "aarch64", ("glibc", "2.39"), False),
        ("darwin", "arm64", ("", ""), True),
        ("darwin", "x86_64", ("", ""), False),
        ("win32", "AMD64", ("", ""), True),
    ],
)
def test_the_preview_is_left_out_where_its_packages_are_not(script, monkeypatch, system, machine, libc, has):
    monkeypatch.setattr(script.sys, "platform", system)
    monkeypatch.setattr(script.platform, "machine", lambda: machine)
    monkeypatch.setattr(script.platform, "libc_ver", lambda: libc)
    assert script.has_preview() is has


def test_a_failed_installation_is_not_taken_for_an_environment(script):
    script.exit_codes["pip"] = 1
    with pytest.raises(script.Stop, match="installation failed"):
        script.prepare_environment()
    assert script.read_stamp() == {}


def test_a_folder_that_somebody_else_made_is_left_alone(script):
    script.VENV.mkdir()
    (script.VENV / "theirs").touch()
    with pytest.raises(script.Stop, match="not made by run.py"):
        script.prepare_environment()
    assert (script.VENV / "theirs").exists()


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 15, 0)])
def test_a_python_that_cannot_run_the_project_gets_one_sentence(script, version, monkeypatch, capsys):
    monkeypatch.setattr(script.sys, "version_info", version)
    monkeypatch.setattr(script.shutil, "which", lambda name: None)
    assert script.main(["demo"]) == 2
    said = capsys.readouterr().err.strip()
    assert "{}.{} cannot run this project".format(*version[:2]) in said and len(said.splitlines()) == 1
    assert script.started == []


def test_pythons_too_old_for_the_project_can_still_read_it():
    ast.parse((ROOT / "run.py").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_missing_system_libraries_are_named_with_the_line_that_installs_them(script, monkeypatch, capsys):
    monkeypatch.setattr(script.sys, "platform", "linux")
    monkeypatch.setattr(script, "VIEW_LIBRARIES", {"libNowhere.so.7": "libnowhere7"})
    monkeypatch.setattr(script.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(script.shutil, "which", lambda name: "/usr/bin/" + name)
    script.prepare_view_libraries()
    said = capsys.readouterr().err
    assert "libNowhere.so.7" in said
    assert "sudo sh -c 'apt-get update && apt-get install -y libnowhere7'" in said
    assert script.started == []


def test_it_explains_itself_without_installing_anything(tmp_path):
    """In a copy that has no environment: none is made."""
    shutil.copy(ROOT / "run.py", tmp_path)
    command = [sys.executable, str(tmp_path / "run.py")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0 and "run.py demo" in answer.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["run.py"]
