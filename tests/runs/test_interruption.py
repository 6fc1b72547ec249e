"""Ctrl-C and SIGTERM: no more parts are taken, those in flight are committed, exit code 130."""

import signal
import time

import pytest

import command
from tiny_job import TinyJob

EXECUTORS = ["local", pytest.param("ray", marks=pytest.mark.ray)]
_TIMEOUT_S = 120


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_run_that_is_asked_to_stop_commits_what_is_in_flight(tmp_path, checkpoint, executor):
    """By Ctrl-C; `jobs/submission/test_submit.py` stops a job by SIGTERM."""
    job = TinyJob.make(tmp_path, checkpoint, images=60)
    job.spec["resources"]["executor"] = executor
    job.spec["part_images"] = 2
    job.spec["inference"]["scales"] = [1.0, 2.0, 3.0]  # slow enough to be interrupted
    spec = job.write_spec()

    process = command.start("run", spec)
    wait_for_parts(job, 2, process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=_TIMEOUT_S)
    left = parts(job)
    again = command.run("run", spec, ray=False)

    assert process.returncode == 130, stderr
    assert "stopping: parts in flight are committed" in stderr
    assert "the same command goes on where this one stopped" in stderr
    assert "Traceback" not in stderr
    assert 2 <= len(left) < 30
    assert again.returncode == 0, again.stderr
    assert f"{2 * len(left)} images in {len(left)} parts are committed already" in again.stderr
    assert len({row["key"] for row in job.rows()}) == len(job.rows()) == 60


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_second_signal_ends_it_at_once(tmp_path, checkpoint, executor):
    job = TinyJob.make(tmp_path, checkpoint, images=100)
    job.spec["resources"]["executor"] = executor
    job.spec["inference"]["scales"] = [1.0, 2.0, 3.0]
    job.spec["part_images"] = 40  # in flight for longer than the test waits
    spec = job.write_spec()

    process = command.start("run", spec)
    wait_for_parts(job, 1, process)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=_TIMEOUT_S)

    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr


def parts(job):
    return list(job.output.glob("masks/*/[!.]*.parquet"))


def wait_for_parts(job, count, process):
    deadline = time.monotonic() + _TIMEOUT_S
    while len(parts(job)) < count:
        assert process.poll() is None, "the run ended before it could be disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
