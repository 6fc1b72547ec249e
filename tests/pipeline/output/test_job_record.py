"""The record of a job in its output folder: written, read back, and refused if none of ours."""

import json

import pytest

from pipeline.errors import OutputError
from pipeline.execution.prepare_job import prepare_job
from pipeline.output.job_record import JobRecord
from pipeline.storage.storage import Storage


def test_a_record_is_read_as_it_was_written(tiny_job):
    job = prepare_job(tiny_job.validated(), Storage())
    record = JobRecord.first(job).overwritten(job)

    assert JobRecord.parse(record.render(job), "job.json") == record


def test_each_record_of_a_folder_is_of_a_later_generation_until_the_last_is_cleared(tiny_job):
    job = prepare_job(tiny_job.validated(), Storage())
    first = JobRecord({"model": "of another job"}, 3, clearing=False, datasets=("old",))

    overwritten = first.overwritten(job)
    cleared = overwritten.cleared(job)

    assert first.retried() == JobRecord(first.fingerprint, 4, clearing=False, datasets=("old",))
    assert (overwritten.generation, overwritten.clearing) == (4, True)
    assert overwritten.datasets == ("old", "pictures")
    assert overwritten.fingerprint == job.fingerprint
    assert (cleared.generation, cleared.clearing) == (4, False)
    assert cleared.datasets == ("pictures",)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"name": "of another program"}',
        json.dumps({"fingerprint": {}, "datasets": ["../../etc"]}).encode(),
        json.dumps({"fingerprint": {}, "datasets": [3]}).encode(),
        json.dumps({"fingerprint": {}, "datasets": [], "checkpoint": {"told": {}}}).encode(),
        json.dumps({"fingerprint": {}, "datasets": [], "checkpoint": "there"}).encode(),
    ],
)
def test_what_is_no_record_of_ours_is_refused_by_its_location(content):
    with pytest.raises(OutputError, match=r"s3://b/job\.json: is not a job\.json of refine"):
        JobRecord.parse(content, "s3://b/job.json")
