"""The report: what a run's tables say, as values."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.datasets.plan import DatasetPlan
from pipeline.execution.timings import RunTimings
from pipeline.output.output_folder import Output
from pipeline.scores.best_and_worst import Highlights
from pipeline.scores.merge_counts import PartFiles
from pipeline.scores.summary import DatasetSummary, combine, summarize_dataset
from pipeline.spec.fingerprint import Fingerprint
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.share import Share
from pipeline.storage.uris import join


@dataclass(frozen=True)
class RunReport:
    """The result of a run, as the command line shows it and `summary.json` holds it.

    Attributes:
        job: The job's name.
        output: URI of the output folder.
        datasets: One summary per dataset, in the spec's order.
        combined: One summary of all scored datasets with the same classes, where there are several.
        timings: What this run did and took.
        missing_parts: Files of parts that are planned but not committed.
        foreign_parts: Those of them, by URI, that are there but of another job, and not counted.
        broken_shards: Shards that are lost, or that broke off: a row stands for the rest of each.
        within_tolerance: Whether no more images failed than the spec tolerates, and no shard did.
        highlights: The rows worth showing, per dataset, in the spec's order.
        share: The share that it is of, as long as others are not made; None if it is of all.
    """

    job: str
    output: str
    datasets: Sequence[DatasetSummary]
    combined: Sequence[DatasetSummary]
    timings: RunTimings
    missing_parts: Sequence[str]
    foreign_parts: Sequence[str]
    broken_shards: Sequence[str]
    within_tolerance: bool
    highlights: Sequence[Highlights] = field(repr=False)
    share: Share | None = None

    @property
    def complete(self) -> bool:
        """Whether every planned part is committed, and no shard broke off."""
        return not self.missing_parts and not self.broken_shards

    @property
    def exit_code(self) -> int:
        """0 all well, 1 more failed images than tolerated or a broken shard, 3 parts missing."""
        if self.missing_parts:
            return 3
        return 0 if self.within_tolerance else 1


def make_report(
    spec: JobSpec,
    fingerprint: Fingerprint,
    plans: Sequence[DatasetPlan],
    output: Output,
    timings: RunTimings,
) -> RunReport:
    """Fold the committed files into a report; a part counts if a fresh listing shows its file.

    A file with another job's fingerprint, left by a run that was overtaken, is named and counts
    as missing. Nothing is deleted.

    Raises:
        OutputError: A part file is damaged.
        StorageError: One cannot be read.
    """
    datasets, missing, highlights = [], [], []
    foreign: list[str] = []
    broken: list[str] = []
    for dataset, plan in zip(spec.datasets, plans, strict=True):
        committed, labels = output.committed(plan), dataset.label_set()
        folder = output.masks_uri(dataset.name)
        files = PartFiles(folder, committed.files, output.storage, fingerprint, len(labels.classes))
        fold = files.fold()
        lacking = [*committed.missing_files(), *fold.foreign]
        missing += lacking
        foreign += [join(folder, name) for name in fold.foreign]
        broken += committed.broken_shards
        highlights.append(fold.highlights)
        datasets.append(
            summarize_dataset(
                dataset.name,
                labels,
                fold.counts,
                spec.metrics,
                planned=plan.num_images,
                complete=not lacking and not committed.broken_shards,
            )
        )
    failed = sum(dataset.failed for dataset in datasets)
    images = sum(dataset.planned or dataset.counts.images for dataset in datasets)
    return RunReport(
        job=spec.name,
        output=spec.output,
        datasets=datasets,
        combined=combine(datasets, spec.metrics),
        timings=timings,
        missing_parts=missing,
        foreign_parts=foreign,
        broken_shards=broken,
        # One row may stand for a million images: no tolerance covers it.
        within_tolerance=not broken and spec.tolerance.allows(failed, images),
        highlights=highlights,
    )
