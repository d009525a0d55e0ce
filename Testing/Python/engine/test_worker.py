from __future__ import annotations

import os
import signal
import subprocess

import pytest

from DGSTSegmentLib.engine.protocol import Reply, Request


@pytest.fixture
def worker(light_worker):
    process = subprocess.Popen(
        light_worker, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def send(worker, *lines):
    worker.stdin.write("".join(lines))
    worker.stdin.flush()


def describe(id_, kind):
    return Request(id_, "describe", {"model": kind}).to_line()


def replies_until_the_end(worker):
    return [Reply.from_line(line) for line in worker.stdout]


def test_every_request_gets_exactly_one_final_reply(worker):
    kinds = ["quick", "bad input", "noise", "fault", "memory", "quick"]
    send(worker, *(describe(str(n), kind) for n, kind in enumerate(kinds)))
    finals = []
    while len(finals) < len(kinds):
        reply = Reply.from_line(worker.stdout.readline())
        finals += [reply] if reply.is_final else []
    send(worker, Request("last", "shutdown").to_line())
    finals += [reply for reply in replies_until_the_end(worker) if reply.is_final]
    assert [(reply.id, reply.event) for reply in finals] == [
        ("0", "result"),
        ("1", "error"),
        ("2", "result"),
        ("3", "error"),
        ("4", "error"),
        ("5", "result"),
        ("last", "result"),
    ]


def test_the_first_line_says_who_speaks(worker):
    ready = Reply.from_line(worker.stdout.readline())
    assert (ready.id, ready.event, ready.fields["pid"]) == (None, "ready", worker.pid)


def test_a_line_that_is_no_request_is_answered_and_the_next_one_worked_on(worker):
    send(worker, "not a request\n", "\n", describe("1", "quick"))
    events = [Reply.from_line(worker.stdout.readline()).event for _ in range(4)]
    assert events == ["ready", "error", "error", "result"]


_ENDS = ["close stdin", "shutdown", "SIGTERM"] if os.name != "nt" else ["close stdin", "shutdown"]


@pytest.mark.parametrize("end", _ENDS)
def test_it_ends_by_itself_even_in_the_middle_of_a_request(worker, end):
    send(worker, describe("1", "slow"))
    while Reply.from_line(worker.stdout.readline()).event != "progress":
        pass
    if end == "close stdin":
        worker.stdin.close()
    elif end == "shutdown":
        send(worker, Request("2", "shutdown").to_line())
    else:
        worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0


def test_it_ends_once_it_has_said_that_the_gpu_failed_for_good(worker):
    send(worker, describe("1", "fault"), describe("2", "gpu fails"), describe("3", "quick"))
    finals = [reply for reply in replies_until_the_end(worker) if reply.is_final]
    assert [(reply.id, reply.event, reply.fields["ending"]) for reply in finals] == [
        ("1", "error", False),
        ("2", "error", True),
    ]
    assert worker.wait(10) == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_ctrl_c_in_the_terminal_does_not_end_it(worker):
    send(worker, describe("1", "slow"))
    while Reply.from_line(worker.stdout.readline()).event != "progress":
        pass
    worker.send_signal(signal.SIGINT)
    send(worker, Request("2", "stop", {"targets": ["1"]}).to_line(), describe("3", "quick"))
    finals = []
    while len(finals) < 3:
        reply = Reply.from_line(worker.stdout.readline())
        finals += [reply] if reply.is_final else []
    assert {reply.id: reply.event for reply in finals} == {"1": "result", "2": "result", "3": "result"}
