"""What tests share is made once: those of a file, and those of the application, are given to one process."""

from __future__ import annotations

from types import SimpleNamespace

from ..conftest import pytest_xdist_make_scheduler

APPLICATION = ["Testing/Python/host/test_a.py::test_1", "Testing/Python/panel/test_b.py::test_2[x::y]"]
FILES = {
    folder: [f"Testing/Python/{folder}/test_finetune.py::test_{n}" for n in range(3)] for folder in ("cli", "training")
}


class Process:
    """One that tests; it has got the tests of ``given``."""

    def __init__(self):
        self.gateway, self.shutting_down, self.given = SimpleNamespace(id="gw"), False, set()

    def send_runtest_some(self, numbers):
        self.given.update(numbers)

    def shutdown(self):
        self.shutting_down = True


def test_tests_that_share_something_are_given_to_one_process():
    tests = [test for of_file in zip(*FILES.values(), strict=True) for test in of_file] + APPLICATION
    values = {"dist": "loadscope", "tx": ["3*popen"]}
    config = SimpleNamespace(getvalue=values.get, option=SimpleNamespace(loadscopereorder=True))
    scheduler, processes = pytest_xdist_make_scheduler(config, None), [Process() for _ in range(3)]
    for process in processes:
        scheduler.add_node(process)
        scheduler.add_node_collection(process, tests)
    scheduler.schedule()
    given = [{tests[number] for number in process.given} for process in processes]
    assert sorted(map(sorted, given)) == sorted(map(sorted, [*FILES.values(), APPLICATION]))
