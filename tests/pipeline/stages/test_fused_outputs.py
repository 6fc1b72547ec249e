"""The outputs that a fusion takes: what they must have in common, and their rows."""

import pytest

from fused_runs import fusion, run_to_be_fused
from pipeline import JobSpec, run
from pipeline.errors import OutputError, SpecError
from pipeline.execution.prepare_job import prepare_job
from pipeline.output.part_name import Part
from pipeline.stages.fused_outputs import InputRows, fused_spec, read_inputs
from pipeline.storage.storage import Storage
from tiny_job import TinyJob

pytestmark = pytest.mark.usefixtures("without_ray")


@pytest.fixture(scope="module")
def runs(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """A job's runs at one scale each, and at both; their report and job by what they are."""
    return run_to_be_fused(tmp_path_factory.mktemp("runs"), checkpoint)


def refused(spec, error, message):
    with pytest.raises(error, match=message):
        prepare_job(JobSpec.from_mapping(spec), Storage())


def test_outputs_that_cannot_be_fused_are_refused_before_anything_starts(runs, tmp_path):
    outputs = fusion(runs, tmp_path)["fuse"]
    both = runs["both"][0].spec["output"]
    other = {**runs["1.0"][0].dataset, "name": "other"}

    refused(fusion(runs, tmp_path, fuse=[*outputs, both]), OutputError, "holds no probabilities")
    refused(fusion(runs, outputs[0]), SpecError, "is one of those that are fused")
    refused(fusion(runs, tmp_path, datasets=[other]), SpecError, "has no dataset 'other'")
    refused(fusion(runs, tmp_path, limit_images=3), SpecError, "leave it out")
    nowhere = str(tmp_path / "nowhere")
    refused(fusion(runs, tmp_path, fuse=[*outputs, nowhere]), OutputError, r"has no job\.json")


def test_an_output_of_other_parts_or_with_parts_missing_is_refused(runs, tmp_path, checkpoint):
    job = TinyJob.make(tmp_path / "job", checkpoint)
    job.spec |= {"inference": {"probabilities": True}, "part_images": 4}
    run(job.validated())
    spec = fusion(runs, tmp_path / "fused")

    refused({**spec, "fuse": [*spec["fuse"], str(job.output)]}, SpecError, "has part_images 4")
    sorted(job.output.glob("masks/*/*.parquet"))[1].unlink()
    twice = [str(job.output), str(job.output)]
    refused({**spec, "fuse": twice}, OutputError, "is not complete: .*-000001.parquet is missing")


def test_a_fusion_takes_data_sets_and_parts_from_its_outputs(runs, tmp_path):
    spec = JobSpec.from_mapping(fusion(runs, tmp_path / "fused"))
    inputs = read_inputs(spec, Storage())

    found = fused_spec(spec, inputs)

    first = runs["0.75"][0].validated()
    assert (found.datasets, found.part_images) == (first.datasets, 5)
    assert [each.weight for each in inputs] == [1, 1]
    assert [each.at_stride_four for each in inputs] == [False, True]


def test_rows_are_read_by_their_index_in_ascending_order(runs, tmp_path):
    spec = JobSpec.from_mapping(fusion(runs, tmp_path / "fused"))
    _, source = read_inputs(spec, Storage())
    shard = runs["1.0"][0].rows()[0]["shard"]
    rows = InputRows(source, Part("pictures", shard, 1, 5, ""))

    found = [rows.at(index) for index in (5, 7, 99)]
    rows.close()

    assert [row and (row["index"], row["status"]) for row in found] == [
        (5, "undecodable"),
        (7, "ok"),
        None,
    ]
    assert found[1]["probabilities"]


def test_a_row_behind_one_that_is_lacking_is_not_lost(runs, tmp_path):
    """The row after a lacking one was once read, and not kept for the image that it is of."""
    spec = JobSpec.from_mapping(fusion(runs, tmp_path / "fused"))
    _, source = read_inputs(spec, Storage())
    shard = runs["1.0"][0].rows()[0]["shard"]
    rows = InputRows(source, Part("pictures", shard, 1, 5, ""))

    found = [rows.at(index) for index in (3, 5, 6)]  # the part begins with index 5
    rows.close()

    assert [row and row["index"] for row in found] == [None, 5, 6]
