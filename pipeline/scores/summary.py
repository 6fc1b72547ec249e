"""The summary: what a data set's mask tables say, as values and as rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.scores.bootstrap import Interval
from pipeline.scores.dataset_counts import DatasetCounts
from pipeline.spec.job_spec import MetricsSpec
from refinenet_core import LabelSet, RuleScore, Scores, scores
from refinenet_core.metrics.categories import categories_of, merge_classes
from refinenet_core.metrics.scores import Floats, mean_iou

_BINS = 20  # of the histogram, from 0 to 1


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset's result, or that of several with the same classes.

    Attributes:
        name: The dataset's name; the names of several, joined by " + ".
        datasets: The datasets whose rows are in it.
        labels: Its classes.
        planned: Images in the plan; where only reading the shards tells, None until all are read.
        complete: Whether every planned part is committed, and no shard broke off.
        counts: What its rows add up to.
        metrics: What is scored, and how.
        scores: Scores under the rule asked for; None if no image has a target.
    """

    name: str
    datasets: tuple[str, ...]
    labels: LabelSet
    planned: int | None
    complete: bool
    counts: DatasetCounts
    metrics: MetricsSpec
    scores: Scores | None

    @property
    def ok(self) -> int:
        """Images without a fault."""
        return self.counts.statuses["ok"]

    @property
    def failed(self) -> int:
        """Images committed with any status but `ok`."""
        return self.counts.images - self.ok

    @cached_property
    def interval(self) -> Interval | None:
        """Confidence interval of the mIoU over images; None where there is none."""
        if self.scores is None:
            return None
        asked = self.metrics
        return self.counts.groups.interval(asked.rule, resamples=asked.resamples, seed=asked.seed)

    @property
    def boundary_iou(self) -> Floats | None:
        """Boundary IoU per class, shape (C,); None if it was not asked for."""
        return self.counts.boundary.iou if self.counts.boundary_images else None

    @property
    def mean_boundary_iou(self) -> float:
        """Mean of `boundary_iou` over the classes that have a boundary; NaN without any."""
        return float(mean_iou(self.counts.boundary, "union_present"))

    @cached_property
    def categories(self) -> tuple[tuple[str, ...], Scores] | None:
        """Names and scores of the classes' categories; None where there are none."""
        groups = categories_of(self.labels.classes)
        if not groups or self.scores is None:
            return None
        return tuple(groups), scores(merge_classes(self.counts.confusion, groups))

    def absent(self, score: RuleScore) -> list[str]:
        """Return the names of the classes that are absent by a rule."""
        return [self.labels.classes[class_id] for class_id in score.absent]

    def class_rows(self) -> list[dict[str, Any]]:
        """Return a row per class, as `summary.parquet` has them; undefined scores are None."""
        masks, boundary = self.counts.class_pixels, self.boundary_iou
        mask_total = int(masks.sum())
        return [
            {
                "dataset": self.name,
                "class": index,
                "class_name": name,
                **_class_scores(self.scores, index),
                "boundary_iou": None if boundary is None else defined(boundary[index]),
                "mask_pixels": int(masks[index]),
                "mask_share": int(masks[index]) / mask_total if mask_total else None,
            }
            for index, name in enumerate(self.labels.classes)
        ]

    def category_rows(self) -> list[dict[str, Any]]:
        """Return a row per category, with its `name` and scores; none where there are none."""
        if self.categories is None:
            return []
        names, found = self.categories
        return [{"name": name, **_class_scores(found, index)} for index, name in enumerate(names)]

    def miou_histogram(self) -> tuple[list[float], list[int]]:
        """Return a histogram of the images' own mIoU from 0 to 1: edges, and images between."""
        mious = self.counts.image_mious
        edges = np.linspace(0, 1, _BINS + 1)
        images, _ = np.histogram(mious[~np.isnan(mious)], edges)
        return [round(edge, 2) for edge in edges.tolist()], images.tolist()


def summarize_dataset(
    name: str,
    labels: LabelSet,
    counts: DatasetCounts,
    metrics: MetricsSpec,
    *,
    planned: int | None,
    complete: bool,
) -> DatasetSummary:
    """Return the summary of what a dataset's committed rows add up to.

    Args:
        name: The dataset's name.
        labels: Its classes.
        counts: The sum of its committed parts.
        metrics: What to score, and how.
        planned: Images in its plan, if that tells.
        complete: Whether every planned image is a row in the tables.
    """
    if planned is None and complete:
        planned = counts.images
    return DatasetSummary(
        name=name,
        datasets=(name,),
        labels=labels,
        planned=planned,
        complete=complete,
        counts=counts,
        metrics=metrics,
        scores=_scores(counts, metrics),
    )


def combine(summaries: Sequence[DatasetSummary], metrics: MetricsSpec) -> list[DatasetSummary]:
    """Return the summary of all scored datasets with the same classes, for each such two or more.

    Classes are the same if their names are, in the same order; colours and `ignore_index`, which
    is in no count, may differ.
    """
    groups: dict[tuple[str, ...], list[DatasetSummary]] = {}
    for summary in summaries:
        if summary.scores is None:
            continue
        groups.setdefault(summary.labels.classes, []).append(summary)
    return [_combined(group, metrics) for group in groups.values() if len(group) > 1]


def _combined(group: Sequence[DatasetSummary], metrics: MetricsSpec) -> DatasetSummary:
    counts = DatasetCounts(len(group[0].labels.classes))
    for summary in group:
        counts += summary.counts
    planned = [summary.planned for summary in group if summary.planned is not None]
    names = tuple(summary.name for summary in group)
    return DatasetSummary(
        name=" + ".join(names),
        datasets=names,
        labels=group[0].labels,
        planned=sum(planned) if len(planned) == len(group) else None,
        complete=all(summary.complete for summary in group),
        counts=counts,
        metrics=metrics,
        scores=_scores(counts, metrics),
    )


def _scores(counts: DatasetCounts, metrics: MetricsSpec) -> Scores | None:
    if not counts.scored_images:
        return None
    return scores(counts.confusion, metrics.rule, image_mious=counts.image_mious)


def _class_scores(found: Scores | None, index: int) -> dict[str, Any]:
    """Return a class's scores and the pixels that they follow from, None without targets."""
    if found is None:
        fields = ("iou", "accuracy", "precision", "f1", "target_pixels", "predicted_pixels")
        return dict.fromkeys(fields)
    return {
        "iou": defined(found.iou[index]),
        "accuracy": defined(found.class_accuracy[index]),
        "precision": defined(found.precision[index]),
        "f1": defined(found.f1[index]),
        "target_pixels": int(found.classes.target_pixels[index]),
        "predicted_pixels": int(found.classes.predicted_pixels[index]),
    }


def defined(value: float) -> float | None:
    """Return a score, None where it is undefined."""
    return None if math.isnan(value) else float(value)
