"""The model of where a run saturates: its arithmetic, and that the document shows what it gives."""

import json
from pathlib import Path

import pytest

from jobs.benchmarks.saturation import (
    GPUS,
    HEAVIEST,
    LIGHTEST,
    Gpu,
    Images,
    driver_s_per_part,
    tables,
)
from refinenet_core import model_cost

ROOT = Path(__file__).resolve().parents[3]
RECORD = ROOT / "docs/benchmarks/2026-11-22-cpu-scaling-20ms.json"


def test_the_document_shows_what_the_script_makes_of_the_record():
    record = json.loads(RECORD.read_text())

    shown = tables(driver_s_per_part(record))

    assert shown in (ROOT / "docs/scaling.md").read_text()
    assert (
        f"jobs.benchmarks.saturation {RECORD.relative_to(ROOT)}"
        in (ROOT / "docs/scaling.md").read_text()
    )


def test_the_driver_is_taken_from_the_run_with_the_most_actors():
    runs = [{"actors": 2, "driver_cpu_s": 30.0}, {"actors": 16, "driver_cpu_s": 12.5}]

    assert driver_s_per_part({"runs": runs}) == 0.0125


def test_an_actor_spends_its_time_on_the_network_and_on_its_cores_in_turn():
    images = Images(height=64, width=96, cpu_s=0.01)
    flops = model_cost(LIGHTEST.name, 64, 96).flops
    endless = Gpu("", 1e30, 4)

    assert LIGHTEST.flops(images) == flops
    assert endless.images_per_s(LIGHTEST, images) == pytest.approx(400)
    assert Gpu("", flops * 100.0, 4).images_per_s(LIGHTEST, images) == pytest.approx(80)


def test_scales_add_up():
    images = Images(height=100, width=200)
    sizes = [(40, 80), (60, 120), (80, 160), (100, 200), (120, 240)]

    assert HEAVIEST.flops(images) == sum(model_cost("refinenet101", *s).flops for s in sizes)


def test_a_driver_that_takes_half_as_long_for_a_part_feeds_twice_as_many_gpus():
    images = Images(height=64, width=96)

    def gpus(part_s):
        rows = tables(part_s, images).split("\n\n")[1].splitlines()[2:]
        return [float(cell.replace(",", "")) for row in rows for cell in row.split("|")[4:-1]]

    twice = [2 * number for number in gpus(0.02)]

    assert len(twice) == 6 * len(GPUS)
    assert gpus(0.01) == pytest.approx(twice, rel=0.1)  # figures are rounded
