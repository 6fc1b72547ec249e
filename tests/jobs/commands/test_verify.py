"""The command `verify`: what is wrong, how to mend it, and its exit codes."""

import json

import pytest

from in_process import invoke


@pytest.mark.usefixtures("without_ray")
def test_verify_says_what_is_wrong_and_how_to_mend_it(tiny_job):
    spec = tiny_job.write_spec()
    invoke("run", spec)

    right = invoke("verify", tiny_job.output)
    missing = next(tiny_job.output.glob("masks/*/*-000001.parquet"))
    missing.unlink()
    wrong = invoke("verify", tiny_job.output)
    as_json = invoke("verify", tiny_job.output, "--json")
    no_output = invoke("verify", tiny_job.root)

    assert right.exit_code == 0, right.output
    assert right.stdout.splitlines() == [
        "pictures: 3 parts are right, 12 rows, 12 images",
        "nothing is missing, nothing is wrong",
    ]
    remedy = "run the job again: refinenet-batch run SPEC"
    assert wrong.exit_code == as_json.exit_code == 3
    assert wrong.stdout.splitlines() == [
        str(missing),
        "  is missing",
        f"  → {remedy}",
        "pictures: 2 parts are right, 7 rows, 7 images",
        "1 files are missing or wrong",
    ]
    assert json.loads(as_json.stdout) == {
        "ok": False,
        "output": str(tiny_job.output),
        "datasets": [{"name": "pictures", "parts": 2, "rows": 7, "images": 7}],
        "findings": [{"file": str(missing), "problem": "is missing", "remedy": remedy}],
        "notes": [],
    }
    assert no_output.exit_code == 2
    assert "has no job.json; give the `output` of a job that was run" in no_output.stderr
    assert no_output.stdout == ""
