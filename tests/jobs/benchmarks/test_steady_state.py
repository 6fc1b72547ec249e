"""How fast actors were once all were at work, worked by hand."""

import pytest

from jobs.benchmarks.steady_state import Work, most_at_once, steady_state
from pipeline.output.part_name import Part
from pipeline.stages.receipt import ActorSeconds, Receipt


def test_only_the_time_counts_in_which_all_were_at_work_and_parts_were_left():
    # The second actor comes up at 4; the last part is taken at 10. A part of 8 images takes 2 s.
    first = [Work(start, start + 2, 8) for start in (0, 2, 4, 6, 8, 10)]
    second = [Work(start, start + 2, 8) for start in (4, 6, 8)]

    found = steady_state([*first, *second], 2)

    assert found.seconds == 6
    assert found.images_per_s == pytest.approx(8)  # two actors of 4 images/s each
    assert found.busy == pytest.approx(1)


def test_waiting_between_parts_is_lost():
    # One actor waits 2 s behind each part of 2 s.
    parts = [Work(start, start + 2, 8) for start in (0, 4, 8, 12)]

    found = steady_state(parts, 1)

    assert (found.seconds, found.images_per_s, found.busy) == (12, 2, 0.5)


def test_parts_that_follow_each_other_are_not_at_work_at_once():
    assert most_at_once([Work(0, 2, 1), Work(2, 4, 1)]) == 1
    assert most_at_once([Work(0, 3, 1), Work(2, 4, 1)]) == 2
    assert most_at_once([]) == 0


def test_actors_that_never_were_all_at_work_have_no_steady_state():
    assert steady_state([Work(0, 2, 8), Work(2, 4, 8)], 2) is None
    assert steady_state([Work(0, 2, 8)], 1) is None  # the last part is the first
    assert steady_state([], 1) is None


def test_a_receipt_tells_when_its_part_was_in_an_actors_hands():
    part = Part("d", "s", 0, 8, "end")
    receipt = Receipt(part, actor_s=ActorSeconds(worked_s=2.0), taken_at=100.0)

    assert Work.of(receipt) == Work(100.0, 102.0, 8)
