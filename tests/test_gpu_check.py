"""The check for a machine with a GPU goes through all of its stages without one."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run_check(*options):
    return subprocess.run(
        [ROOT / "tests/gpu_check.sh", "--dry-run", *options],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable},
    )


def test_the_check_on_a_gpu_runs_dry(tmp_path):
    found = tmp_path / "found.json"

    done = run_check("--out", str(found))

    assert done.returncode == 0, done.stdout + done.stderr
    stages = json.loads(found.read_text())
    assert list(stages) == ["machine", "kernels", "sizes", "jobs", "passes", "benchmark", "profile"]
    assert "tests collected" in stages["kernels"]["last"]
    assert stages["jobs"]["labels"]["agreement_with_cpu"] == 1
    assert stages["jobs"]["labels"]["same_bytes_twice"]
    assert stages["jobs"]["memory"]["status"] == "ok"
    assert [row["agreement"] for row in stages["passes"].values() if isinstance(row, dict)] == [1]


def test_what_there_was_no_time_for_is_a_problem(tmp_path):
    """It once ended with 0 and an empty stage."""
    found = tmp_path / "found.json"

    done = run_check("--only", "kernels,passes", "--limit-s", "0", "--out", str(found))

    assert done.returncode == 1
    stages = json.loads(found.read_text())
    assert stages["kernels"]["problems"] == ["no time for it"]
    assert stages["passes"]["problems"] == ["no time for refinenet_lw_mobilenet_v2 float32"]


def test_a_stage_that_there_is_not_is_named():
    done = run_check("--only", "sizes,colours")

    assert done.returncode == 2
    assert "no such stage: colours; there are kernels, sizes" in done.stderr
