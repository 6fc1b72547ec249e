"""Summarising a million rows: seconds and memory of a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pytest

from mask_tables import write_mask_table

CLASSES = 11
CODE = """
import json, sys, time
from pathlib import Path
from mask_tables import FINGERPRINT
from pipeline.output.output_folder import Output
from pipeline.datasets.plan import DatasetPlan
from pipeline.scores.run_report import make_report
from pipeline.spec.job_spec import JobSpec
from pipeline.storage.storage import Storage
from pipeline.execution.timings import RunTimings

output, plan = sys.argv[1:]
dataset = {"name": "big", "format": "webdataset", "images": "s3://shards/train-*.tar",
           "members": {"target": "png"}, "classes": "camvid"}
spec = JobSpec.from_mapping({"name": "big", "model": {"checkpoint": "/m.pth"},
                             "datasets": [dataset], "output": output})
plan = DatasetPlan.from_parquet("big", Path(plan).read_bytes())
start, start_cpu = time.perf_counter(), time.process_time()
report = make_report(spec, FINGERPRINT, [plan], Output(output, Storage()), RunTimings())
figures = {"seconds": time.perf_counter() - start, "cpu_s": time.process_time() - start_cpu}
peak = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")]
from pipeline.report.write_summary import dataset_content
print(json.dumps({**figures, "peak_kib": int(peak[0]), **dataset_content(report.datasets[0])}))
"""


def summarize(folder, *, shards):
    output, plan_file = folder / "output", folder / "plan.parquet"
    plan = write_mask_table(
        output, "big", shards=shards, parts=16, part_images=256, num_classes=CLASSES
    )
    plan_file.write_bytes(plan.to_parquet())
    command = [sys.executable, "-c", CODE, str(output), str(plan_file)]
    path = os.pathsep.join([str(Path(__file__).parents[1] / "support"), *sys.path])
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    return output, json.loads(done.stdout)


def expected_counts(output):
    """Add up the confusion column by another way: Arrow's own grouping."""
    table = pyarrow.dataset.dataset(output / "masks").to_table(columns=["confusion"])
    cells = pyarrow.compute.list_flatten(table["confusion"]).combine_chunks()
    grouped = pyarrow.Table.from_arrays(cells.flatten(), names=["target", "prediction", "pixels"])
    sums = grouped.group_by(["target", "prediction"]).aggregate([("pixels", "sum")]).to_pydict()
    counts = np.zeros((CLASSES, CLASSES + 1), dtype=np.int64)
    counts[sums["target"], sums["prediction"]] = sums["pixels_sum"]
    return counts


def test_many_part_files_add_up_to_the_sum_of_their_cells(tmp_path):
    output, content = summarize(tmp_path, shards=2)

    assert content["images"]["scored"] == 2 * 16 * 256
    np.testing.assert_array_equal(content["confusion"], expected_counts(output))
    interval = content["miou_interval"]
    assert interval["low"] < content["miou"] < interval["high"] < interval["low"] + 0.01


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_rows_take_less_than_thirty_seconds_and_a_gigabyte(tmp_path):
    """Seconds of CPU, of which other work on the machine takes none: alone, it takes no longer."""
    output, content = summarize(tmp_path, shards=250)

    print({name: content[name] for name in ("seconds", "cpu_s", "peak_kib")})  # noqa: T201 - the figures
    assert content["images"]["scored"] == content["image_miou"]["images"] == 1_024_000
    np.testing.assert_array_equal(content["confusion"], expected_counts(output))
    assert content["cpu_s"] < 30
    assert content["peak_kib"] < 1e9 / 1024
