"""One run of a job, from its spec to its report."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.execution import execute
from pipeline.job import prepare_job
from pipeline.output import Output
from pipeline.plan import DatasetPlan, plan_images
from pipeline.receipt import Receipt, StageSeconds
from pipeline.sources import folder
from pipeline.spec import DatasetSpec, JobSpec
from pipeline.storage import Storage, join
from pipeline.summary import (
    SUMMARY_COLUMNS,
    RunReport,
    RunTimings,
    summarize_dataset,
)


@dataclass(frozen=True)
class DatasetProgress:
    """How far a dataset is before a run: what is planned, and what is committed already."""

    name: str
    images: int
    parts: int
    committed_images: int
    committed_parts: int


class Observer(Protocol):
    """What a run tells while it goes on."""

    def planned(self, datasets: Sequence[DatasetProgress]) -> None:
        """Take note of the plan; called once, before any actor starts."""

    def committed(self, receipt: Receipt) -> None:
        """Take note of a part that was committed in this run."""


class Silent:
    """An observer that says nothing."""

    def planned(self, datasets: Sequence[DatasetProgress]) -> None:
        """Ignore the plan."""

    def committed(self, receipt: Receipt) -> None:
        """Ignore the part."""


def run(spec: JobSpec, observer: Observer | None = None) -> RunReport:
    """Run a job; if its output is there in part, do what is missing.

    Args:
        spec: The job.
        observer: Is told of the plan and of each part committed.

    Returns:
        The report, which is also in the output folder as `summary.json` and `summary.parquet`.

    Raises:
        PipelineError: The spec, a dataset, the storage or the output is wrong.
        CheckpointError: The checkpoint does not fit the model.
    """
    observer = observer or Silent()
    storage = Storage(spec.storage_options)
    output = Output(spec.output, storage)
    job = prepare_job(spec, storage)
    output.check(job)
    plans = [_read_or_list(dataset, spec, output) for dataset in spec.datasets]
    output.claim(job)
    plans = [output.freeze(plan) for plan in plans]
    observer.planned([_progress(plan, output) for plan in plans])
    shards = output.missing(plans)
    timings = RunTimings(0, 0.0, StageSeconds())
    if shards:
        timings = _timed(execute(job, output, storage, shards), observer)
    report = summarize(spec, plans, output, timings)
    write_summary(report, output)
    return report


def plan(spec: JobSpec) -> list[DatasetProgress]:
    """Say what a run would do, and write nothing.

    Raises:
        PipelineError: The spec, a dataset, the storage or the output is wrong.
        CheckpointError: The checkpoint does not fit the model.
    """
    storage = Storage(spec.storage_options)
    output = Output(spec.output, storage)
    output.check(prepare_job(spec, storage))
    return [_progress(_read_or_list(dataset, spec, output), output) for dataset in spec.datasets]


def summarize(
    spec: JobSpec, plans: Sequence[DatasetPlan], output: Output, timings: RunTimings
) -> RunReport:
    """Fold the committed files into a report; a part counts if a fresh listing shows its file."""
    datasets = []
    for dataset, dataset_plan in zip(spec.datasets, plans, strict=True):
        committed = sorted(output.committed(dataset_plan))
        datasets.append(
            summarize_dataset(
                dataset.name,
                dataset.label_set(),
                dataset_plan.num_images,
                _read_parts(output, dataset.name, committed),
            )
        )
    missing = [part.file_name for shard in output.missing(plans) for part in shard.parts]
    failed = sum(dataset.failed for dataset in datasets)
    images = sum(dataset.planned for dataset in datasets)
    return RunReport(
        job=spec.name,
        output=spec.output,
        datasets=datasets,
        timings=timings,
        missing_parts=missing,
        within_tolerance=spec.tolerance.allows(failed, images),
    )


def write_summary(report: RunReport, output: Output) -> None:
    """Write `summary.json` and `summary.parquet`."""
    output.storage.write(join(output.uri, "summary.parquet"), report.parquet_bytes())
    output.storage.write(join(output.uri, "summary.json"), report.json_bytes())
    output.storage.sweep_temporaries(output.uri)


def _read_or_list(dataset: DatasetSpec, spec: JobSpec, output: Output) -> DatasetPlan:
    """Return the frozen plan; if there is none yet, list the dataset."""
    frozen = output.read_plan(dataset.name)
    if frozen is not None:
        return frozen
    images = folder.list_images(dataset, output.storage)[: spec.limit_images]
    return plan_images(
        dataset.name,
        folder.folder_uri(dataset),
        images,
        part_images=spec.part_images,
        part_bytes=int(spec.part_bytes),
    )


def _progress(dataset_plan: DatasetPlan, output: Output) -> DatasetProgress:
    parts = [part for shard in dataset_plan.shards() for part in shard.parts]
    names = output.committed(dataset_plan)
    committed = [part for part in parts if part.file_name in names]
    return DatasetProgress(
        name=dataset_plan.dataset,
        images=dataset_plan.num_images,
        parts=len(parts),
        committed_images=sum(part.images for part in committed),
        committed_parts=len(committed),
    )


def _timed(receipts: Iterator[Receipt], observer: Observer) -> RunTimings:
    start = time.perf_counter()
    images, stage_s = 0, StageSeconds()
    for receipt in receipts:
        images += receipt.part.images
        stage_s += receipt.seconds
        observer.committed(receipt)
    return RunTimings(images, time.perf_counter() - start, stage_s)


def _read_parts(output: Output, dataset: str, names: Sequence[str]) -> Iterator[pa.Table]:
    for name in names:
        with output.storage.open(join(output.masks_uri(dataset), name)) as file:
            yield pq.ParquetFile(file).read(columns=list(SUMMARY_COLUMNS))
