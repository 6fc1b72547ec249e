"""The page of a hundred thousand rows: its seconds and its size."""

import json
import time

import pytest

import command
from mask_tables import FINGERPRINT, write_mask_table
from pipeline.job import JOB_VERSION, library_versions
from pipeline.spec import JobSpec
from report_pages import check_figures, opened


def write_output(output, *, shards):
    """Write an output folder of made-up rows, as if a job had run over tars that are gone."""
    plan = write_mask_table(output, "big", shards=shards, parts=16, part_images=256, num_classes=11)
    (output / "plan").mkdir()
    (output / "plan/big.parquet").write_bytes(plan.to_parquet())
    dataset = {
        "name": "big",
        "format": "webdataset",
        "images": str(output / "gone-*.tar"),
        "members": {"target": "png"},
        "classes": "camvid",
    }
    spec = JobSpec.from_mapping(
        {
            "name": "big",
            "model": {"name": "refinenet_lw50", "num_classes": 11, "checkpoint": "/gone.pth"},
            "datasets": [dataset],
            "output": str(output),
        }
    )
    record = {
        "job_version": JOB_VERSION,
        "generation": 1,
        "clearing": False,
        "datasets": ["big"],
        "fingerprint": FINGERPRINT,
        "spec": spec.model_dump(mode="json"),
        "checkpoint": {"uri": "/gone.pth", "sha256": "0" * 64},
        "versions": library_versions(),
    }
    (output / "job.json").write_text(json.dumps(record))


@pytest.mark.timeout(600)
def test_a_hundred_thousand_rows_take_less_than_a_minute_and_twenty_megabytes(tmp_path, browser):
    write_output(tmp_path / "output", shards=25)

    start = time.perf_counter()
    done = command.run("report", tmp_path / "output", "--json")
    seconds = time.perf_counter() - start

    assert done.returncode == 0, done.stderr
    page = tmp_path / "output/report.html"
    print({"seconds": seconds, "bytes": page.stat().st_size})  # noqa: T201 - the figures
    assert seconds < 60
    assert page.stat().st_size < 20_000_000
    summary = json.loads(done.stdout)
    assert summary["datasets"][0]["images"]["committed"] == 102_400
    with opened(browser, page) as opened_page:
        check_figures(opened_page, summary)
        assert opened_page.locator(".picture").count() == 24
