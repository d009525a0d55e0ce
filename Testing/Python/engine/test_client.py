from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from DGSTSegmentLib.engine.client import EngineClient
from DGSTSegmentLib.engine.handlers import HANDLERS
from DGSTSegmentLib.engine.protocol import EngineError
from DGSTSegmentLib.engine.transport import Exit, SubprocessTransport
from DGSTSegmentLib.errors import InputError

PARENT = """
import sys
from DGSTSegmentLib.engine.client import EngineClient
from DGSTSegmentLib.engine.transport import SubprocessTransport
client = EngineClient(lambda: SubprocessTransport([sys.executable, sys.argv[1]]))
print(client.describe("quick")["pid"], flush=True)
client.describe(sys.argv[2])
"""

STRANGERS = """
import sys
allowed = set(sys.stdlib_module_names) | {"numpy", "DGSTSegmentLib"}
before = set(sys.modules)
import DGSTSegmentLib.engine.client
roots = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(root for root in roots if root not in allowed))
"""


class Heard(list):
    """Collects events and tells when the first has come."""

    def __init__(self):
        super().__init__()
        self.first = threading.Event()

    def __call__(self, event):
        self.append(event)
        self.first.set()


def started(client, kind):
    """A request of this kind that is being worked on."""
    heard = Heard()
    job = client.submit("describe", {"model": kind}, heard)
    assert heard.first.wait(10)
    return job, heard


def test_one_process_answers_request_after_request(light_client):
    pids = {light_client.describe("quick")["pid"] for _ in range(3)}
    assert pids == {light_client.engine["pid"]}


def test_what_a_listener_raises_ends_its_request_and_no_other(light_client):
    def broken(event):
        raise BrokenPipeError("nobody reads")

    job = light_client.submit("describe", {"model": "slow"}, broken)
    with pytest.raises(BrokenPipeError, match="nobody reads"):
        job.result(10)
    assert light_client.describe("quick")["pid"] == light_client.engine["pid"]


def test_the_process_starts_with_the_first_request_only():
    client = EngineClient(lambda: pytest.fail("no request was made"))
    assert client.engine is None
    client.stop()
    client.close()


def test_bad_input_comes_as_the_sentence_it_is(light_client):
    with pytest.raises(InputError, match=r"^The file is no volume; give another\.$"):
        light_client.describe("bad input")
    assert light_client.describe("quick")


def test_a_missing_field_is_bad_input(light_client):
    with pytest.raises(InputError, match="needs model"):
        light_client.submit("describe", {}).result()


def test_memory_that_ran_out_is_told_as_such_and_the_engine_goes_on(light_client):
    pid = light_client.describe("quick")["pid"]
    with pytest.raises(EngineError, match="memory ran out.*smaller") as told:
        light_client.describe("memory")
    assert told.value.kind == "memory"
    assert light_client.describe("quick")["pid"] == pid


def test_a_fault_of_the_program_is_a_sentence_with_the_traceback_in_the_log(light_client, wait_until):
    with pytest.raises(EngineError, match="a bug") as told:
        light_client.describe("fault")
    assert told.value.kind == "internal" and "\n" not in str(told.value)
    wait_until(lambda: any("ZeroDivisionError" in line for line in light_client.log))
    assert any("Traceback" in line for line in light_client.log)


def test_after_a_gpu_that_failed_for_good_the_next_request_gets_a_fresh_engine(light_client, is_running, wait_until):
    pid = light_client.describe("quick")["pid"]
    with pytest.raises(EngineError, match="illegal memory access") as told:
        light_client.describe("gpu fails")
    assert told.value.kind == "internal" and light_client.engine is None
    assert light_client.describe("quick")["pid"] != pid
    wait_until(lambda: not is_running(pid))


def test_requests_that_wait_while_the_gpu_fails_are_answered_by_the_next_engine(light_client):
    pid = light_client.describe("quick")["pid"]
    jobs = [light_client.submit("describe", {"model": kind}) for kind in ("gpu fails", "quick", "slow")]
    with pytest.raises(EngineError, match="illegal memory access"):
        jobs[0].result(10)
    assert jobs[1].result(10)["pid"] not in (pid, None)
    light_client.stop()
    assert jobs[2].result(10) == {"stopped": True}


