"""Runs that each make a share of one job: nothing twice, nothing lost, one summary."""

import json

import pytest

import command
from in_process import invoke
from tiny_job import TinyJob

_TIMEOUT_S = 240


@pytest.fixture
def job(tmp_path, checkpoint):
    job = TinyJob.make(tmp_path / "job", checkpoint, images=70)
    job.spec["part_images"] = 1  # five shards of up to 16 parts
    return job


def test_two_runs_make_a_share_each_and_the_one_that_ends_last_sums_up(job):
    spec = job.write_spec()
    runs = [
        command.start("run", spec, "--share", share, "--json", ray=False)
        for share in ("1/2", "2/2")
    ]
    outputs = [process.communicate(timeout=_TIMEOUT_S) for process in runs]
    rows, shared = job.rows(), summary(job)
    first, second = sorted((json.loads(out) for out, _ in outputs), key=lambda r: "share" not in r)
    job.spec["output"] += "-alone"

    alone = command.run("run", job.write_spec(), ray=False)

    assert [process.returncode for process in runs] == [0, 0], outputs
    # The one that ended first had its share alone to tell of, unless both saw all of it there.
    assert first.get("share", "1/2") in ("1/2", "2/2")
    assert "share" not in second
    made = [sum(report["last_run"]["images"].values()) for report in (first, second)]
    assert sorted(made) == [32, 38]  # shards 2 and 4; 1, 3 and 5
    assert alone.returncode == 0, alone.stderr
    assert shared == summary(job)
    assert [row["mask"] for row in rows] == [row["mask"] for row in job.rows()]
    assert len({row["key"] for row in rows}) == len(rows) == 70


@pytest.mark.usefixtures("without_ray")
def test_a_share_alone_writes_no_summary_and_the_whole_job_does_the_rest(job):
    spec = job.write_spec()

    share = invoke("run", spec, "--share", "3/5")
    there = [path.name for path in job.output.iterdir()]
    again = invoke("run", spec, "--share", "3/5")
    whole = invoke("run", spec, "--json")

    assert share.exit_code == again.exit_code == 0, share.stderr + again.stderr
    assert "16 images in 16 parts" in share.stderr
    assert "Share 3/5: the run that ends the last share writes summary and report" in share.stdout
    assert sorted(there) == ["job.json", "masks", "plan"]
    assert "16 images in 16 parts; 16 images in 16 parts are committed already" in again.stderr
    assert whole.exit_code == 0, whole.stderr
    assert sum(json.loads(whole.stdout)["last_run"]["images"].values()) == 70 - 16
    assert summary(job)[0]["images"]["committed"] == 70


@pytest.mark.parametrize("share", ["0/2", "3/2", "2", "1/0", "a/b", "-1/2"])
def test_what_is_no_share_is_refused(job, share):
    done = invoke("run", job.write_spec(), f"--share={share}")

    assert done.exit_code == 2
    assert f"share: '{share}' is none; write K/N" in done.stderr
    assert not job.output.exists()


def test_a_share_does_not_go_with_what_changes_the_whole_output(job):
    done = invoke("run", job.write_spec(), "--share=1/2", "--overwrite")

    assert done.exit_code == 2
    assert "share: does not go with `overwrite`: run that for the whole job" in done.stderr


def summary(job):
    return json.loads((job.output / "summary.json").read_text())["datasets"]
