"""The report: what a run's tables say, as values, as JSON, as Parquet and as CSV."""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.datasets.plan import DatasetPlan
from pipeline.execution.bottleneck import bottleneck
from pipeline.execution.timings import RunTimings
from pipeline.output.output_folder import Output
from pipeline.output.output_names import confusion_file
from pipeline.scores.best_and_worst import Highlights
from pipeline.scores.merge_counts import PartFiles
from pipeline.scores.summary import SUMMARY_SCHEMA, DatasetSummary, combine, summarize_dataset
from pipeline.spec.fingerprint import Fingerprint
from pipeline.spec.job_spec import JobSpec
from pipeline.spec.share import Share
from pipeline.storage.uris import join

SUMMARY_VERSION = 2


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

    def to_json(self) -> dict[str, Any]:
        """Return the content of `summary.json`, whose fields `docs/summary.md` documents.

        It is strict JSON; undefined scores are null.

        All but `last_run` follows from the mask tables alone.
        """
        timings = self.timings.rounded()
        return {
            "summary_version": SUMMARY_VERSION,
            "job": self.job,
            "output": self.output,
            **({"share": str(self.share)} if self.share else {}),
            "complete": self.complete,
            "within_tolerance": self.within_tolerance,
            "missing_parts": list(self.missing_parts),
            "foreign_parts": list(self.foreign_parts),
            "broken_shards": list(self.broken_shards),
            "datasets": [dataset.to_json() for dataset in self.datasets],
            "combined": [summary.to_json() for summary in self.combined],
            "last_run": {
                "images": dict(timings.images),
                "wall_s": timings.wall_s,
                "images_per_s": round(timings.images_per_s, 3),
                "storage_retries": timings.storage_retries,
                "stage_s": asdict(timings.stage_s),
                "actor_s": asdict(timings.actor_s),
                "startup_s": timings.startup_s,
                "making_s": timings.making_s,
                "finishing_s": timings.finishing_s,
                "bottleneck": bottleneck(timings),
            },
        }

    def json_bytes(self) -> bytes:
        """Return `summary.json`."""
        return (json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n").encode()

    def parquet_bytes(self) -> bytes:
        """Return `summary.parquet`: a row per dataset and class."""
        rows = [row for dataset in self.datasets for row in dataset.class_rows()]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=SUMMARY_SCHEMA), buffer)
        return buffer.getvalue()


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


def write_report(
    report: RunReport, spec: JobSpec, plans: Sequence[DatasetPlan], output: Output
) -> None:
    """Write `confusion-<dataset>.csv` for each dataset, `summary.parquet`, `summary.json`.

    And `report.html`, the last: it needs the images, which may be many and far.
    """
    # Matplotlib takes half a second to import, which other commands need not spend.
    from pipeline.report_page import render_report  # noqa: PLC0415

    for dataset in report.datasets:
        if dataset.scores:
            uri = join(output.uri, confusion_file(dataset.name))
            output.storage.write(uri, dataset.confusion_csv())
    output.storage.write(join(output.uri, "summary.parquet"), report.parquet_bytes())
    output.storage.write(join(output.uri, "summary.json"), report.json_bytes())
    page = render_report(report, spec, plans, output)
    output.storage.write(join(output.uri, "report.html"), page)
