"""What a run writes about its masks, and what the documented lines read from its tables."""

import csv
import json
import re
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from camvid import IMAGES, TARGETS, model
from pipeline import JobSpec, run
from pipeline.errors import OutputError
from pipeline.report.write_summary import report_content
from refinenet_core import boundary_counts
from tiny_job import CLASSES, TinyJob, decode_mask, picture

pytestmark = pytest.mark.usefixtures("without_ray")

ROOT = Path(__file__).resolve().parents[3]
OUTPUTS = (ROOT / "docs/outputs.md").read_text()
SCORES = (ROOT / "docs/scores.md").read_text()
[QUERY] = re.findall(r"```sql.*?\n(.*?)```", SCORES, flags=re.DOTALL)
FIGURES = ("miou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")
CLASS_FIGURES = ("iou", "accuracy", "precision", "f1", "target_pixels", "predicted_pixels")


def read_summary(folder):
    return json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)


def documented_block(library):
    """Return the documented Python block that opens the tables with a library."""
    blocks = re.findall(r"```python\n(.*?)```", OUTPUTS, flags=re.DOTALL)
    [block] = [b for b in blocks if re.match(rf"(import|from) {library}\b", b)]
    return block


def assert_the_query_gives_the_summary(folder):
    """To the last digit: with `==`. A class that is nowhere has no row."""
    result = duckdb.sql(QUERY)
    rows = [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
    summary = {dataset["name"]: dataset for dataset in read_summary(folder)["datasets"]}
    assert {row["dataset"] for row in rows} == {
        name for name, dataset in summary.items() if dataset["rule"]
    }
    for row in rows:
        expected = summary[row["dataset"]]
        assert {name: row[name] for name in FIGURES} == {name: expected[name] for name in FIGURES}
        found = {entry["class"]: entry for entry in row["classes"]}
        for entry in expected["classes"]:
            if entry["target_pixels"] or entry["predicted_pixels"]:
                class_row = found.pop(entry["class"])
                for name in CLASS_FIGURES:
                    assert class_row[name] == entry[name], (entry["class_name"], name)
        assert found == {}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, checkpoint):
    """A run with targets and, as a second dataset, without."""
    job = TinyJob.make(tmp_path_factory.mktemp("finished"), checkpoint)
    job.spec["output"] = str(job.root / "quickstart/results")
    job.spec["metrics"] = {"boundary_iou": True}
    bare = {name: value for name, value in job.dataset.items() if name != "targets"}
    job.spec["datasets"].append({**bare, "name": "bare"})
    return job, run(job.validated())


def test_the_documented_query_gives_the_summary_to_the_last_digit(finished, monkeypatch):
    job, _ = finished
    monkeypatch.chdir(job.root)

    assert_the_query_gives_the_summary(job.output)


def test_the_documented_lines_open_the_tables(finished, monkeypatch):
    job, _ = finished
    monkeypatch.chdir(job.root)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(job.root / "cache"))
    expected = {(row["key"], row["mask"]) for row in job.rows()}
    tables = {}

    for library in ("pandas", "polars", "datasets"):
        names = {}
        exec(documented_block(library), names)  # noqa: S102 - our own lines
        tables[library] = names["table"]

    pandas, polars, datasets = tables.values()
    assert set(pandas["dataset"]) == set(polars["dataset"]) == {"pictures", "bare"}
    assert set(zip(pandas["key"], pandas["mask"], strict=True)) == expected
    assert set(zip(polars["key"], polars["mask"], strict=True)) == expected
    masks = {key: decode_mask(data) for key, data in expected}
    assert len(datasets) == 24
    for row in datasets:
        assert isinstance(row["mask"], Image.Image)
        np.testing.assert_array_equal(np.asarray(row["mask"]), masks[row["key"]])


def test_boundary_regions_are_counted_beside_the_confusion(finished):
    job, report = finished
    counts = None
    rows = [row for row in job.rows() if row["boundary"] is not None]
    for number, row in enumerate(rows):
        assert row["key"] == f"picture-{number:02d}"
        labels, (_, target) = decode_mask(row["mask"]), picture(number)
        image = boundary_counts(labels, target, num_classes=4)
        counts = image if counts is None else counts + image

    [scored, bare] = report.datasets
    assert len(rows) == 12
    np.testing.assert_array_equal(scored.boundary_iou, counts.iou)
    assert bare.boundary_iou is None


