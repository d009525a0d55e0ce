from __future__ import annotations

import io

import pytest

from DGSTSegmentLib.cli.progress import Bars, PlainLines, clock, progress_view


def told(phase, step=None, steps=None, **values):
    return {"event": "progress", "phase": phase, "step": step, "steps": steps, **values}


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (185, "3:05"), (3729, "1:02:09")])
def test_time_is_shown_as_on_a_clock(seconds, text):
    assert clock(seconds) == text


def test_plain_lines_tell_where_a_phase_begins_and_ends_and_little_between(capsys):
    view = PlainLines()
    for step in range(101):
        view.on_event(told("train", step, 100, loss=0.5, seconds_left=float(100 - step)))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["train, 0/100, loss 0.500, 1:40 left", "train, 100/100, loss 0.500"]


def test_plain_lines_go_on_telling_when_a_phase_is_long(capsys, monkeypatch):
    monkeypatch.setattr("DGSTSegmentLib.cli.progress._SECONDS_BETWEEN_LINES", 0.0)
    view = PlainLines()
    for step in (1, 2, 3):
        view.on_event(told("train", step, 9, loss=None, seconds_left=None))
    assert capsys.readouterr().err.splitlines() == ["train, 1/9", "train, 2/9", "train, 3/9"]


def test_plain_lines_pass_over_what_is_not_counted(capsys):
    PlainLines().on_event(told("opening the model"))
    assert capsys.readouterr().err == ""


def test_notes_are_always_told(capsys):
    view = PlainLines()
    view.on_event({"event": "note", "message": "The CT was small."})
    assert capsys.readouterr().err == "The CT was small.\n"


def test_without_a_terminal_there_are_plain_lines():
    with progress_view() as view:
        assert isinstance(view, PlainLines)


def test_plain_lines_tell_of_each_ct_and_how_long_all_take(capsys):
    view = PlainLines()
    for done in range(2):
        view.on_each(2, done, f"ct{done}.nii", 65.0 if done else None)
        view.on_event(told("read", 1, 1))
    view.on_each(2, 2)
    assert capsys.readouterr().err.splitlines() == [
        "[1/2] ct0.nii",
        "read, 1/1",
        "[2/2] ct1.nii, 1:05 left for all",
        "read, 1/1",
    ]


def test_however_many_cts_there_are_the_one_at_work_stays_in_sight():
    from rich.console import Console

    from DGSTSegmentLib.cli import progress

    screen = io.StringIO()
    with progress.bars(Console(file=screen, force_terminal=True, width=160, height=8)) as bars:
        bars.on_event(told("opening the model"))
        for done in range(30):
            bars.on_each(30, done, f"ct{done}.nii", 65.0 if done else None)
            bars.on_event(told("read", 1, 1))
            bars.on_event(told("predict", 3, 7))
        shown = _last_frame(bars)
        bars.on_each(30, 30)
        end = _last_frame(bars)
    assert [line[0] for line in shown] == ["CTs", "read", "predict"]
    assert shown[0][1:] == ("29/30", "ct29.nii", "1:05 left") and shown[2][1] == "3/7"
    assert end[0][1:] == ("30/30", "", "") and len(end) == 3


def _last_frame(bars):
    """What rich draws of each bar; there are no others below."""
    fields = ("count", "values", "left")
    return [(task.description, *(task.fields[name] for name in fields)) for task in bars._progress.tasks]


def test_bars_show_phase_step_loss_and_time_left():
    from rich.console import Console

    from DGSTSegmentLib.cli import progress

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160)
    with progress.bars(console) as bars:
        assert isinstance(bars, Bars)
        bars.on_event(told("opening the model"))
        bars.on_event({"event": "note", "message": "Read [this]."})
        bars.on_event(told("train", 7, 20, loss=0.25, seconds_left=65.0))
    text = screen.getvalue()
    wanted = ("opening the model", "Read [this].", "train", "7/20", "loss 0.250", "1:05 left")
    assert [words for words in wanted if words not in text] == []
