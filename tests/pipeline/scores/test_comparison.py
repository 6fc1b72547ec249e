"""The comparison of two runs: the same images, paired, whatever else differs."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import command
from compared_runs import run_twice
from pipeline.errors import SpecError
from pipeline.report.comparison_page import verdict
from pipeline.scores.comparison import compare
from refinenet_core import scores

pytestmark = pytest.mark.usefixtures("without_ray")

CLASSES = 4


@pytest.fixture(scope="module")
def runs(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """The same job at one scale and, from a copy of its images in another folder, at two."""
    return run_twice(tmp_path_factory.mktemp("compared"), checkpoint)


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
