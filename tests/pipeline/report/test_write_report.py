"""What is written of a run: for programs and for people, and the same again from the tables."""

import json
import shutil

import pytest

from pipeline import run
from pipeline.errors import OutputError
from pipeline.report.write_report import remake_report
from tiny_job import TinyJob


@pytest.fixture(scope="module")
def finished(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """A job that was run, with targets and, as a second data set, without."""
    job = TinyJob.make(tmp_path_factory.mktemp("written"), checkpoint, images=3)
    bare = {name: value for name, value in job.dataset.items() if name != "targets"}
    job.spec["datasets"].append({**bare, "name": "bare"})
    run(job.validated())
    return job


def test_there_is_a_confusion_matrix_for_each_scored_dataset_alone(finished):
    written = {path.name for path in finished.output.iterdir() if path.is_file()}

    assert written == {
        "job.json",
        "summary.json",
        "summary.parquet",
        "confusion-pictures.csv",
        "report.html",
    }


def test_a_report_that_is_made_again_has_the_same_figures(finished, tmp_path):
    output = shutil.copytree(finished.output, tmp_path / "copy")
    for name in ("report.html", "summary.parquet", "confusion-pictures.csv"):
        (output / name).unlink()

    remake_report(str(output))

    before, after = (
        json.loads((each / "summary.json").read_text()) for each in (finished.output, output)
    )
    assert after == {**before, "output": output.as_uri()}
    for name in ("summary.parquet", "confusion-pictures.csv"):
        assert (output / name).read_bytes() == (finished.output / name).read_bytes()
    assert "<html" in (output / "report.html").read_text()


def test_a_folder_that_is_no_output_gets_no_report(tmp_path):
    with pytest.raises(OutputError, match=r"has no job\.json"):
        remake_report(str(tmp_path))

    assert list(tmp_path.iterdir()) == []
