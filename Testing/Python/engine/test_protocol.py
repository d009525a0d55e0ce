from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from DGSTSegmentLib.engine.protocol import EngineError, MalformedMessage, Reply, Request, error_of
from DGSTSegmentLib.errors import InputError


def test_a_request_reads_back_as_it_was_sent():
    request = Request("7", "predict", {"model": "starter", "image": "Überblick.nii", "fold": None, "lines": "a\nb"})
    line = request.to_line()
    assert line.count("\n") == 1 and line.endswith("\n")
    assert line.isascii()
    assert Request.from_line(line) == request


def test_a_reply_carries_numbers_of_numpy_and_paths_as_plain_values():
    fields = {
        "loss": np.float32(0.5),
        "step": np.int64(3),
        "done": np.bool_(True),
        "box": np.arange(3),
        "out": Path("a"),
    }
    reply = Reply.from_line(Reply("1", "progress", fields).to_line())
    assert reply.fields == {"loss": 0.5, "step": 3, "done": True, "box": [0, 1, 2], "out": "a"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan"), -np.inf])
def test_numbers_that_json_does_not_have_arrive_as_none(value):
    line = Reply("1", "progress", {"losses": [value]}).to_line()
    assert "NaN" not in line and "Infinity" not in line
    assert Reply.from_line(line).fields == {"losses": [None]}


def test_what_no_message_can_carry_is_refused():
    with pytest.raises(TypeError, match="object"):
        Reply("1", "result", {"thing": object()}).to_line()


@pytest.mark.parametrize(
    "line",
    ["", "not json", "[1, 2]", "3", '{"request": "predict"}', '{"id": 3, "request": "predict"}', '{"id": "3"}']
    + ['{"id": "3", "request": "format the disk"}', '{"id": "3", "request": "predict"'],
)
def test_a_line_that_is_no_request_is_refused(line):
    with pytest.raises(MalformedMessage):
        Request.from_line(line)


@pytest.mark.parametrize("line", ["loading weights: 100%", "null", '{"id": "1"}', '{"id": 1, "event": "result"}'])
def test_a_line_that_is_no_reply_is_refused(line):
    with pytest.raises(MalformedMessage):
        Reply.from_line(line)


def test_only_result_and_error_are_final():
    finals = [e for e in ("ready", "progress", "note", "result", "error") if Reply("1", e).is_final]
    assert finals == ["result", "error"]


def test_bad_input_is_told_from_other_errors():
    assert isinstance(error_of({"kind": "input", "message": "No such file."}), InputError)
    error = error_of({"kind": "memory", "message": "Too big."})
    assert isinstance(error, EngineError) and error.kind == "memory" and str(error) == "Too big."
