"""Timings: what receipts add up to, and the phases of a run by their clocks."""

import dataclasses
import json
import time

import pytest

from pipeline.execution.observer import Silent
from pipeline.execution.timings import RunTimings, time_run
from pipeline.output.part_name import Part
from pipeline.stages.receipt import ActorSeconds, Receipt, StageSeconds


def receipt(part, *, taken_at, worked_s):
    actor_s = ActorSeconds(queued_s=0.25, waited_s=0.5, worked_s=worked_s)
    return Receipt(Part("d", "s", part, 2, ""), actor_s=actor_s, taken_at=taken_at)


def test_phases_run_from_the_first_part_taken_to_the_last_one_made_and_committed():
    began_at = time.time()

    def receipts():
        time.sleep(0.4)
        yield receipt(1, taken_at=began_at + 0.2, worked_s=0.1)
        time.sleep(0.2)
        yield receipt(0, taken_at=began_at + 0.1, worked_s=0.4)
        time.sleep(0.3)  # as Ray takes to end

    found = time_run(receipts(), Silent())

    phases_s = (found.startup_s, found.making_s, found.finishing_s)
    assert phases_s == pytest.approx((0.1, 0.4, 0.1), abs=0.06)
    assert found.wall_s >= 0.9
    assert found.actor_s == ActorSeconds(queued_s=0.5, waited_s=1.0, worked_s=0.5)
    assert found.images == {"d": 4}


def test_clocks_that_disagree_make_no_phase_shorter_than_nothing():
    found = time_run([receipt(0, taken_at=time.time() - 10, worked_s=30.0)], Silent())

    assert (found.startup_s, found.making_s, found.finishing_s) == (0.0, 30.0, 0.0)


def test_timings_are_read_back_from_a_summary_as_they_were_rounded():
    timings = RunTimings(
        {"d": 3}, 1.23456, StageSeconds(read_s=0.11111), 2, ActorSeconds(worked_s=0.98765)
    ).rounded()

    written = json.loads(json.dumps(dataclasses.asdict(timings)))

    assert RunTimings.from_json(written) == timings
    assert (timings.wall_s, timings.stage_s.read_s, timings.actor_s.worked_s) == (
        1.235,
        0.111,
        0.988,
    )


def test_speed_is_of_all_datasets_and_nothing_without_time():
    assert RunTimings({"a": 30, "b": 10}, wall_s=8.0).images_per_s == 5
    assert RunTimings().images_per_s == 0


def test_retries_of_the_driver_are_added_to_those_of_the_parts():
    found = time_run([Receipt(Part("d", "s", 0, 2, ""), retries=3)], Silent()).with_retries(4)

    assert found.storage_retries == 7
