"""What many events in a row ask for is done once, when Slicer has time."""

from __future__ import annotations

import pytest

from .conftest import until


@pytest.fixture
def later(host):
    """Makes an action that is done later."""
    from DGSTSegmentLib.panel.later import Later

    return lambda action: Later(0, action)


def test_many_events_are_answered_once_and_the_next_ones_once_more(host, later):
    done = []
    ask = later(lambda: done.append("once"))
    ask()
    ask("caller", "ModifiedEvent")
    assert not done
    until(host, lambda: done)
    host.process_events()
    assert done == ["once"]
    ask()
    until(host, lambda: len(done) == 2)


def test_an_action_may_ask_for_itself_as_one_that_is_done_in_pieces(host, later):
    done = []

    def piece():
        done.append("piece")
        if len(done) < 3:
            ask()

    ask = later(piece)
    ask()
    until(host, lambda: len(done) == 3)