def test_where_no_engine_can_follow_one_whose_gpu_failed_every_request_hears_of_it(light_worker):
    class Once(SubprocessTransport):
        """Starts one process; what follows ends before it has begun, as Qt tells of a program that is not there."""

        started = 0

        def start(self, on_line, on_log, on_exit):
            Once.started += 1
            if Once.started == 1:
                super().start(on_line, on_log, on_exit)
            else:
                on_exit(Exit(code=1))

    with EngineClient(lambda: Once(light_worker)) as client:
        jobs = [client.submit("describe", {"model": kind}) for kind in ("gpu fails", "quick")]
        with pytest.raises(EngineError, match="illegal memory access"):
            jobs[0].result(10)
        with pytest.raises(EngineError, match="exit code 1"):
            jobs[1].result(10)


def test_after_each_request_the_gpus_memory_is_there_for_others(light_client):
    answers = [light_client.describe("uses gpu") for _ in range(3)]
    assert answers == [{"left": 0, "emptied": n} for n in range(3)]


def test_what_libraries_print_goes_to_the_log_and_spoils_no_message(light_client, wait_until):
    assert light_client.describe("noise") == {"said": "much"}
    wait_until(lambda: len([line for line in light_client.log if "print" in line]) == 3)


def test_who_reads_stdin_in_the_worker_takes_no_request_and_waits_for_none(light_client):
    found = light_client.submit("describe", {"model": "reads"}).result(30)
    assert found == {"c": 0, "python": "", "child": "EOFError: EOF when reading a line"}
    assert light_client.describe("noise") == {"said": "much"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_a_killed_worker_is_reported_and_replaced(light_client):
    job, _ = started(light_client, "slow")
    pid = light_client.engine["pid"]
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineError, match="while opening a model.*SIGKILL.*memory") as told:
        job.result(10)
    assert told.value.kind == "died"
    assert light_client.engine is None
    assert light_client.describe("quick")["pid"] != pid


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_a_worker_killed_between_requests_is_replaced_without_a_word(light_client, is_running, wait_until):
    pid = light_client.describe("quick")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: light_client.engine is None)
    assert light_client.describe("quick")["pid"] != pid


@pytest.mark.parametrize("name", HANDLERS)
def test_whatever_is_asked_ends_when_the_worker_dies_of_it(light_client, name):
    fields = {"model": "dies", "image": "ct.nii.gz", "cases": ["case"], "out": "out"}
    with pytest.raises(EngineError, match="ended unexpectedly while .+ the last words"):
        light_client.submit(name, fields).result(10)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_all_waiting_requests_end_when_the_worker_dies(light_client):
    jobs = [started(light_client, "slow")[0], light_client.submit("describe", {"model": "quick"})]
    os.kill(light_client.engine["pid"], signal.SIGKILL)
    for job in jobs:
        with pytest.raises(EngineError):
            job.result(10)


def test_a_worker_that_ends_by_itself_is_reported_with_code_and_last_words(light_client):
    with pytest.raises(EngineError, match="exit code 3.*the last words"):
        light_client.describe("dies")


def test_a_worker_that_cannot_start_says_why():
    with (
        EngineClient(lambda: SubprocessTransport([sys.executable, "-c", "import a_missing_package"])) as client,
        pytest.raises(EngineError, match="could not start.*a_missing_package"),
    ):
        client.describe("quick")


def test_a_worker_that_ends_before_it_is_asked_says_why():
    class Late(SubprocessTransport):
        def send(self, line):
            self.wait(1)
            super().send(line)

    with (
        EngineClient(lambda: Late([sys.executable, "-c", "import a_missing_package"])) as client,
        pytest.raises(EngineError, match="could not start.*a_missing_package"),
    ):
        client.submit("describe", {"model": "quick"}).result(20)


def test_a_python_that_is_not_there_is_one_error():
    with (
        EngineClient(lambda: SubprocessTransport(["/nowhere/python"])) as client,
        pytest.raises(EngineError, match="cannot be reached"),
    ):
        client.describe("quick")


def test_stop_is_heard_in_the_middle_of_a_request(light_client):
    job, heard = started(light_client, "slow")
    light_client.stop()
    assert job.result(10) == {"stopped": True}
    assert heard[0] == {"event": "progress", "phase": "waiting", "step": 0, "steps": None}


