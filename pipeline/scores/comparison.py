"""The comparison of two runs of the same data: which scores differ, how surely, and where."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pipeline.datasets.plan import DatasetPlan
from pipeline.errors import OutputError, SpecError
from pipeline.scores.best_and_worst import SHOWN, RowPlace
from pipeline.scores.bootstrap import PairedIntervals
from pipeline.scores.load_run import PastRun
from pipeline.scores.paired_rows import Rows, ScoredRows, pair_rows
from pipeline.scores.summary import DatasetSummary, summarize_dataset
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.spec.fingerprint import differences
from pipeline.storage.uris import join, shown
from refinenet_core.metrics.scores import Floats

_LEAST_CHANGE: Final = 1e-9  # of an image's mIoU, to be shown


@dataclass(frozen=True)
class ChangedImage:
    """An image that the two runs score differently.

    Attributes:
        first: Its row in the first run.
        second: Its row in the second.
        before: Its own mIoU in the first.
        after: Its own mIoU in the second.
    """

    first: RowPlace
    second: RowPlace
    before: float
    after: float


@dataclass(frozen=True)
class ComparedDataset:
    """A dataset in two runs.

    Attributes:
        first_spec: The dataset in the first run.
        second_spec: The dataset in the second.
        first: What the images that both have scored add up to in the first.
        second: And in the second.
        intervals: How surely they differ.
        only_first: Scored images that the second run has not, or has not scored.
        only_second: And the other way round.
        foreign_parts: URIs of part files, of either run, that are of another job, and left out.
        better: Images that score more in the second run, the most changed first.
        worse: Images that score less, likewise.
        num_better: How many score more.
        num_worse: How many score less.
    """

    first_spec: DatasetSpec
    second_spec: DatasetSpec
    first: DatasetSummary
    second: DatasetSummary
    intervals: PairedIntervals
    only_first: int
    only_second: int
    foreign_parts: Sequence[str]
    better: Sequence[ChangedImage]
    worse: Sequence[ChangedImage]
    num_better: int
    num_worse: int

    @property
    def name(self) -> str:
        """The dataset's name in the second run."""
        return self.second_spec.name

    @property
    def iou_difference(self) -> Floats:
        """The second run's IoU less the first's, shape (C,); NaN where one is undefined."""
        assert self.first.scores is not None  # noqa: S101 - there are paired images
        assert self.second.scores is not None  # noqa: S101 - likewise
        return self.second.scores.iou - self.first.scores.iou

    @property
    def miou_difference(self) -> float:
        """The second run's mIoU less the first's; NaN where one is undefined."""
        assert self.first.scores is not None  # noqa: S101 - as above
        assert self.second.scores is not None  # noqa: S101 - as above
        return self.second.scores.miou - self.first.scores.miou

    def to_json(self) -> dict[str, Any]:
        """Return what `report A B --json` prints of it; undefined scores are None."""
        return {
            "name": self.name,
            "paired_images": self.second.counts.images,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "foreign_parts": list(self.foreign_parts),
            "rule": self.second.metrics.rule,
            "miou": _difference(
                self.first.scores.miou if self.first.scores else math.nan,
                self.second.scores.miou if self.second.scores else math.nan,
                self.intervals.miou_low,
                self.intervals.miou_high,
            ),
            "classes": self.class_rows(),
            "images_better": self.num_better,
            "images_worse": self.num_worse,
        }

    def class_rows(self) -> list[dict[str, Any]]:
        """Return a row per class: its IoU in both runs, the difference and its interval."""
        names = self.second.labels.classes
        first, second = (summary.counts.confusion for summary in (self.first, self.second))
        assert first.shape == second.shape  # noqa: S101 - the classes are the same
        before = self.first.scores.iou if self.first.scores else np.full(len(names), np.nan)
        after = self.second.scores.iou if self.second.scores else np.full(len(names), np.nan)
        ends = zip(self.intervals.iou_low, self.intervals.iou_high, strict=True)
        return [
            {"class": k, "class_name": name, "iou": _difference(before[k], after[k], low, high)}
            for k, (name, (low, high)) in enumerate(zip(names, ends, strict=True))
        ]


