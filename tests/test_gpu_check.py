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
    assert all(row["agreement"] == 1 for name, row in stages["passes"].items() if name != "took_s")


def test_a_stage_that_there_is_not_is_named():
    done = run_check("--only", "sizes,colours")

    assert done.returncode == 2
    assert "no such stage: colours; there are kernels, sizes" in done.stderr
