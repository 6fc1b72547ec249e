"""Past runs: what an output folder tells, wherever it lies by now."""

import shutil

import pytest

from pipeline import run
from pipeline.errors import OutputError
from pipeline.scores.load_run import PastRun
from tiny_job import TinyJob


@pytest.fixture(scope="module")
def finished(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """A job that was run, and its report."""
    job = TinyJob.make(tmp_path_factory.mktemp("past"), checkpoint, images=3)
    return job, run(job.validated())


@pytest.fixture
def moved(finished, tmp_path):
    """The output of the job in another folder."""
    job, _ = finished
    return shutil.copytree(job.output, tmp_path / "moved")


def test_an_output_that_was_moved_is_read_where_it_lies_now(finished, moved):
    _, report = finished

    past = PastRun.read(str(moved))

    assert past.output.uri == past.spec.output == moved.as_uri()
    assert [plan.dataset for plan in past.plans] == ["pictures"]
    again = past.report()
    assert again.datasets[0].scores.miou == report.datasets[0].scores.miou
    assert again.timings == report.timings.rounded()


def test_without_a_summary_the_times_alone_are_unknown(moved):
    (moved / "summary.json").unlink()

    report = PastRun.read(str(moved)).report()

    assert report.timings.images == {}
    assert report.datasets[0].ok == 3


@pytest.mark.parametrize("content", ["no json", "[]", '{"last_run": {"images": {}}}'])
def test_a_summary_that_is_damaged_is_named(moved, content):
    (moved / "summary.json").write_text(content)

    with pytest.raises(OutputError, match=r"summary\.json: is damaged; delete it"):
        PastRun.read(str(moved)).report()


def test_an_output_without_its_plan_is_refused(moved):
    (moved / "plan/pictures.parquet").unlink()

    with pytest.raises(OutputError, match=r"pictures\.parquet: is missing; run the job"):
        PastRun.read(str(moved))
