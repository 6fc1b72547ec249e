"""The job with everything resolved: on which device its actors predict."""

import pytest

from pipeline import JobSpec
from pipeline.spec.resolved_job import Job, device_of


@pytest.mark.parametrize(
    ("asked", "gpus_per_actor", "device"),
    [
        ("auto", 0, "cpu"),
        ("auto", 0.5, "cuda"),
        ("cuda", 1, "cuda"),
        ("cpu", 0, "cpu"),
        ("cpu", 1, "cpu"),
    ],
)
def test_actors_predict_on_the_gpu_that_they_hold_unless_the_cpu_is_asked_for(
    asked, gpus_per_actor, device
):
    spec = JobSpec.from_mapping(
        {
            "name": "j",
            "model": {"checkpoint": "/w.pth"},
            "datasets": [{"name": "d", "images": "/x"}],
            "output": "/o",
            "resources": {"device": asked},
        }
    )

    assert device_of(spec, gpus_per_actor) == device
    assert Job(spec, None, gpus_per_actor, {}).device == device