@dataclass(frozen=True)
class Comparison:
    """Two runs beside each other.

    Attributes:
        first: The first, which the second is measured against.
        second: The second.
        datasets: The datasets that both have.
        unpaired: Names of datasets that only one has, or without images that both have scored.
        differences: What differs in what decides the results, `field: first, second`.
    """

    first: PastRun
    second: PastRun
    datasets: Sequence[ComparedDataset]
    unpaired: Sequence[str]
    differences: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Return what `report A B --json` prints."""
        return {
            "first": {"job": self.first.spec.name, "output": self.first.output.uri},
            "second": {"job": self.second.spec.name, "output": self.second.output.uri},
            "datasets": [dataset.to_json() for dataset in self.datasets],
            "unpaired": list(self.unpaired),
            "differences": list(self.differences),
        }


def compare(first: str, second: str) -> Comparison:
    """Compare the scores of two runs, over the images that both have scored.

    Images are the same if their bytes and keys are, wherever they lie. Datasets go together by
    name; where each run has but one, these two.

    Args:
        first: The output folder of the first run, a path or URL.
        second: And of the second, whose `metrics` decide how both are scored.

    Raises:
        SpecError: No dataset of both has the same classes and images that both have scored.
        OutputError: A folder is no output of ours, or is damaged.
        StorageError: It cannot be read.
    """
    before, after = PastRun.read(first), PastRun.read(second)
    pairs = _dataset_pairs(before, after)
    compared = [_compare_dataset(before, after, *places) for places in pairs]
    datasets = [each for each in compared if each is not None]
    if not datasets:
        raise SpecError(
            "report", (f"{first} and {second} have no dataset whose images both have scored",)
        )
    together = {name for each in datasets for name in (each.first_spec.name, each.name)}
    everything = [*before.spec.datasets, *after.spec.datasets]
    return Comparison(
        before,
        after,
        datasets,
        sorted({dataset.name for dataset in everything} - together),
        differences(before.fingerprint, after.fingerprint),
    )


def _dataset_pairs(first: PastRun, second: PastRun) -> list[tuple[int, int]]:
    """Return the places of datasets that go together."""
    if len(first.spec.datasets) == len(second.spec.datasets) == 1:
        return [(0, 0)]
    places = {dataset.name: place for place, dataset in enumerate(first.spec.datasets)}
    return [
        (places[dataset.name], place)
        for place, dataset in enumerate(second.spec.datasets)
        if dataset.name in places
    ]


def _compare_dataset(
    first: PastRun, second: PastRun, first_place: int, second_place: int
) -> ComparedDataset | None:
    """Compare one dataset; None if no image is scored in both."""
    runs = (first, second)
    specs = first.spec.datasets[first_place], second.spec.datasets[second_place]
    labels = [spec.label_set() for spec in specs]
    _check_classes(specs[1].name, labels[0].classes, labels[1].classes)
    num_classes = len(labels[0].classes)
    plans = first.plans[first_place], second.plans[second_place]
    before, after = (
        _scored_rows(run, plan, num_classes) for run, plan in zip(runs, plans, strict=True)
    )
    rows = pair_rows(before, after)
    foreign = [join(each.folder, name) for each in (before, after) for name in each.foreign]
    if not rows[0].size:
        if foreign:
            raise OutputError(
                shown(foreign[0]),
                "is a part of another job and is not compared; run its job again",
            )
        return None
    counts = [
        each.count(chosen, run.output.storage, num_classes)
        for each, chosen, run in zip((before, after), rows, runs, strict=True)
    ]
    metrics = second.spec.metrics
    summaries = [
        summarize_dataset(spec.name, names, found, metrics, planned=None, complete=True)
        for spec, names, found in zip(specs, labels, counts, strict=True)
    ]
    changes = after.mious[rows[1]] - before.mious[rows[0]]
    return ComparedDataset(
        first_spec=specs[0],
        second_spec=specs[1],
        first=summaries[0],
        second=summaries[1],
        intervals=counts[0].groups.paired(
            counts[1].groups, metrics.rule, resamples=metrics.resamples, seed=metrics.seed
        ),
        only_first=len(before.mious) - rows[0].size,
        only_second=len(after.mious) - rows[1].size,
        foreign_parts=foreign,
        better=_most_changed(before, after, rows, changes),
        worse=_most_changed(before, after, rows, -changes),
        num_better=int((changes > _LEAST_CHANGE).sum()),
        num_worse=int((changes < -_LEAST_CHANGE).sum()),
    )


def _check_classes(dataset: str, first: Sequence[str], second: Sequence[str]) -> None:
    if first != second:
        problem = (
            f"dataset {dataset!r} has the classes {', '.join(first)} in the first run and "
            f"{', '.join(second)} in the second; compare runs with the same classes"
        )
        raise SpecError("report", (problem,))


def _most_changed(
    before: ScoredRows, after: ScoredRows, rows: tuple[Rows, Rows], gains: Floats
) -> list[ChangedImage]:
    """Return the images of the largest gains, shape (N,), the largest first."""
    order = np.argsort(-gains, kind="stable")[:SHOWN]  # NaN comes last
    return [
        ChangedImage(
            before.place(int(rows[0][k])),
            after.place(int(rows[1][k])),
            float(before.mious[rows[0][k]]),
            float(after.mious[rows[1][k]]),
        )
        for k in order
        if gains[k] > _LEAST_CHANGE
    ]


def _scored_rows(run: PastRun, plan: DatasetPlan, num_classes: int) -> ScoredRows:
    files = run.output.committed(plan).files
    return ScoredRows.read(run.output, plan.dataset, files, num_classes, run.fingerprint)


def _difference(before: float, after: float, low: float, high: float) -> dict[str, Any]:
    """Return two scores, their difference and its interval, None where undefined."""
    values = {"first": before, "second": after, "difference": after - before}
    values |= {"low": low, "high": high}
    return {name: None if math.isnan(value) else float(value) for name, value in values.items()}
