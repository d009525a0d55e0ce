"""How contestants of the speed benchmark are installed, started, take turns and are looked at."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
import venv
from pathlib import Path

import psutil
import pytest
from speed import peers
from speed.companion import Companion, on_stage
from speed.usage import run_whole, seconds_to_line

from DGSTSegmentLib.errors import InputError

SIDES = Path(peers.__file__).with_name("sides")


@pytest.fixture
def script(tmp_path):
    """Writes a Python script and returns the command that runs it."""

    def write(text: str) -> list[str | Path]:
        path = tmp_path / f"script{len(list(tmp_path.glob('script*.py')))}.py"
        path.write_text(textwrap.dedent(text))
        return [sys.executable, path]

    return write


@pytest.fixture
def companion(script, tmp_path):
    """Starts a companion from the text of its handlers."""
    started = []

    def start(text: str) -> Companion:
        command = script(f"import sys\nsys.path.insert(0, {str(SIDES)!r})\n" + textwrap.dedent(text))
        started.append(Companion(command, os.environ, tmp_path / f"log{len(started)}.txt"))
        return started[-1]

    yield start
    for one in started:
        one.close()


CLOCK = """
    from answering import answer_requests
    import threading, time
    ticks = []
    def tick():
        while True:
            ticks.append(time.sleep(0.01))
    threading.Thread(target=tick, daemon=True).start()
    answer_requests({"ticks": lambda: len(ticks)})
    """


def test_a_companion_answers_whatever_is_printed_meanwhile(companion, tmp_path):
    one = companion(
        """
        from answering import answer_requests
        def add(a, b):
            print("chatter")
            return a + b
        print("greeting")
        answer_requests({"add": add})
        """
    )
    assert [one.ask("add", a=1, b=2), one.ask("add", a=3, b=4)] == [3, 7]
    one.close()
    assert (tmp_path / "log0.txt").read_text().split() == ["greeting", "chatter", "chatter"]


def test_a_companion_that_fails_is_told_of_with_its_log(companion, tmp_path):
    one = companion("from answering import answer_requests\nanswer_requests({'fail': lambda: 1 / 0})\n")
    with pytest.raises(InputError, match="should fail.*log0.txt"):
        one.ask("fail")
    assert "ZeroDivisionError" in (tmp_path / "log0.txt").read_text()


def test_whose_turn_it_is_not_stands_still_and_goes_on_afterwards(companion):
    companions = {"a": companion(CLOCK), "b": companion(CLOCK)}
    with on_stage(companions) as give_turn:
        before = companions["a"].ask("ticks")
        give_turn("b")
        wait_for_ticks(companions["b"], 100)
        give_turn("a")
        after = companions["a"].ask("ticks")
        assert after - before < 50, "it ticked on while the other made a hundred"
        wait_for_ticks(companions["a"], 1)


def wait_for_ticks(companion, more):
    """Ask until it has made so many more; a clock that stands still makes none however often it is asked."""
    first = companion.ask("ticks")
    for _ in range(6000):
        if companion.ask("ticks") >= first + more:
            return
        time.sleep(0.01)
    raise AssertionError("it stands still though it has its turn")


def test_all_companions_end_with_the_stage_even_those_that_are_held(companion):
    before = set(psutil.Process().children(recursive=True))
    companions = {"a": companion(CLOCK), "b": companion(CLOCK)}
    started = set(psutil.Process().children(recursive=True)) - before
    with pytest.raises(KeyError), on_stage(companions) as give_turn:
        give_turn("b")
        raise KeyError
    assert len(started) >= 2 and not any(process.is_running() for process in started)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process could answer")
def test_a_benchmark_that_is_terminated_leaves_nobody_behind(companion):
    others = psutil.Process().children(recursive=True)  # of tests before this one
    companions = {"a": companion(CLOCK), "b": companion(CLOCK)}
    started = [process for process in psutil.Process().children(recursive=True) if process not in others]
    with pytest.raises(SystemExit), on_stage(companions) as give_turn:
        give_turn("b")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert len(started) >= 2 and not any(process.is_running() for process in started)


def test_the_memory_of_what_a_command_starts_counts(script, tmp_path):
    def child_that_holds(megabytes):
        hold = f"import time; block = b'x' * ({megabytes} * 2**20); time.sleep(1)"
        command = script(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {hold!r}])")
        return run_whole(command, os.environ, tmp_path / "log.txt").peak_mb

    assert child_that_holds(250) - child_that_holds(50) == pytest.approx(200, abs=60)


def test_a_command_takes_at_least_the_time_that_it_knows_of_and_at_most_that_of_the_call(script, tmp_path):
    command = script(
        """
        import time
        began = time.perf_counter()
        time.sleep(0.1)
        print(time.perf_counter() - began)
        """
    )
    began = time.perf_counter()
    taken = run_whole(command, os.environ, tmp_path / "log.txt").seconds
    assert float((tmp_path / "log.txt").read_text()) <= taken <= time.perf_counter() - began


def test_a_command_that_fails_is_told_of_with_its_log(script, tmp_path):
    with pytest.raises(InputError, match="code 3.*log.txt"):
        run_whole(script("print('why'); raise SystemExit(3)"), os.environ, tmp_path / "log.txt")
    assert (tmp_path / "log.txt").read_text() == "why\n"


def test_a_command_is_timed_to_a_line_and_then_ended(script, tmp_path):
    command = script(
        f"""
        import pathlib, sys, time
        began = time.perf_counter()
        print("predict, 18/18")
        time.sleep(0.1)
        print(f"before: {{time.perf_counter() - began}}")
        print("train, 1/200, loss 1.0", file=sys.stderr)
        time.sleep(60)
        pathlib.Path({str(tmp_path / "went on")!r}).touch()
        """
    )
    began = time.perf_counter()
    taken = seconds_to_line(command, os.environ, "^train, 1/", tmp_path / "log.txt")
    elapsed = time.perf_counter() - began
    first, second = (tmp_path / "log.txt").read_text().splitlines()
    assert first == "predict, 18/18"
    assert float(second.removeprefix("before: ")) <= taken <= elapsed
    assert not (tmp_path / "went on").exists()


def test_a_command_without_the_line_is_refused(script, tmp_path):
    with pytest.raises(InputError, match="ended before"):
        seconds_to_line(script("print('nothing')"), os.environ, "^train, 1/", tmp_path / "log.txt")


def test_an_environment_that_stands_is_used_until_its_requirements_change(tmp_path):
    peer, said = peers.Peer("standing", ("one", "two")), []
    folder = tmp_path / "environments" / "standing"
    folder.mkdir(parents=True)
    (folder / "installed.json").write_text('["one", "two"]')
    assert peers.install(peer, tmp_path, said.append) == peers.python_of(peer, tmp_path) and not said
    assert folder in peers.python_of(peer, tmp_path).parents
    assert peers.python_of(peers.Peer("standing", ("one",)), tmp_path) is None


def test_an_installation_that_fails_names_its_log_and_is_not_taken_for_done(tmp_path, monkeypatch):
    without_pip = lambda folder, **options: venv.EnvBuilder(symlinks=os.name != "nt").create(folder)  # noqa: E731
    monkeypatch.setattr(peers.venv, "create", without_pip)
    peer, said = peers.Peer("broken", ("something",)), []
    with pytest.raises(InputError, match="broken could not be installed.*pip.log"):
        peers.install(peer, tmp_path, said.append)
    assert "something" in said[0] and peers.python_of(peer, tmp_path) is None
    assert "pip" in (tmp_path / "environments" / "broken" / "pip.log").read_text()


def test_all_sides_have_the_same_threads_and_the_cpu_hides_the_gpu():
    environment = peers.threads_environment(3, "cpu")
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "nnUNet_n_proc_DA", "nnUNet_def_n_proc")
    assert {environment[name] for name in names} == {"3"} and environment["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in set(peers.threads_environment(3, "cuda")) - set(os.environ)
