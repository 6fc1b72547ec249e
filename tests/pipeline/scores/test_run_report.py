"""The report of a run: what is missing, what is another's, and the exit code of it."""

import shutil

import pytest

from mask_tables import FINGERPRINT, write_mask_table
from pipeline.execution.timings import RunTimings
from pipeline.output.output_folder import Output
from pipeline.scores.run_report import make_report
from pipeline.spec.job_spec import JobSpec
from pipeline.storage.storage import Storage


@pytest.fixture
def plan(tmp_path):
    return write_mask_table(tmp_path, "d", shards=2, parts=2, part_images=3, num_classes=3)


@pytest.fixture
def parts(plan, tmp_path):  # noqa: ARG001 - it writes them
    return sorted((tmp_path / "masks/dataset=d").iterdir())


def report_of(plan, folder, fingerprint=FINGERPRINT):
    spec = JobSpec.from_mapping(
        {
            "name": "job",
            "model": {"checkpoint": "none.pth"},
            "datasets": [
                {
                    "name": "d",
                    "format": "webdataset",
                    "images": "s3://shards/*.tar",
                    "classes": ["a", "b", "c"],
                }
            ],
            "output": str(folder),
        }
    )
    output = Output(spec.output, Storage())
    return make_report(spec, fingerprint, [plan], output, RunTimings())


def test_a_run_that_is_whole_ends_well(plan, parts, tmp_path):
    report = report_of(plan, tmp_path)

    assert (report.complete, report.exit_code) == (True, 0)
    assert report.datasets[0].counts.images == 3 * len(parts)
    assert report.combined == []


def test_a_part_that_is_not_there_is_missing(plan, parts, tmp_path):
    parts[0].unlink()

    report = report_of(plan, tmp_path)

    assert report.missing_parts == [parts[0].name]
    assert (report.complete, report.exit_code) == (False, 3)
    assert not report.datasets[0].complete


def test_parts_of_another_job_are_missing_and_named(plan, parts, tmp_path):
    report = report_of(plan, tmp_path, {**FINGERPRINT, "model": "another"})

    assert report.foreign_parts == [f"file://{part}" for part in parts]
    assert sorted(report.missing_parts) == [part.name for part in parts]
    assert report.datasets[0].counts.images == 0
    assert all(part.is_file() for part in parts)


def test_a_shard_that_broke_off_is_beyond_any_tolerance(plan, parts, tmp_path):
    last = next(part for part in parts if part.stem.endswith("-end"))
    shutil.move(last, last.with_name(last.name.replace("-end.parquet", "-cut.parquet")))

    report = report_of(plan, tmp_path)

    assert len(report.broken_shards) == 1
    assert (report.missing_parts, report.within_tolerance, report.exit_code) == ([], False, 1)
    assert not report.complete