def test_a_rule_changes_the_summary_alone_and_boundary_iou_is_another_job(tiny_job):
    first = run(tiny_job.validated())
    files = {path: path.read_bytes() for path in tiny_job.output.glob("masks/*/*.parquet")}

    tiny_job.spec["metrics"] = {"rule": "absent_zero", "seed": 1}
    second = run(tiny_job.validated())

    [before], [after] = report_content(first)["datasets"], report_content(second)["datasets"]
    assert second.timings.images == {}
    assert {path: path.read_bytes() for path in files} == files
    assert read_summary(tiny_job.output)["datasets"] == [after]
    assert (before["rule"], after["rule"]) == ("union_present", "absent_zero")
    assert after["rules"] == before["rules"]
    assert after["miou_interval"]["seed"] == 1
    tiny_job.spec["metrics"] = {"boundary_iou": True}
    with pytest.raises(OutputError, match="boundary_iou: false there, true here"):
        run(tiny_job.validated())


def test_the_summary_is_written_as_json_parquet_and_csv_which_agree(finished):
    job, report = finished

    content = read_summary(job.output)

    assert content == json.loads(json.dumps(report_content(report)))
    assert content["summary_version"] == 2
    scored, bare = content["datasets"]
    rows = pq.read_table(job.output / "summary.parquet").to_pylist()
    assert [(row["dataset"], row["class_name"]) for row in rows] == [
        (name, class_name) for name in ("pictures", "bare") for class_name in CLASSES
    ]
    for row, entry in zip(rows, scored["classes"] + bare["classes"], strict=True):
        assert {name: value for name, value in row.items() if name != "dataset"} == entry
    with (job.output / "confusion-pictures.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["target", *CLASSES, "outside"]
    assert [[int(pixels) for pixels in line[1:]] for line in lines] == scored["confusion"]
    assert not (job.output / "confusion-bare.csv").exists()
    assert bare["mean_confidence"] == scored["mean_confidence"] > 0
    assert sum(row["mask_share"] for row in bare["classes"]) == pytest.approx(1)


def test_datasets_of_the_same_classes_are_scored_together_as_well(tiny_job):
    tiny_job.spec["datasets"].append({**tiny_job.dataset, "name": "again"})

    report = run(tiny_job.validated())

    [both] = report_content(report)["combined"]
    assert both["datasets"] == ["pictures", "again"]
    assert both["images"]["scored"] == 24
    assert both["miou"] == report_content(report)["datasets"][0]["miou"]


def fields_of(content):
    """Yield the name of every field of a JSON object but those of maps, whose keys are data."""
    maps = {"statuses", "flags", "rules", "quantiles"}
    for name, value in content.items():
        yield name
        inner = next(iter(value.values())) if name in maps and value else value
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, dict):
            yield from fields_of(inner)


def test_every_field_of_summary_json_is_documented(finished):
    _, report = finished
    content = report_content(report)
    documented = set(re.findall(r"`(\w+)`", SCORES))

    undocumented = {name for name in fields_of(content) if name not in documented}

    assert undocumented <= set(CLASSES) | {"pictures", "bare"}  # under last_run.images


def camvid_spec(shared, folder, names):
    for name in names:
        for place in (IMAGES, TARGETS):
            (folder / place).mkdir(parents=True, exist_ok=True)
            (folder / place / name).symlink_to(shared / place / name)
    return JobSpec.from_mapping(
        {
            "name": "camvid",
            "model": model(shared / "data/weights"),
            "datasets": [
                {
                    "name": "camvid-test",
                    "images": str(folder / IMAGES / "*.png"),
                    "targets": str(folder / TARGETS / "{stem}.png"),
                    "classes": "camvid",
                }
            ],
            "output": str(folder / "quickstart/results"),
            "part_images": 8,
        }
    )


def run_camvid(shared, folder, monkeypatch, *, images):
    names = sorted(path.name for path in (shared / IMAGES).iterdir())[:images]
    report = run(camvid_spec(shared, folder, names))
    monkeypatch.chdir(folder)
    assert report.datasets[0].ok == images
    assert_the_query_gives_the_summary(folder / "quickstart/results")
    return report


def test_the_documented_query_gives_camvids_summary(shared, tmp_path, monkeypatch):
    run_camvid(shared, tmp_path, monkeypatch, images=8)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_documented_query_gives_the_summary_of_all_of_camvid(shared, tmp_path, monkeypatch):
    report = run_camvid(shared, tmp_path, monkeypatch, images=233)

    interval = report.datasets[0].interval
    assert interval.low < report.datasets[0].scores.miou < interval.high
    assert 0.01 < interval.high - interval.low < 0.1
