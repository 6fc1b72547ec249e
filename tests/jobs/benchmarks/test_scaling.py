"""The scaling benchmark: the real pipeline, with actors that sleep."""

import json

import pytest

from command import run

pytestmark = pytest.mark.ray


def test_actors_that_sleep_are_measured_against_the_ideal():
    arguments = ("--actors", 2, "--sleep-ms", 50, "--images", 48, "--part-images", 4)

    done = run("benchmark-scaling", *arguments, "--json")

    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["image_s"], record["part_images"]) == (0.05, 4)
    assert {"processor", "ray", "python"} <= set(record["hardware"])
    [measured] = record["runs"]
    assert (measured["images"], measured["parts"], measured["at_work"]) == (48, 12, 2)
    assert measured["ideal_images_per_s"] == pytest.approx(40)
    assert 0 < measured["images_per_s"] <= 40
    assert measured["efficiency"] == pytest.approx(measured["images_per_s"] / 40)
    assert measured["efficiency"] <= measured["busy"] <= 1
    assert measured["stage_s"]["predict_s"] >= 48 * 0.05
    assert 0 < measured["first_part_s"] < measured["wall_s"]
    assert 0 < measured["tail_s"] < measured["wall_s"]
    assert measured["driver_cpu_s"] > 0
    assert measured["store_bytes"] > 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_sixteen_actors_come_near_sixteen_times_one():
    done = run("benchmark-scaling", "--actors", 16, "--sleep-ms", 250, "--json", timeout_s=1200)

    [measured] = json.loads(done.stdout)["runs"]
    print(json.dumps(measured))  # noqa: T201 - the figures are the point
    assert measured["at_work"] == 16
    assert measured["efficiency"] >= 0.9
