"""The table of the scaling benchmark: figures of each run, and dashes where there are none."""

import io
from dataclasses import replace

from rich.console import Console

from jobs.benchmarks.scaling import ScalingRecord, ScalingRun
from jobs.display.scaling_table import scaling_table
from pipeline.stages.receipt import StageSeconds

RUN = ScalingRun(
    actors=4,
    images=128,
    parts=16,
    ideal_images_per_s=16.0,
    images_per_s=15.25,
    efficiency=0.953,
    busy=0.97,
    steady_s=60.0,
    at_work=4,
    first_part_s=3.21,
    tail_s=2.5,
    part_s=2.0,
    wall_s=70.0,
    driver_cpu_s=12.5,
    driver_bytes=4_000_000.0,
    store_bytes=7_000_000,
    spilled_bytes=0,
    stage_s=StageSeconds(),
)


def rendered(*runs):
    hardware = {"processor": "a processor", "ray": "2.60"}
    console = Console(file=io.StringIO(), width=140)
    console.print(scaling_table(ScalingRecord(0.25, 8, hardware, runs)))
    return console.file.getvalue()


def test_each_run_has_a_row_of_its_figures():
    text = rendered(RUN, replace(RUN, actors=8, at_work=8, images_per_s=30.5))

    assert "250 ms an image, 8 images a part (2 s), on a processor, Ray 2.60" in text
    for words in ("15.2", "0.953", "97%", "3.2 s", "2.5 s", "12.5 s", "4.0 MB", "7.0 MB", "30.5"):
        assert words in text


def test_a_run_without_a_steady_state_has_dashes():
    text = rendered(replace(RUN, images_per_s=None, efficiency=None, busy=None))

    [row] = [line for line in text.splitlines() if line.strip().startswith("4 ")]
    assert row.split()[1:5] == ["16", "-", "-", "-"]


def test_actors_that_never_were_at_work_are_told():
    assert "4 (3 at work)" in rendered(replace(RUN, at_work=3))
    assert "at work)" not in rendered(RUN)
