import math
import time

from DGSTSegmentLib.training.pace import CALIBRATION, DEFAULT_STEPS, LEAST_STEPS, Pace
from DGSTSegmentLib.training.schedule import poly


def test_without_steps_or_minutes_there_is_a_default():
    assert Pace(None, None).steps == DEFAULT_STEPS


def test_minutes_fix_the_steps_that_fit_into_what_is_left_of_them():
    pace = Pace(None, minutes=2 / 60, reserved_seconds=0.5, spent_seconds=0.5)
    fixed_at = None
    for step in range(CALIBRATION.stop):
        assert pace.steps is None and pace.seconds_left(step) is None
        time.sleep(0.01)
        fixed_at = step if pace.step_done(step) else fixed_at
    assert fixed_at == CALIBRATION.stop - 1
    assert LEAST_STEPS <= pace.steps <= CALIBRATION.stop + (2 - 0.5 - 0.5) / 0.01


def test_even_no_time_at_all_gives_some_steps():
    pace = Pace(None, minutes=1e-12)
    assert [pace.step_done(step) for step in range(CALIBRATION.stop)][-1] and pace.steps == LEAST_STEPS


def test_a_run_resumed_while_its_speed_was_being_measured_still_gets_its_steps():
    pace = Pace(None, minutes=0.01)
    assert pace.step_done(CALIBRATION.stop - 1) and pace.steps >= LEAST_STEPS


def test_the_last_step_leaves_no_time():
    pace = Pace(5, None)
    for step in range(5):
        pace.step_done(step)
    assert pace.seconds_left(4) == 0


def test_a_costly_checkpoint_waits_longer_for_the_next():
    pace = Pace(100, None)
    pace.checkpoint_done(1000.0)
    pace._last_checkpoint -= 3.0
    assert not pace.checkpoint_due()
    pace.checkpoint_done(0.001)
    pace._last_checkpoint -= 3.0
    assert pace.checkpoint_due()


def test_the_learning_rate_falls_from_whole_to_almost_nothing_by_the_power_of_nine_tenths():
    factors = [poly(step, 50) for step in range(50)]
    assert factors[0] == 1 and all(a > b > 0 for a, b in zip(factors, factors[1:], strict=False))
    assert math.isclose(factors[25], 0.5**0.9)
