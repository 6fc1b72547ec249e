"""The pace of a run: its speed, what is left, and times as people say them."""

import pytest

from jobs.display.pace import Pace, duration


def test_speed_and_time_left_leave_out_what_starting_took():
    pace = Pace(total=1000, done=100)

    pace.add(100, {}, 50.0, again=False)
    pace.add(100, {"crashed": 1, "bad_target": 2}, 60.0, again=False)

    assert pace.images_per_s(60.0) == 10
    assert pace.left_s(60.0) == 70
    assert pace.describe(60.0) == "10.0 images/s, 2 bad_target, 1 crashed, 1 min 10 s left"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59.6, "1 min"),
        (70, "1 min 10 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90061, "1 d 1 h"),
        (86400 * 3 + 59, "3 d"),
    ],
)
def test_times_are_told_in_two_units(seconds, words):
    assert duration(seconds) == words


def test_parts_made_again_count_their_failures_and_not_their_images():
    pace = Pace(total=10, done=8)

    pace.add(5, {"crashed": 1}, 1.0, again=True)
    pace.add(2, {}, 2.0, again=False)

    assert (pace.done, pace.failed) == (10, {"crashed": 1})
    assert pace.complete


def test_nothing_is_said_of_speed_before_a_second_part():
    pace = Pace(total=10, done=0)

    pace.add(5, {}, 1.0, again=False)

    assert pace.images_per_s(1.0) == 0
    assert pace.left_s(1.0) is None
    assert pace.describe(1.0) == ""
