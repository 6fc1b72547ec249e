"""What `plan --calibrate` says a job takes, against the run that follows. Heavy; prints figures."""

import json

import pytest

from camvid import model, unscored_dataset
from pipeline import JobSpec, run
from pipeline.estimate.estimate_job import forecast

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("scales", [[1.0], [0.4, 0.6, 0.8, 1.0, 1.2]], ids=["one", "five"])
def test_the_estimate_is_within_a_quarter_of_the_run_that_follows(tmp_path, shared, scales):
    content = {
        "name": "estimate",
        "model": model(str(shared / "data/weights")),
        "inference": {"scales": scales},
        "datasets": [unscored_dataset(shared)],
        "output": str(tmp_path / "output"),
        "part_images": 8,
    }
    spec = JobSpec.from_mapping(content)

    estimate = forecast(spec, calibration=True).estimate
    report = run(spec)

    [dataset] = estimate.datasets
    timings = report.timings
    figures = {
        "scales": len(scales),
        "estimated_images_per_s": round(dataset.images_per_s.value, 3),
        "margin": round(dataset.images_per_s.margin, 3),
        "estimated_s": round(estimate.actor_s.value, 1),
        "run_s": round(timings.making_s, 1),
        "run_with_start_s": round(timings.wall_s, 1),
        "ratio": round(timings.making_s / estimate.actor_s.value, 3),
        "ratio_with_start": round(timings.wall_s / estimate.actor_s.value, 3),
    }
    print(json.dumps(figures))  # noqa: T201 - the figures are the point
    assert report.exit_code == 0
    assert dataset.left.value == 233
    assert 0.75 <= figures["ratio"] <= 1.25
