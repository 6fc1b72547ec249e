"""The plans of a run: frozen ones stay as they are, and grow only when asked to."""

import pytest

from pipeline.execution.load_plans import extended_plans, plans_of
from pipeline.output.output_folder import Output
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.resolved_job import Job
from pipeline.storage.storage import Storage


@pytest.fixture
def job(tmp_path):
    """A job of two images."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"image")
    spec = JobSpec.from_mapping(
        {
            "name": "job",
            "model": {"checkpoint": "none.pth"},
            "datasets": [{"name": "d", "images": f"{tmp_path}/*.png", "classes": ["a"]}],
            "output": str(tmp_path / "output"),
        }
    )
    return Job(spec, None, 0, {"model": "none"})


@pytest.fixture
def output(job):
    return Output(job.spec.output, Storage())


def test_without_an_output_the_images_are_listed(job, output):
    [plan] = plans_of(job, output, None)

    assert (plan.dataset, plan.num_images) == ("d", 2)
    assert not output.storage.exists(output.plan_uri("d"))


def test_a_frozen_plan_stays_whatever_comes_later(job, output, tmp_path):
    record = output.claim(job)
    output.freeze(plans_of(job, output, record)[0])
    (tmp_path / "c.png").write_bytes(b"image")

    [frozen], [listed] = plans_of(job, output, record), plans_of(job, output, None)

    assert (frozen.num_images, listed.num_images) == (2, 3)


def test_the_plans_of_results_that_are_being_deleted_do_not_count(job, output, tmp_path):
    record = output.claim(job)
    output.freeze(plans_of(job, output, record)[0])
    (tmp_path / "c.png").write_bytes(b"image")

    [plan] = plans_of(job, output, record.overwritten(job))

    assert plan.num_images == 3


def test_only_plans_that_grow_are_extended(job, output, tmp_path):
    unplanned = extended_plans(job.spec, output)
    output.freeze(plans_of(job, output, output.claim(job))[0])
    same = extended_plans(job.spec, output)
    (tmp_path / "c.png").write_bytes(b"image")

    grown = extended_plans(job.spec, output)

    assert unplanned == same == {}
    assert grown["d"].table["key"].to_pylist() == ["a", "b", "c"]
