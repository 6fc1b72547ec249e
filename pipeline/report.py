"""The report: what a run's tables say, as values, as JSON and as Parquet."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.output import Output
from pipeline.plan import DatasetPlan
from pipeline.spec import JobSpec
from pipeline.summary import (
    SUMMARY_COLUMNS,
    SUMMARY_SCHEMA,
    DatasetSummary,
    summarize_dataset,
)
from pipeline.timings import RunTimings
from pipeline.uris import join

SUMMARY_VERSION = 1


@dataclass(frozen=True)
class RunReport:
    """The result of a run, as the command line shows it and `summary.json` holds it.

    Attributes:
        job: The job's name.
        output: URI of the output folder.
        datasets: One summary per dataset, in the spec's order.
        timings: What this run did and took.
        missing_parts: Files of parts that are planned but not committed.
        within_tolerance: Whether no more images failed than the spec tolerates.
    """

    job: str
    output: str
    datasets: Sequence[DatasetSummary]
    timings: RunTimings
    missing_parts: Sequence[str]
    within_tolerance: bool

    @property
    def complete(self) -> bool:
        """Whether every planned part is committed."""
        return not self.missing_parts

    @property
    def exit_code(self) -> int:
        """0 all well, 1 more failed images than tolerated, 3 parts missing."""
        if not self.complete:
            return 3
        return 0 if self.within_tolerance else 1

    def to_json(self) -> dict[str, Any]:
        """Return the content of `summary.json`; strict JSON, undefined scores are null.

        All but `last_run` follows from the mask tables alone.
        """
        return {
            "summary_version": SUMMARY_VERSION,
            "job": self.job,
            "output": self.output,
            "complete": self.complete,
            "within_tolerance": self.within_tolerance,
            "missing_parts": list(self.missing_parts),
            "datasets": [dataset.to_json() for dataset in self.datasets],
            "last_run": {
                "images": dict(self.timings.images),
                "wall_s": round(self.timings.wall_s, 3),
                "images_per_s": round(self.timings.images_per_s, 3),
                "stage_s": {k: round(v, 3) for k, v in asdict(self.timings.stage_s).items()},
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
    spec: JobSpec, plans: Sequence[DatasetPlan], output: Output, timings: RunTimings
) -> RunReport:
    """Fold the committed files into a report; a part counts if a fresh listing shows its file."""
    datasets, missing = [], []
    for dataset, plan in zip(spec.datasets, plans, strict=True):
        committed = output.committed(plan)
        lacking = committed.missing_files()
        missing += lacking
        datasets.append(
            summarize_dataset(
                dataset.name,
                dataset.label_set(),
                _read_parts(output, dataset.name, committed.files),
                planned=plan.num_images,
                complete=not lacking,
            )
        )
    failed = sum(dataset.failed for dataset in datasets)
    images = sum(dataset.planned or dataset.counts.images for dataset in datasets)
    return RunReport(
        job=spec.name,
        output=spec.output,
        datasets=datasets,
        timings=timings,
        missing_parts=missing,
        within_tolerance=spec.tolerance.allows(failed, images),
    )


def write_report(report: RunReport, output: Output) -> None:
    """Write `summary.parquet` and `summary.json`."""
    output.storage.write(join(output.uri, "summary.parquet"), report.parquet_bytes())
    output.storage.write(join(output.uri, "summary.json"), report.json_bytes())


def _read_parts(output: Output, dataset: str, names: Sequence[str]) -> Iterator[pa.Table]:
    for name in names:
        with output.storage.open(join(output.masks_uri(dataset), name)) as file:
            yield pq.ParquetFile(file).read(columns=list(SUMMARY_COLUMNS))
