"""The page of a comparison: whole by itself, and its sentences."""

import math
from dataclasses import replace

import pytest

from compared_runs import run_twice
from pipeline.report.comparison_page import render_comparison, verdict, write_comparison
from pipeline.scores.comparison import compare
from report_pages import check_in_every_setting, figures, opened


@pytest.fixture(scope="module")
def runs(without_ray, tmp_path_factory, checkpoint):  # noqa: ARG001 - runs need it
    """The same job at one scale and, from a copy of its images in another folder, at two."""
    return run_twice(tmp_path_factory.mktemp("compared"), checkpoint)


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


@pytest.fixture(scope="module")
def comparison(runs):
    return compare(*(str(job.output) for job in runs))


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.2, 0.3, "No difference that these images could tell: "),
        (math.nan, math.nan, "; there are too few images for an interval."),
    ],
)
def test_what_the_images_cannot_tell_is_said(comparison, low, high, words):
    [compared] = comparison.datasets
    intervals = replace(compared.intervals, miou_low=low, miou_high=high)

    assert words in verdict(replace(compared, intervals=intervals))


def test_a_sure_difference_is_told_by_its_sign_and_points(comparison):
    [compared] = comparison.datasets
    sure = replace(compared.intervals, miou_low=0.01, miou_high=0.02)
    forth = replace(compared, intervals=sure)
    back = replace(forth, first=compared.second, second=compared.first)

    points = f"by {abs(compared.miou_difference) * 100:.2f} percentage points of mIoU."
    words = {verdict(forth), verdict(back)}
    assert words == {f"The second run is {word} {points}" for word in ("better", "worse")}


def test_part_files_of_another_job_are_named(comparison):
    [compared] = comparison.datasets
    strange = replace(compared, foreign_parts=["file:///there/x.parquet", "file:///y.parquet"])

    words = verdict(strange)

    assert words.endswith(" Not compared: 2 part files of another job, the first /there/x.parquet.")


def test_of_many_datasets_the_first_are_shown_and_the_others_named(comparison):
    [compared] = comparison.datasets
    named = [
        replace(compared, second_spec=compared.second_spec, better=(), worse=()) for _ in range(25)
    ]
    last = compared.second_spec.model_copy(update={"name": "the-last-one"})
    many = replace(comparison, datasets=[*named[:24], replace(named[24], second_spec=last)])

    page = render_comparison(many).decode()

    assert page.count("<section data-dataset=") == 24
    assert "the-last-one" in page
