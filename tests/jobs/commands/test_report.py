"""The command `report`: an output's summary again, or a comparison of two."""

import json

import pytest

import command
from compared_runs import run_twice
from in_process import invoke


@pytest.fixture(scope="module")
def runs(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """The same job at one scale and, from a copy of its images in another folder, at two."""
    return run_twice(tmp_path_factory.mktemp("compared"), checkpoint)


def test_the_command_prints_the_differences_and_writes_the_page(runs):
    outputs = [str(job.output) for job in runs]

    shown = command.run("report", *outputs)
    printed = command.run("report", *outputs, "--json")

    assert shown.returncode == printed.returncode == 0, shown.stderr + printed.stderr
    content = json.loads(printed.stdout)
    [dataset] = content["datasets"]
    assert f"{dataset['miou']['difference']:+.5f}" in shown.stdout
    assert (runs[1].output / "comparison.html").is_file()
    assert dataset["classes"][0]["iou"].keys() == {"first", "second", "difference", "low", "high"}


def test_a_report_is_made_again_and_printed_as_the_run_did(runs):
    job, _ = runs
    summary = json.loads((job.output / "summary.json").read_text())
    (job.output / "report.html").unlink()

    shown, printed = (invoke("report", job.output, *options) for options in ((), ("--json",)))

    assert shown.exit_code == printed.exit_code == 0, shown.output
    assert json.loads(printed.stdout)["datasets"] == summary["datasets"]
    assert f"{summary['datasets'][0]['miou']:.5f}" in shown.stdout
    assert (job.output / "report.html").is_file()


def test_a_place_for_a_comparison_is_refused_without_one(runs, tmp_path):
    done = invoke("report", runs[0].output, "--to", tmp_path / "page.html")

    assert done.exit_code == 2
    assert "--to is for a comparison; give two outputs" in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_what_is_no_output_of_ours_ends_with_exit_code_2(tmp_path):
    done = invoke("report", tmp_path)

    assert done.exit_code == 2
    assert "has no job.json" in done.stderr
