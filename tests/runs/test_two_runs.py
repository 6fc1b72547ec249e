"""Two runs on one output at once, and a disk that fills up: nothing lost, nothing twice."""

import json
import time

import pytest

import command
from tiny_job import TinyJob

_TIMEOUT_S = 200


@pytest.fixture
def job(tmp_path, checkpoint):
    job = TinyJob.make(tmp_path / "job", checkpoint, images=60)
    job.spec["part_images"] = 2
    return job


def test_two_runs_at_once_share_one_output_and_agree(job):
    spec = job.write_spec()
    first = command.start("run", spec, ray=False)
    wait_for_parts(job, 1, first)
    second = command.start("run", spec, ray=False)
    outputs = [process.communicate(timeout=_TIMEOUT_S) for process in (first, second)]
    shared = summary(job)
    rows = job.rows()
    job.spec["output"] += "-alone"

    alone = command.run("run", job.write_spec(), ray=False)

    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert alone.returncode == 0, alone.stderr
    assert shared == summary(job)
    assert [row["mask"] for row in rows] == [row["mask"] for row in job.rows()]
    assert len({row["key"] for row in rows}) == len(rows) == 60


@pytest.mark.xfail(
    reason="the overtaken run may commit a part between its look at job.json and its write, which "
    "the other one then finds; the commit protocol is to close that",
    strict=False,
)
def test_a_run_whose_output_is_overwritten_stops_and_the_other_one_is_right(job):
    job.spec["inference"]["scales"] = [1.0, 2.0, 3.0]  # slow enough to be overtaken
    slow = command.start("run", job.write_spec(), ray=False)
    wait_for_parts(job, 2, slow)
    job.spec["inference"]["scales"] = [0.5]

    other = command.run("run", job.write_spec(), "--overwrite", ray=False)
    _, stderr = slow.communicate(timeout=_TIMEOUT_S)
    verified = command.run("verify", job.output, ray=False)

    assert slow.returncode == 3, stderr
    assert "was taken over by a run with --overwrite or --retry-failed" in stderr
    assert "Traceback" not in stderr
    assert other.returncode == 0, other.stderr
    assert verified.returncode == 0, verified.stdout
    assert len(job.rows()) == 60


def test_a_disk_that_fills_up_ends_the_run_with_3_and_with_more_space_it_goes_on(job, small_disk):
    job.spec["output"] = str(small_disk / "results")
    job.dataset.pop("targets")
    job.spec["inference"]["probabilities"] = True
    spec = job.write_spec()
    small_disk.joinpath("ballast").write_bytes(bytes((4 << 20) - 300_000))

    full = command.run("run", spec)
    committed = list(job.output.glob("masks/*/*.parquet"))
    small_disk.joinpath("ballast").unlink()
    again = command.run("run", spec)

    assert full.returncode == 3, full.stderr
    assert "there is no space left" in full.stderr
    assert "Traceback" not in full.stderr
    assert 0 < len(committed) < 30
    assert again.returncode == 0, again.stderr
    assert len(job.rows()) == 60


def wait_for_parts(job, count, process):
    deadline = time.monotonic() + _TIMEOUT_S
    while len(list(job.output.glob("masks/*/[!.]*.parquet"))) < count:
        assert process.poll() is None, "the run ended before it could be disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def summary(job):
    return json.loads((job.output / "summary.json").read_text())["datasets"]