def test_stop_also_stops_what_has_not_begun_but_nothing_that_comes_later(light_client):
    first, _ = started(light_client, "slow")
    second = light_client.submit("describe", {"model": "slow"})
    light_client.stop()
    third = light_client.submit("describe", {"model": "quick"})
    assert first.result(10) == second.result(10) == {"stopped": True}
    assert "pid" in third.result(10)


def test_closing_fails_what_still_runs_and_ends_the_process(light_client, is_running):
    job, _ = started(light_client, "slow")
    pid = light_client.engine["pid"]
    light_client.close()
    assert not is_running(pid)
    with pytest.raises(EngineError, match="closed"):
        job.result(1)


def test_a_worker_that_does_not_listen_is_ended_by_force_with_its_children(light_client, is_running, wait_until):
    job, heard = started(light_client, "child")
    child = int(heard[0]["message"])
    assert is_running(child)
    stubborn = light_client.submit("describe", {"model": "stubborn"})
    light_client.stop()
    job.result(10)
    pid = light_client.engine["pid"]
    light_client.close(seconds=0.3)
    assert not is_running(pid)
    wait_until(lambda: not is_running(child))
    assert stubborn.done


def test_a_closed_client_can_be_used_again(light_client):
    pid = light_client.describe("quick")["pid"]
    light_client.close()
    assert light_client.describe("quick")["pid"] != pid


def test_two_clients_have_a_process_each(light_client, make_light_client):
    with make_light_client() as other:
        job, _ = started(light_client, "slow")
        assert other.describe("quick")["pid"] != light_client.engine["pid"]
        other.stop()
        assert not job.done


@pytest.mark.parametrize("at_work", ["slow", "noise"])
def test_the_worker_ends_when_its_parent_is_killed(light_worker, is_running, wait_until, at_work):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, light_worker[1], at_work], stdout=subprocess.PIPE, text=True
    )
    try:
        worker = int(parent.stdout.readline())
        assert is_running(worker) or at_work != "slow"
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    wait_until(lambda: not is_running(worker))


def test_an_engine_of_another_version_is_ended_and_said(is_running, wait_until):
    stranger = "import json, os, sys; print(json.dumps({'event': 'ready', 'protocol': 999, 'pid': os.getpid()}), "
    stranger += "flush=True); sys.stdin.read()"
    with EngineClient(lambda: SubprocessTransport([sys.executable, "-c", stranger])) as client:
        with pytest.raises(EngineError, match="belongs to another version of this program"):
            client.describe("quick")
        pid = client.engine["pid"] if client.engine else None
        wait_until(lambda: client.engine is None)
        assert pid is None or not is_running(pid)


def test_the_client_imports_nothing_but_the_standard_library_and_numpy():
    answer = subprocess.run([sys.executable, "-c", STRANGERS], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_process_that_was_killed_behind_slicers_launcher_is_taken_for_killed():
    from DGSTSegmentLib.engine.conversation import death_sentence
    from DGSTSegmentLib.engine.transport import Exit

    log = ["error: [/opt/Slicer/bin/PythonSlicer] exit abnormally - Report the problem."]
    assert "ran out of memory" in death_sentence(Exit(code=1), True, "fine-tuning", log)
    assert "ran out of memory" not in death_sentence(Exit(code=1), True, "fine-tuning", ["ValueError: bad"])


def test_an_engine_that_cannot_be_started_is_tried_anew_by_the_next_request():
    from DGSTSegmentLib.engine.conversation import Conversation

    class Refused:
        tries = 0

        def start(self, on_line, on_log, on_exit):
            Refused.tries += 1
            raise FileNotFoundError(2, "No such file")

    outcomes = []
    conversation = Conversation(Refused)
    conversation.ask("describe", {"model": "starter"}, outcomes.append)
    conversation.ask("describe", {"model": "starter"}, outcomes.append)
    assert Refused.tries == 2 and len(outcomes) == 2
    assert all(outcome.kind == "died" for outcome in outcomes)


def test_an_end_that_is_told_while_the_process_is_started_fails_the_request_once():
    from DGSTSegmentLib.engine.conversation import Conversation
    from DGSTSegmentLib.engine.transport import Exit

    class EndsAtOnce:
        def start(self, on_line, on_log, on_exit):
            on_log("no such program")
            on_exit(Exit(code=127))

    outcomes = []
    Conversation(EndsAtOnce).ask("describe", {"model": "starter"}, outcomes.append)
    assert len(outcomes) == 1 and "no such program" in str(outcomes[0])
