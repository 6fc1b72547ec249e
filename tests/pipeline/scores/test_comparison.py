"""The comparison of two runs: the same images, paired, whatever else differs."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import command
from pipeline import JobSpec, run
from pipeline.errors import SpecError
from pipeline.report.comparison_page import verdict, write_comparison
from pipeline.scores.comparison import compare
from refinenet_core import scores
from report_pages import check_in_every_setting, figures, opened
from tiny_job import TinyJob

pytestmark = pytest.mark.usefixtures("without_ray")

CLASSES = 4


@pytest.fixture(scope="module")
def runs(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """The same job at one scale and, from a copy of its images in another folder, at two."""
    job = TinyJob.make(tmp_path_factory.mktemp("compared"), checkpoint)
    job.spec["inference"]["scales"] = [1.0]
    run(JobSpec.from_mapping(job.spec))
    moved = TinyJob(job.root.with_name(f"{job.root.name}-moved"), json.loads(json.dumps(job.spec)))
    for folder in ("images", "targets"):
        shutil.copytree(job.root / folder, moved.root / folder)
    (moved.root / "images/picture-11.png").unlink()
    (moved.root / "images/picture-03.png").write_bytes(b"no image")
    moved.spec["inference"]["scales"] = [0.5, 1.0]
    moved.spec["part_images"] = 4
    moved.dataset["images"] = str(moved.root / "images/*.png")
    moved.dataset["targets"] = str(moved.root / "targets/{stem}.png")
    moved.spec["output"] = str(moved.root / "output")
    moved.spec["tolerance"] = {"failed_images": 1}
    run(JobSpec.from_mapping(moved.spec))
    return job, moved


def confusions(job):
    """Return the confusion matrix of each scored image by key."""
    found = {}
    for row in job.rows():
        if row["confusion"] is not None:
            counts = np.zeros((CLASSES, CLASSES + 1), np.int64)
            for cell in row["confusion"]:
                counts[cell["target"], cell["prediction"]] += cell["pixels"]
            found[row["key"]] = counts
    return found


def test_scores_are_of_the_images_that_both_have_scored(runs):
    first, second = (confusions(job) for job in runs)
    both = first.keys() & second.keys()

    [compared] = compare(*(str(job.output) for job in runs)).datasets

    assert len(both) == 10
    assert (compared.only_first, compared.only_second) == (2, 0)
    for summary, found in ((compared.first, first), (compared.second, second)):
        expected = scores(sum(found[key] for key in both))
        assert summary.scores.miou == expected.miou
        np.testing.assert_array_equal(summary.scores.iou, expected.iou)
    changes = {key: scores(second[key]).miou - scores(first[key]).miou for key in both}
    assert compared.num_better == sum(change > 1e-9 for change in changes.values())
    assert compared.num_worse == sum(change < -1e-9 for change in changes.values())
    gains = [image.after - image.before for image in compared.better]
    assert gains == pytest.approx(sorted((c for c in changes.values() if c > 0), reverse=True)[:6])


def test_intervals_are_those_of_resampled_images(runs):
    """Drawn another way: whole images, by `numpy`'s own Poisson draws, ten times as often."""
    first, second = (confusions(job) for job in runs)
    both = sorted(first.keys() & second.keys())
    before, after = (np.array([found[key] for key in both]) for found in (first, second))
    drawn = np.random.default_rng(1).poisson(1.0, (10_000, len(both)))
    changes = [
        scores(np.tensordot(draw, after, 1)).miou - scores(np.tensordot(draw, before, 1)).miou
        for draw in drawn
        if draw.any()
    ]

    [compared] = compare(*(str(job.output) for job in runs)).datasets

    low, high = np.nanquantile(changes, [0.025, 0.975])
    width = high - low
    assert compared.intervals.miou_low == pytest.approx(low, abs=0.2 * width)
    assert compared.intervals.miou_high == pytest.approx(high, abs=0.2 * width)


def test_a_run_compared_with_itself_differs_in_nothing(runs):
    job, _ = runs

    comparison = compare(str(job.output), str(job.output))

    [compared] = comparison.datasets
    assert comparison.differences == []
    assert compared.miou_difference == 0
    assert (compared.intervals.miou_low, compared.intervals.miou_high) == (0, 0)
    assert (compared.num_better, compared.num_worse, len(compared.better)) == (0, 0, 0)
    assert verdict(compared).startswith("No difference that these images could tell")


def test_the_page_is_whole_and_shows_what_differs(runs, browser, tmp_path):
    comparison = compare(*(str(job.output) for job in runs))
    path = tmp_path / "comparison.html"

    write_comparison(comparison, str(path))

    check_in_every_setting(browser, path)
    content = comparison.to_json()["datasets"][0]
    with opened(browser, path) as page:
        assert figures(page, "section[data-dataset=pictures]") == {
            "first": content["miou"]["first"],
            "second": content["miou"]["second"],
            "difference": content["miou"]["difference"],
            "paired_images": 10,
            "images_better": content["images_better"],
            "images_worse": content["images_worse"],
        }
        panels = page.locator(".picture").first.locator(".panel")
        kinds = panels.evaluate_all("all => all.map(each => each.className)")
        assert kinds == [
            f"panel {kind}" for kind in ("image", "target", "prediction", "other", "changes")
        ]
        assert "scales[0]: 1.0 there, 0.5 here" in page.inner_text("#differences")


def test_the_command_prints_the_differences_and_writes_the_page(runs):
    outputs = [str(job.output) for job in runs]

    shown = command.run("report", *outputs)
    printed = command.run("report", *outputs, "--json")

    assert shown.returncode == printed.returncode == 0, shown.stderr + printed.stderr
    content = json.loads(printed.stdout)
    [dataset] = content["datasets"]
    assert f"{dataset['miou']['difference']:+.5f}" in shown.stdout
    assert (runs[1].output / "comparison.html").is_file()
    assert dataset["classes"][0]["iou"].keys() == {"first", "second", "difference", "low", "high"}


def test_other_classes_are_refused(runs, tmp_path):
    job, _ = runs
    shutil.copytree(job.output, tmp_path / "output")
    content = json.loads((tmp_path / "output/job.json").read_text())
    content["spec"]["datasets"][0]["classes"] = ["a", "b", "c", "d"]
    (tmp_path / "output/job.json").write_text(json.dumps(content))

    with pytest.raises(SpecError, match=r"has the classes ground, stripes.* and a, b, c, d in the"):
        compare(str(job.output), str(tmp_path / "output"))


def test_runs_without_an_image_in_common_are_refused(runs, tmp_path):
    job, _ = runs
    shutil.copytree(job.output, tmp_path / "output")
    for part in (tmp_path / "output").glob("masks/*/*.parquet"):
        table = pq.ParquetFile(part).read()
        keys = pa.array([f"other-{key}" for key in table["key"].to_pylist()])
        column = table.schema.get_field_index("key")
        pq.write_table(table.set_column(column, table.schema.field("key"), keys), part)

    done = command.run("report", str(job.output), str(tmp_path / "output"))

    assert done.returncode == 2
    assert "have no dataset whose images both have scored" in done.stderr
    assert "Traceback" not in done.stderr
