import math

import pytest
from torch.optim.optimizer import register_optimizer_step_pre_hook

from DGSTSegmentLib.dgst import DGST
from DGSTSegmentLib.training.finetune import finetune
from DGSTSegmentLib.training.pace import CALIBRATION, DEFAULT_STEPS, LEAST_STEPS, Pace
from DGSTSegmentLib.training.schedule import poly


def test_without_steps_or_minutes_there_is_a_default():
    assert Pace(None, None).steps == DEFAULT_STEPS


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


def walked(pace, clock, durations):
    """Steps of these durations; at which of them the number of steps was fixed."""
    fixed = []
    for step, seconds in enumerate(durations):
        clock.seconds += seconds
        if pace.step_done(step):
            fixed.append(step)
    return fixed


def test_minutes_fix_the_steps_that_fit_into_what_is_left_of_them():
    clock = Clock()
    pace = Pace(None, minutes=1.0, reserved_seconds=10.0, spent_seconds=5.0, clock=clock)
    assert walked(pace, clock, [5.0] * 3 + [1.0] * 8) == [CALIBRATION.stop - 1]
    assert pace.steps == 11 + (60 - 10 - 5 - 3 * 5 - 8)
    assert walked(pace, clock, [3.0]) == [] and pace.steps == 33, "fixed once"


def test_even_no_time_at_all_gives_some_steps():
    pace = Pace(None, minutes=1e-12)
    assert [pace.step_done(step) for step in range(CALIBRATION.stop)][-1] and pace.steps == LEAST_STEPS


def test_that_measuring_leaves_time_for_the_least_steps_only_is_said():
    clock = Clock()
    pace = Pace(None, minutes=5.0, reserved_seconds=140.0, spent_seconds=152.0, clock=clock)
    walked(pace, clock, [0.5] * 11)
    assert pace.steps == LEAST_STEPS and pace.shortfall == (
        "Only 20 steps are taken: reading and measuring take 4.9 of 5 min, and each step 0.5 s; give more time or "
        "hold out fewer scans."
    )


def test_slow_steps_alone_are_not_put_down_to_what_is_held_out():
    clock = Clock()
    pace = Pace(None, minutes=1.0, spent_seconds=6.0, clock=clock)
    walked(pace, clock, [4.0] * 11)
    assert "take 0.1 of 1 min, and each step 4 s; give more time." in pace.shortfall


def test_nothing_is_said_where_as_many_steps_fit_as_are_needed_at_least():
    clock = Clock()
    pace = Pace(None, minutes=0.5, clock=clock)
    walked(pace, clock, [1.0] * 11)
    assert pace.steps == 30 and pace.shortfall is None


def test_a_run_resumed_while_its_speed_was_being_measured_still_gets_its_steps():
    pace = Pace(None, minutes=0.01)
    assert pace.step_done(CALIBRATION.stop - 1) and pace.steps >= LEAST_STEPS


def test_the_last_step_leaves_no_time():
    pace = Pace(5, None)
    for step in range(5):
        pace.step_done(step)
    assert pace.seconds_left(4) == 0


def test_a_costly_checkpoint_waits_longer_for_the_next():
    clock = Clock()
    pace = Pace(100, None, clock=clock)
    for cost, pause in ((1000.0, 20_000.0), (0.001, 2.0)):
        pace.checkpoint_done(cost)
        clock.seconds += pause - 0.1
        assert not pace.checkpoint_due()
        clock.seconds += 0.1
        assert pace.checkpoint_due()


def test_the_learning_rate_falls_from_whole_to_almost_nothing_by_the_power_of_nine_tenths():
    factors = [poly(step, 50) for step in range(50)]
    assert factors[0] == 1 and all(a > b > 0 for a, b in zip(factors, factors[1:], strict=False))
    assert math.isclose(factors[25], 0.5**0.9)


@pytest.mark.parametrize(
    ("length", "factors"),
    [
        ({"steps": 6}, [(1 - n / 6) ** 0.9 for n in range(6)]),
        ({"steps": None, "minutes": 1e-3}, [1.0] * 11 + [(1 - n / 20) ** 0.9 for n in range(11, 20)]),
    ],
)
def test_every_step_is_taken_with_the_learning_rate_that_the_schedule_says(request_for, length, factors):
    """In a run by minutes it falls once the number of steps is fixed, after the eleventh."""
    taken = []

    def take_note(optimizer, *_):
        if isinstance(optimizer, DGST):
            taken.append([group["lr"] for group in optimizer.param_groups])

    hook = register_optimizer_step_pre_hook(take_note)
    try:
        finetune(request_for(lr=0.01, **length))
    finally:
        hook.remove()
    selected, always_on = zip(*taken, strict=True)
    assert selected == pytest.approx([0.01 * factor for factor in factors])
    assert always_on == pytest.approx([5e-4 * factor for factor in factors])
