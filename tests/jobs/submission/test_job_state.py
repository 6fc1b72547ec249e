"""The state of a submitted job: what becomes of its exit code."""

import pytest

from jobs.submission.job_state import JobState


@pytest.mark.parametrize(
    ("status", "driver_exit_code", "exit_code"),
    [
        ("PENDING", None, None),
        ("RUNNING", None, None),
        ("SUCCEEDED", 0, 0),
        ("FAILED", 1, 1),
        ("FAILED", 2, 2),
        ("FAILED", 3, 3),
        ("FAILED", 130, 130),
        ("FAILED", None, 3),  # its node was lost, or it could not be started
        ("FAILED", 127, 3),  # there is no `python`
        ("FAILED", -9, 3),  # it was killed
        ("STOPPED", None, 130),
    ],
)
def test_the_exit_code_is_the_runs_and_a_run_that_broke_off_is_incomplete(
    status, driver_exit_code, exit_code
):
    from ray.job_submission import JobDetails

    details = JobDetails(
        type="SUBMISSION",
        submission_id="raysubmit_x",
        status=status,
        entrypoint="exec python -m jobs",
        start_time=1_700_000_000_000,
        driver_exit_code=driver_exit_code,
    )

    state = JobState.from_details("raysubmit_x", details)

    assert state.exit_code == exit_code
    assert state.has_ended == (exit_code is not None)
    assert state.to_json()["started"] == "2023-11-14T22:13:20+00:00"
    assert state.to_json()["ended"] is None
