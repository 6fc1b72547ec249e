"""The page of a comparison: which scores differ, how surely, and at which images one sees it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from markupsafe import Markup

from pipeline.report.charts import difference_bars
from pipeline.report.gallery import Gallery, PictureGroup
from pipeline.report.render_page import render_page
from pipeline.report.report_page import LegendClass, cut_to_size, make_legend
from pipeline.scores.best_and_worst import Highlight
from pipeline.scores.comparison import ChangedImage, ComparedDataset, Comparison
from pipeline.scores.load_run import PastRun
from pipeline.storage.uris import absolute_uri, join, shown

_SECTIONS: Final = 24  # of datasets
_PICTURES: Final = 24  # of a kind, over all datasets
_PICTURE_BYTES: Final = 12_000_000


@dataclass(frozen=True)
class ComparisonSection:
    """What the page shows of a dataset.

    Attributes:
        compared: Its scores in both runs.
        verdict: What they say, in a sentence.
        bars: The differences of its classes.
        classes: The rows of the table of classes.
        legend: The classes with their colours.
        groups: The images that changed most.
    """

    compared: ComparedDataset
    verdict: str
    bars: Markup
    classes: Sequence[dict[str, Any]]
    legend: Sequence[LegendClass]
    groups: Sequence[PictureGroup]


def write_comparison(comparison: Comparison, to: str | None = None) -> str:
    """Write the page of a comparison; return its URI.

    Args:
        comparison: The comparison.
        to: Where, a path or URL; by default `comparison.html` in the second run's output folder.

    Raises:
        OutputError: A part file is damaged.
        StorageError: A part file cannot be read, or the page not be written.
    """
    output = comparison.second.output
    uri = join(output.uri, "comparison.html") if to is None else absolute_uri(to)
    output.storage.write(uri, render_comparison(comparison))
    return uri


def render_comparison(comparison: Comparison) -> bytes:
    """Return the page of a comparison, one file that needs no other.

    Raises:
        OutputError: A part file is damaged.
        StorageError: A part file cannot be read.
    """
    chosen = comparison.datasets[:_SECTIONS]
    content = {
        "comparison": comparison,
        "sections": [_section(comparison, dataset, len(chosen)) for dataset in chosen],
        "unshown": [dataset.name for dataset in comparison.datasets[_SECTIONS:]],
    }
    return render_page("comparison.html.j2", content)


def verdict(compared: ComparedDataset) -> str:
    """Say whether the second run scores more, how sure that is, and what was not compared."""
    foreign = compared.foreign_parts
    left_out = (
        f" Not compared: {len(foreign)} part files of another job, the first {shown(foreign[0])}."
        if foreign
        else ""
    )
    return _verdict(compared) + left_out


def _verdict(compared: ComparedDataset) -> str:
    difference, intervals = compared.miou_difference, compared.intervals
    if math.isnan(difference):
        return "The mIoU of one of the runs is undefined by the rule."
    points = f"{abs(difference) * 100:.2f} percentage points of mIoU"
    if math.isnan(intervals.miou_low):
        return f"The second run differs by {points}; there are too few images for an interval."
    if intervals.miou_low <= 0 <= intervals.miou_high:
        return (
            f"No difference that these images could tell: {points}, and 0 is within the interval."
        )
    return f"The second run is {'better' if difference > 0 else 'worse'} by {points}."


def _section(comparison: Comparison, compared: ComparedDataset, number: int) -> ComparisonSection:
    most = max(1, _PICTURES // number)
    first = _gallery(comparison.first, compared.first_spec.name)
    second = _gallery(comparison.second, compared.second_spec.name)
    groups = [
        _group("Better", "the largest gains first", compared.better[:most], first, second),
        _group("Worse", "the largest losses first", compared.worse[:most], first, second),
    ]
    kept = cut_to_size(groups, _PICTURE_BYTES // number)
    labels = compared.second.labels
    return ComparisonSection(
        compared=compared,
        verdict=verdict(compared),
        bars=difference_bars(
            labels.classes,
            compared.iou_difference,
            compared.intervals.iou_low,
            compared.intervals.iou_high,
        ),
        classes=compared.class_rows(),
        legend=make_legend(labels),
        groups=[group for group in kept if group.pictures],
    )


def _group(
    title: str, order: str, images: Sequence[ChangedImage], first: Gallery, second: Gallery
) -> PictureGroup:
    label_maps = first.label_maps(image.first for image in images)
    pictures = second.pictures(
        [Highlight(image.second, image.after, math.nan) for image in images],
        {image.second: label_maps[image.first] for image in images if image.first in label_maps},
    )
    return PictureGroup(
        title,
        order,
        [
            replace(pictures[image.second], before=image.before)
            for image in images
            if image.second in pictures
        ],
    )


def _gallery(run: PastRun, dataset: str) -> Gallery:
    [place] = [k for k, spec in enumerate(run.spec.datasets) if spec.name == dataset]
    return Gallery(run.output, run.spec.datasets[place], run.plans[place])
