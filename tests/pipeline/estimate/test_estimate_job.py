"""The forecast of a job: sizes and operations for nothing, and nothing is written for it."""

import json
import subprocess
import sys

import pytest

from pipeline.errors import SpecError
from pipeline.estimate.estimate_job import forecast
from refinenet_core import model_cost
from tiny_job import MODEL, SIZES

PIXELS = 4 * sum(height * width for height, width in SIZES)  # of the tiny job's 12 images


def test_sizes_and_operations_are_told_and_nothing_is_written_or_started(tiny_job):
    code = (
        "import json, sys; from pathlib import Path; from pipeline import JobSpec;"
        "from pipeline.estimate.estimate_job import forecast;"
        "found = forecast(JobSpec.from_yaml(sys.argv[1]));"
        "print(json.dumps([found.estimate.to_json(), 'ray' in sys.modules]))"
    )
    before = sorted(tiny_job.root.rglob("*"))

    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_job.write_spec())],
        capture_output=True,
        text=True,
        check=True,
    )

    estimate, has_ray = json.loads(done.stdout)
    assert not has_ray
    assert sorted(tiny_job.root.rglob("*")) == sorted([*before, tiny_job.root / "spec.yaml"])
    [dataset] = estimate["datasets"]
    assert dataset["pixels"] == {"value": pytest.approx(PIXELS), "margin": 0}
    expected = 4 * sum(
        model_cost(MODEL, int(scale * height), int(scale * width), 4).flops
        for height, width in SIZES
        for scale in (0.75, 1.0)
    )
    assert dataset["flops"]["value"] == pytest.approx(expected, rel=0.1)
    assert estimate["paid_hours"] is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"price_per_hour": 2.0}, "a price needs a speed"),
        ({"calibration": True, "record": "record.json"}, "not both"),
    ],
)
def test_a_speed_is_taken_from_one_place_and_a_price_needs_one(tiny_job, asked, message):
    with pytest.raises(SpecError, match=message):
        forecast(tiny_job.validated(), **asked)


def test_scoring_has_no_speed_to_be_told(tiny_job):
    del tiny_job.spec["model"], tiny_job.spec["inference"]
    tiny_job.dataset["predictions"] = {}

    with pytest.raises(SpecError, match="this job has no model whose speed could be told"):
        forecast(tiny_job.validated(), calibration=True)


def test_what_is_looked_at_is_what_the_plan_has(tiny_job):
    found = forecast(tiny_job.validated())

    [progress], [dataset] = found.datasets, found.estimate.datasets
    assert (progress.images, progress.committed_images) == (12, 0)
    assert (dataset.images.value, dataset.pixels.value) == (12, PIXELS)
    assert dataset.actor_s is None
