"""The summary: what a data set's mask tables say, as values and as rows."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.scores.bootstrap import Interval
from pipeline.scores.dataset_counts import DatasetCounts
from pipeline.spec.job_spec import MetricsSpec
from refinenet_core import LabelSet, RuleScore, Scores, scores
from refinenet_core.metrics.categories import categories_of, merge_classes
from refinenet_core.metrics.scores import Floats, mean_iou

SUMMARY_SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("class", pa.int32()),
        ("class_name", pa.string()),
        ("iou", pa.float64()),
        ("accuracy", pa.float64()),
        ("precision", pa.float64()),
        ("f1", pa.float64()),
        ("boundary_iou", pa.float64()),
        ("target_pixels", pa.int64()),
        ("predicted_pixels", pa.int64()),
        ("mask_pixels", pa.int64()),
        ("mask_share", pa.float64()),
    ]
)

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
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
        """Return a row per class, fields as in `SUMMARY_SCHEMA`; undefined scores are None."""
        masks, boundary = self.counts.class_pixels, self.boundary_iou
        mask_total = int(masks.sum())
        return [
            {
                "dataset": self.name,
                "class": index,
                "class_name": name,
                **_class_scores(self.scores, index),
                "boundary_iou": None if boundary is None else _defined(boundary[index]),
                "mask_pixels": int(masks[index]),
                "mask_share": int(masks[index]) / mask_total if mask_total else None,
            }
            for index, name in enumerate(self.labels.classes)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the entry in `summary.json`, whose fields `docs/summary.md` documents."""
        found = self.scores
        return {
            "name": self.name,
            "datasets": list(self.datasets),
            "complete": self.complete,
            "images": {
                "planned": self.planned,
                "committed": self.counts.images,
                "ok": self.ok,
                "failed": self.failed,
                "scored": self.counts.scored_images,
            },
            "statuses": dict(sorted(self.counts.statuses.items())),
            "flags": dict(sorted(self.counts.flags.items())),
            "rule": found.rule if found else None,
            "miou": _defined(found.miou) if found else None,
            "miou_interval": vars(self.interval) if self.interval else None,
            "rules": {rule: self._rule(score) for rule, score in found.rules.items()}
            if found
            else None,
            "pixel_accuracy": _defined(found.pixel_accuracy) if found else None,
            "mean_accuracy": _defined(found.mean_accuracy) if found else None,
            "frequency_weighted_iou": _defined(found.frequency_weighted_iou) if found else None,
            "mean_boundary_iou": _defined(self.mean_boundary_iou),
            "image_miou": _distribution(self.counts.image_mious) if found else None,
            "mean_confidence": _defined(self.counts.mean_confidence),
            "ignore_index": self.labels.ignore_index if len(self.datasets) == 1 else None,
            "ignored_pixels": self.counts.ignored_pixels,
            "classes": [
                {name: value for name, value in row.items() if name != "dataset"}
                for row in self.class_rows()
            ],
            "categories": self._categories(),
            "confusion": self.counts.confusion.tolist() if found else None,
        }

    def confusion_csv(self) -> bytes:
        """Return the confusion matrix as CSV: a row per target class, a column per prediction."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["target", *self.labels.classes, "outside"])
        rows = zip(self.labels.classes, self.counts.confusion.tolist(), strict=True)
        writer.writerows([name, *pixels] for name, pixels in rows)
        return text.getvalue().encode()

    def _rule(self, score: RuleScore) -> dict[str, Any]:
        return {
            "miou": _defined(score.miou),
            "averaged": score.num_averaged,
            "absent": self.absent(score),
        }

    def _categories(self) -> dict[str, Any] | None:
        if self.categories is None:
            return None
        names, found = self.categories
        return {
            "miou": _defined(found.miou),
            "classes": [
                {"name": name, **_class_scores(found, index)} for index, name in enumerate(names)
            ],
        }


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
        "iou": _defined(found.iou[index]),
        "accuracy": _defined(found.class_accuracy[index]),
        "precision": _defined(found.precision[index]),
        "f1": _defined(found.f1[index]),
        "target_pixels": int(found.classes.target_pixels[index]),
        "predicted_pixels": int(found.classes.predicted_pixels[index]),
    }


def _distribution(mious: Floats) -> dict[str, Any]:
    """Return quantiles and histogram of the images' own mIoU, which is ascending."""
    defined = mious[~np.isnan(mious)]
    edges = np.linspace(0, 1, _BINS + 1)
    quantiles = np.quantile(defined, _QUANTILES).tolist() if defined.size else []
    return {
        "images": int(defined.size),
        "undefined": int(mious.size - defined.size),
        "quantiles": dict(zip(map(str, _QUANTILES), quantiles, strict=False)),
        "histogram": {
            "edges": [round(edge, 2) for edge in edges.tolist()],
            "images": np.histogram(defined, edges)[0].tolist(),
        },
    }


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
