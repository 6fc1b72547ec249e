"""The page of a hundred thousand rows: its seconds and its size."""

import json
import time

import pytest

import command
from mask_tables import FINGERPRINT, write_mask_table
from pipeline.output.job_record import JOB_VERSION, library_versions
from pipeline.spec.job_spec import JobSpec
from report_pages import check_figures, opened


def write_output(output, names, *, shards, part_images, classes):
    """Write an output folder of made-up rows, as if a job had run over tars that are gone."""
    (output / "plan").mkdir(parents=True)
    for name in names:
        size = {"shards": shards, "parts": 16, "part_images": part_images}
        plan = write_mask_table(output, name, num_classes=len(classes), **size)
        (output / f"plan/{name}.parquet").write_bytes(plan.to_parquet())
    datasets = [
        {
            "name": name,
            "format": "webdataset",
            "images": str(output / "gone-*.tar"),
            "members": {"target": "png"},
            "classes": classes,
        }
        for name in names
    ]
    spec = JobSpec.from_mapping(
        {
            "name": "big",
            "model": {"name": "refinenet_lw50", "checkpoint": "/gone.pth"},
            "datasets": datasets,
            "output": str(output),
        }
    )
    record = {
        "job_version": JOB_VERSION,
        "generation": 1,
        "clearing": False,
        "datasets": names,
        "fingerprint": FINGERPRINT,
        "spec": spec.model_dump(mode="json"),
        "checkpoint": {"uri": "/gone.pth", "sha256": "0" * 64},
        "versions": library_versions(),
    }
    (output / "job.json").write_text(json.dumps(record))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shards", [2, pytest.param(25, marks=pytest.mark.slow)])
def test_a_hundred_thousand_rows_take_less_than_a_minute_and_twenty_megabytes(
    tmp_path, browser, shards
):
    classes = [f"class {k}" for k in range(11)]
    write_output(tmp_path / "output", ["big"], shards=shards, part_images=256, classes=classes)

    start = time.perf_counter()
    done = command.run("report", tmp_path / "output", "--json")
    seconds = time.perf_counter() - start

    assert done.returncode == 0, done.stderr
    page = tmp_path / "output/report.html"
    print({"seconds": seconds, "bytes": page.stat().st_size})  # noqa: T201 - the figures
    assert seconds < 60
    assert page.stat().st_size < 20_000_000
    summary = json.loads(done.stdout)
    assert summary["datasets"][0]["images"]["committed"] == shards * 4096
    with opened(browser, page) as opened_page:
        check_figures(opened_page, summary)
        assert opened_page.locator(".picture").count() == 24


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("datasets", "num_classes", "sections"),
    # All together stand in a section of their own; no more than 24 others are shown.
    [(2, 150, 3), pytest.param(30, 150, 25, marks=pytest.mark.slow)],
)
def test_however_many_datasets_and_classes_the_page_stays_below_twenty_megabytes(
    tmp_path, browser, datasets, num_classes, sections
):
    names = [f"dataset-{k}" for k in range(datasets)]
    classes = [f"class {k}" for k in range(num_classes)]
    write_output(tmp_path / "output", names, shards=1, part_images=4, classes=classes)

    done = command.run("report", tmp_path / "output", "--json")

    assert done.returncode == 0, done.stderr
    page = tmp_path / "output/report.html"
    print({"bytes": page.stat().st_size})  # noqa: T201 - the figure
    assert page.stat().st_size < 20_000_000 * sections / 25
    with opened(browser, page, width=390) as opened_page:
        shown = opened_page.locator("section[data-dataset]").count()
        text = opened_page.inner_text("body")
        width = opened_page.evaluate("document.documentElement.scrollWidth")
    assert shown == sections
    assert names[-1] in text
    assert width <= 390
